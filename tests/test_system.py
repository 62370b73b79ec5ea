"""The system in Lightning's hands."""

import itertools
import math
from typing import Any, ClassVar

import pytest
import pytorch_lightning as pl
import torch
from torch.testing import assert_close

from lightseq.data import SequenceData
from lightseq.data.batching import DocumentBatches
from lightseq.data.loader import SequenceLoader
from lightseq.loss import cross_entropy
from lightseq.system import SequenceSystem
from lightseq.types import IGNORE_INDEX, Batch


def system_for(data: SequenceData, **settings: object) -> SequenceSystem:
    own = {"embedding_size": 5, "hidden_size": 8, "schedule": "constant", "learning_rate": 0.01, **settings}
    return SequenceSystem(data.vocabulary, data.labels, data.token_counts, **own)


def trainer_of(*callbacks: pl.Callback, **settings: object) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
    }
    return pl.Trainer(**{**quiet, **settings}, callbacks=list(callbacks))


def randomise(system: SequenceSystem) -> SequenceSystem:
    torch.manual_seed(1)
    for parameter in system.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return system


def one_document_at_a_time(data: SequenceData, system: SequenceSystem, split: str) -> tuple[float, int, int]:
    """Nats, scored tokens and right guesses of a split, the plain way: no padding, no batch, no window."""
    nats, tokens, right = 0.0, 0, 0
    system.eval()
    with torch.no_grad():
        for document in data.parts[split]:
            ids = data.store.tokens[data.store.offsets[document] : data.store.offsets[document + 1]].tolist()
            logits, _ = system(torch.tensor([[0, *ids]]))
            targets = torch.tensor([[*ids, 0]])
            nats += cross_entropy(logits, targets)[0].item()
            tokens += targets.numel()
            right += int((logits.argmax(-1) == targets).sum())
    return nats, tokens, right


@pytest.mark.parametrize("settings", [{"batch_size": 7}, {"batch_size": 64}, {"batch_size": 50, "window": 5}])
def test_validation_equals_one_pass_over_the_documents(settings: dict[str, int]) -> None:
    data = SequenceData("dinos", **settings)
    system = randomise(system_for(data))
    (values,) = trainer_of().validate(system, data, verbose=False)
    nats, tokens, right = one_document_at_a_time(data, system, "val")
    assert_close(values["val/loss"], nats / tokens, rtol=1e-6, atol=0)
    assert_close(values["val/bpc"], nats / tokens / math.log(2), rtol=1e-6, atol=0)
    assert_close(values["val/perplexity"], math.exp(nats / tokens), rtol=1e-5, atol=0)
    assert_close(values["val/nats_per_document"], nats / len(data.parts["val"]), rtol=1e-6, atol=0)
    assert_close(values["val/accuracy"], right / tokens, rtol=1e-6, atol=0)


@pytest.mark.parametrize("settings", [{"batch_size": 3, "window": 10}, {"batch_size": 64, "window": 128}])
def test_validation_of_a_stream_is_exact_in_its_fixed_lanes(alphabet: str, settings: dict[str, int]) -> None:
    data = SequenceData(alphabet, val_lanes=4, **settings)
    system = randomise(system_for(data))
    trainer = trainer_of()
    trainer.validate(system, data, verbose=False)
    values = trainer.callback_metrics
    assert {name for name in values if "loss" in name} == {"val/loss", "val/loss_cold64", "val/loss_cold256"}
    text = torch.tensor(data.parts["val"].astype("int64"))
    length = math.ceil((len(text) - 1) / 4)
    nats = sum(_nats(system, text[start : start + length + 1]) for start in range(0, len(text) - 1, length))
    assert_close(float(values["val/loss"]), nats / (len(text) - 1), rtol=1e-6, atol=0)
    assert "val/nats_per_document" not in values
    for suffix, window in (("cold64", 64), ("cold256", 256)):
        nats = sum(_nats(system, text[start : start + window + 1]) for start in range(0, len(text) - 1, window))
        assert_close(float(values[f"val/loss_{suffix}"]), nats / (len(text) - 1), rtol=1e-6, atol=0)


def _nats(system: SequenceSystem, text: torch.Tensor) -> float:
    with torch.no_grad():
        return cross_entropy(system(text[None, :-1])[0], text[None, 1:])[0].item()


def test_state_is_carried_from_window_to_window_and_cut_off(alphabet: str) -> None:
    """A stream trained in two windows: the second window's loss is that of the state after the first."""
    data = SequenceData(alphabet, {"times": 2}, batch_size=1, window=16, val_fraction=0.2, test_fraction=0.0)
    system = randomise(system_for(data, optimizer="sgd", learning_rate=1e-12))
    losses: list[float] = []

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            losses.append(outputs["loss"].item())

    trainer_of(Notes(), max_epochs=2, limit_val_batches=0).fit(system, data)
    source = data.train_dataloader().source
    expected = []
    for epoch in range(2):
        batches = [source.batch(epoch, i) for i in range(len(source))]
        logits = system.eval()(torch.cat([b.tokens for b in batches], 1))[0].detach()
        pieces = logits.split([b.tokens.shape[1] for b in batches], 1)
        whole = [cross_entropy(piece, b.targets) for piece, b in zip(pieces, batches, strict=True)]
        expected += [float(nats / count) for nats, count in whole]
    assert len(expected) > 2
    assert_close(losses, expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("loss", ["mean", "document"])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_gradient_is_that_of_the_mean_over_the_whole_update(loss: str, accumulate: int) -> None:
    data = SequenceData("dinos", batch_size=5)
    system = randomise(system_for(data, optimizer="sgd", loss=loss)).double()

    reference = randomise(system_for(data)).double()
    settings = {"accumulate_grad_batches": accumulate, "max_steps": 1, "limit_val_batches": 0, "precision": "64-true"}
    trainer_of(**settings).fit(system, data)
    whole = next(iter(SequenceData("dinos", batch_size=5 * accumulate).train_dataloader()))
    nats, count = cross_entropy(reference(whole.tokens)[0], whole.targets)
    size = count if loss == "mean" else len(whole.tokens)
    gradients = torch.autograd.grad(nats / size, list(reference.parameters()))
    moved = [(new - old).detach() / -0.01 for new, old in zip(system.parameters(), reference.parameters(), strict=True)]
    for actual, expected in zip(moved, gradients, strict=True):
        assert_close(actual, expected, rtol=1e-6, atol=1e-9)


def test_what_is_trained_are_smoothed_labels() -> None:
    data = SequenceData("dinos", batch_size=5)
    system = randomise(system_for(data, optimizer="sgd", label_smoothing=0.3)).double()
    reference = randomise(system_for(data)).double()
    trainer_of(max_steps=1, limit_val_batches=0, precision="64-true").fit(system, data)
    batch = next(iter(SequenceData("dinos", batch_size=5).train_dataloader()))
    chances = reference(batch.tokens)[0].log_softmax(-1)
    right = chances.gather(-1, batch.targets.clamp(min=0)[..., None]).squeeze(-1)
    nats = -(0.7 * right + 0.3 * chances.mean(-1))[batch.targets != IGNORE_INDEX]
    gradients = torch.autograd.grad(nats.mean(), list(reference.parameters()))
    for new, old, gradient in zip(system.parameters(), reference.parameters(), gradients, strict=True):
        assert_close((new - old).detach() / -0.01, gradient, rtol=1e-6, atol=1e-9)


def test_a_learned_initial_state_is_learned_wherever_a_row_begins() -> None:
    """In a first window, and in a later one that begins a single row."""
    own = {"backbone": "gru", "backbone_args": {"initial_state": "learned"}, "optimizer": "sgd"}
    system = randomise(system_for(SequenceData("dinos"), **own))
    starts = [system.model.initial_state(1)[0].detach().clone()]

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            starts.append(pl_module.model.initial_state(1)[0].detach().clone())

    class Windows:
        resets = ((True, True, True), (False, False, False), (False, True, False))

        def __len__(self) -> int:
            return len(self.resets)

        def batch(self, epoch: int, index: int) -> Batch:
            return Batch(torch.full((3, 5), 1), torch.full((3, 5), 2), torch.tensor(self.resets[index]))

    loader = SequenceLoader(Windows())
    trainer_of(Notes(), max_epochs=1, limit_val_batches=0).fit(system, loader, loader)
    assert [torch.equal(*pair) for pair in itertools.pairwise(starts)] == [False, True, False]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("algorithm", "value"), [("norm", 0.01), ("value", 0.001)])
def test_gradients_are_clipped(algorithm: str, value: float, precision: str) -> None:
    data = SequenceData("dinos", batch_size=5)
    system = randomise(system_for(data, optimizer="sgd", learning_rate=1.0))
    before = [p.clone() for p in system.parameters()]
    settings = {"gradient_clip_val": value, "gradient_clip_algorithm": algorithm, "accumulate_grad_batches": 2}
    trainer_of(max_steps=1, limit_val_batches=0, precision=precision, **settings).fit(system, data)
    moved = [(new - old).detach() for new, old in zip(system.parameters(), before, strict=True)]
    size = torch.cat([m.flatten() for m in moved])
    assert_close(size.norm() if algorithm == "norm" else size.abs().max(), torch.tensor(value), rtol=1e-3, atol=0)


def weights_after(data: SequenceData, *callbacks: pl.Callback, **settings: object) -> list[torch.Tensor]:
    pl.seed_everything(0)
    system = system_for(data, dropout=0.2)
    trainer_of(*callbacks, max_steps=12, **settings).fit(system, data)
    return [p.detach().clone() for p in system.parameters()]


@pytest.mark.parametrize("dataset", ["dinos", "alphabet"])
def test_validation_does_not_touch_training(dataset: str, request: pytest.FixtureRequest) -> None:
    if dataset == "alphabet":
        request.getfixturevalue(dataset)

    def data() -> SequenceData:
        return SequenceData(dataset, batch_size=4, window=20)

    without = weights_after(data(), limit_val_batches=0)
    often = weights_after(data(), val_check_interval=1)
    assert all(torch.equal(a, b) for a, b in zip(without, often, strict=True))


def test_what_is_logged_while_training() -> None:
    data = SequenceData("dinos", batch_size=8)
    system = randomise(system_for(data, warmup_steps=3))
    seen: list[dict[str, float]] = []

    class Notes(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append({k: float(v) for k, v in trainer.callback_metrics.items()})

    trainer_of(Notes(), max_steps=5, limit_val_batches=0, log_every_n_steps=2).fit(system, data)
    assert seen[1] == {}
    assert {"train/loss", "train/bpc", "train/gradient_norm", "train/learning_rate"} <= set(seen[2])
    assert_close(seen[2]["train/bpc"], seen[2]["train/loss"] / math.log(2), rtol=1e-6, atol=0)
    assert_close(seen[2]["train/learning_rate"], 0.01 * 2 / 4, rtol=1e-6, atol=0)  # that of the second update


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1, 0.8, 0.6, 0.4, 0.2]),
        ("cosine", [0.25, 0.5, 0.75, *(0.5 + 0.5 * math.cos(math.pi * k / 5) for k in range(5))]),
    ],
)
@pytest.mark.parametrize(
    "bound",
    [
        {"max_steps": 8},
        {"max_epochs": 2, "limit_train_batches": 4},
        {"max_epochs": 2, "limit_train_batches": 11, "accumulate_grad_batches": 3},
    ],
)
def test_the_schedule_counts_updates(schedule: str, expected: list[float], bound: dict[str, int]) -> None:
    data = SequenceData("dinos", batch_size=8)
    system = system_for(data, warmup_steps=3, schedule=schedule, learning_rate=1.0, optimizer="sgd")
    rates: list[float] = []

    class Notes(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            rates.append(optimizer.param_groups[0]["lr"])

    trainer_of(Notes(), **bound, limit_val_batches=0).fit(system, data)
    assert_close(rates, [float(rate) for rate in expected], rtol=1e-6, atol=1e-9)


def test_weight_decay_is_on_matrices_alone() -> None:
    data = SequenceData("dinos")
    system = system_for(data, weight_decay=0.1)
    system.trainer = trainer_of(max_steps=1)
    matrices, vectors = system.configure_optimizers()["optimizer"].param_groups
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.1, 0.0)
    assert {p.dim() for p in matrices["params"]} == {2}
    assert {p.dim() for p in vectors["params"]} == {1}
    assert len(matrices["params"]) + len(vectors["params"]) == len(list(system.parameters()))


@pytest.mark.parametrize(
    ("precision", "half"), [("bf16-mixed", torch.bfloat16), ("bf16-true", torch.bfloat16), ("32-true", None)]
)
def test_muon_works_in_half_the_bits_where_the_run_does(precision: str, half: torch.dtype | None) -> None:
    system = system_for(SequenceData("dinos"), optimizer="muon")
    system.trainer = trainer_of(max_steps=1, precision=precision)
    assert system.configure_optimizers()["optimizer"].precision == half


@pytest.mark.parametrize("backbone", ["rnn", "gru", "lstm"])
def test_one_batch_can_be_overfitted(backbone: str, alphabet: str) -> None:
    data = SequenceData(alphabet, {"times": 3}, batch_size=1, window=80, val_fraction=0.05, test_fraction=0.0)
    system = system_for(data, backbone=backbone, hidden_size=24, learning_rate=0.02)
    trainer = trainer_of(max_steps=60)
    trainer.fit(system, data)
    assert trainer.callback_metrics["train/loss"] < 0.05


@pytest.mark.parametrize("tagged", [True, False])
def test_labels_are_learned_by_the_same_loss(vowels: str, tagged: bool) -> None:
    data = SequenceData(vowels, {"tagged": tagged}, batch_size=16)
    system = system_for(data, hidden_size=16, learning_rate=0.05)
    assert system.labels == (["consonant", "vowel"] if tagged else ["none", "some"])
    trainer = trainer_of(max_epochs=25)
    trainer.fit(system, data)
    metrics = trainer.callback_metrics
    assert metrics["val/accuracy"] > 0.95
    assert "val/bpc" not in metrics
    (tests,) = trainer.test(system, data, verbose=False)
    assert "test/bpc" not in tests


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_update_that_scores_nothing_keeps_the_weights_finite(vowels: str, accumulate: int) -> None:
    """A classified document scores in its last window alone."""
    data = SequenceData(vowels, {"tagged": False}, batch_size=16, window=2)
    system = system_for(data)
    trainer = trainer_of(max_epochs=2, accumulate_grad_batches=accumulate)
    trainer.fit(system, data)
    assert all(parameter.isfinite().all() for parameter in system.parameters())
    assert all(math.isfinite(value) for value in trainer.callback_metrics.values())


def test_any_loader_of_batches_will_do() -> None:
    data = SequenceData("dinos", batch_size=8)
    source = DocumentBatches(data.store, data.parts["train"], rows=8, window=64, boundary=0)
    system = system_for(data)
    trainer = trainer_of(max_epochs=1, limit_train_batches=2)
    trainer.fit(system, SequenceLoader(source), SequenceLoader(source))
    assert trainer.callback_metrics["val/loss"] < math.log(27)


def test_predictions_name_the_nats_of_every_step() -> None:
    data = SequenceData("dinos", batch_size=7, window=6)
    system = randomise(system_for(data))
    batches = trainer_of().predict(system, data)
    nats = sum(float(batch["nats"].double().sum()) for batch in batches)
    scored = sum(int((batch["targets"] != IGNORE_INDEX).sum()) for batch in batches)
    expected, tokens, _ = one_document_at_a_time(data, system, "test")
    assert scored == tokens
    assert_close(nats, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"val_fraction": 0.0}, "val_fraction must be above 0"),
        ({"val_fraction": 0.6, "test_fraction": 0.5}, "below 1"),
        ({"fold": 10}, "data.fold 10: a val_fraction of 0.1 has 10 folds"),
        ({"tokens": list("abc")}, "'dinos' has 23 tokens that the given vocabulary of 3 lacks"),
    ],
)
def test_data_settings_that_do_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _ = SequenceData("dinos", **settings).vocabulary


def test_documents_cannot_take_the_vocabulary_of_a_stream() -> None:
    data = SequenceData("dinos", tokens=list("abcdefghijklmnopqrstuvwxyz"))
    with pytest.raises(ValueError, match="vocabulary is one of a stream, and dataset 'dinos' is documents"):
        data.train_dataloader()


def test_no_test_split() -> None:
    with pytest.raises(ValueError, match="'dinos' has no test split"):
        SequenceData("dinos", test_fraction=0.0).test_dataloader()


def test_a_hook_that_runs_is_known_by_its_name() -> None:
    """Which Lightning looks up wherever a value is logged."""

    class Names(pl.Callback):
        found: ClassVar[set[str]] = set()

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.found.add(str(pl_module._current_fx_name))

        def on_before_backward(self, trainer, pl_module, loss):
            self.found.add(str(pl_module._current_fx_name))

    data = SequenceData("dinos", batch_size=5)
    system = system_for(data)
    trainer_of(Names(), max_steps=2, limit_val_batches=0).fit(system, data)
    assert Names.found == {"on_train_batch_start", "on_before_backward"}
    assert system._current_fx_name is None

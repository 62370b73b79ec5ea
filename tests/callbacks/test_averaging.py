import json
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks import sample_text
from lightseq.callbacks.averaging import AveragedWeights, averaged
from lightseq.callbacks.sample_text import SampleText
from pytorch_lightning.callbacks import WeightAveraging

from lightseq.checkpoint import load_trained
from lightseq.data import SequenceData
from lightseq.sampling import generate
from lightseq.system import SequenceSystem

DECAY = 0.6


class Weights(pl.Callback):
    """Notes the head's bias: after every update, at validation, and within ``averaged``."""

    def __init__(self) -> None:
        self.updates: list[torch.Tensor] = []
        self.validated: list[torch.Tensor] = []
        self.within: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.updates.append(pl_module.model.head.bias.detach().clone())
        with averaged(trainer, pl_module):
            self.within.append(pl_module.model.head.bias.detach().clone())
        assert torch.equal(self.updates[-1], pl_module.model.head.bias)

    def on_validation_batch_start(self, trainer, pl_module, *_):
        self.validated.append(pl_module.model.head.bias.detach().clone())


def trained(*callbacks: pl.Callback, **settings: object) -> SequenceSystem:
    pl.seed_everything(0)
    data = SequenceData("dinos", batch_size=8)
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4, optimizer="sgd", learning_rate=1.0)
    own = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_steps=9, callbacks=list(callbacks), num_sanity_val_steps=0, enable_checkpointing=False, **own, **settings
    )
    trainer.fit(system, data)
    return system


def expected(updates: list[torch.Tensor]) -> list[torch.Tensor]:
    averages = [updates[0]]
    for number, weights in enumerate(updates[1:], 1):
        decay = min(DECAY, (1 + number) / (10 + number))
        averages.append(decay * averages[-1] + (1 - decay) * weights)
    return averages


def test_what_is_validated_is_the_average_and_training_does_not_notice() -> None:
    notes, bare = Weights(), Weights()
    system = trained(AveragedWeights(DECAY), notes, val_check_interval=9)
    trained(bare, limit_val_batches=0)
    averages = expected(notes.updates)
    assert not torch.allclose(averages[-1], notes.updates[-1], rtol=1e-3)
    for actual, average in zip(notes.within, averages, strict=True):
        torch.testing.assert_close(actual, average)
    assert all(torch.equal(seen, notes.within[-1]) for seen in notes.validated)
    assert all(torch.equal(a, b) for a, b in zip(notes.updates, bare.updates, strict=True))
    assert torch.equal(system.model.head.bias, notes.within[-1])  # a run ends with what it is judged by


def test_without_an_average_nothing_is_exchanged() -> None:
    notes = Weights()
    trained(notes, limit_val_batches=0)
    assert all(torch.equal(a, b) for a, b in zip(notes.within, notes.updates, strict=True))


def test_samples_are_of_the_average(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def look(model, *_, **__):
        seen.append(model.head.bias.detach().clone())
        return []

    monkeypatch.setattr(sample_text, "generate", look)
    notes = Weights()
    samples = SampleText([1.0], [""], every_n_steps=3)
    trained(AveragedWeights(DECAY), notes, samples, limit_val_batches=0)
    assert [torch.equal(a, notes.within[i]) for a, i in zip(seen, (2, 5, 8), strict=True)] == [True] * 3


def test_a_run_keeps_and_goes_on_with_the_average(tiny: str, run: Callable[..., tuple[int, str, str]]) -> None:
    own = f"fit --config {tiny} --averaging.decay 0.9 --trainer.val_check_interval 3"
    status, out, err = run(own)
    assert status == 0, err
    folder = Path("runs/dinos/version_0")
    content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    stored, training = content["state_dict"], content["current_model_state"]
    assert not torch.equal(stored["model.head.bias"], training["model.head.bias"])
    model = load_trained(folder).model
    assert torch.equal(model.head.bias, stored["model.head.bias"])
    fitted = out.partition("val/loss ")[2].split(",")[0]
    status, out, err = run(f"validate --ckpt_path {folder}")
    assert f"{float(out.split('val/loss')[1].split()[0]):.4f}" == fitted
    status, out, err = run(f"{own} --trainer.max_steps 6 --ckpt_path {folder}")
    assert status == 0, err
    whole = torch.load("runs/dinos/version_1/checkpoints/last.ckpt", weights_only=True)
    status, _, err = run(f"{own} --trainer.max_steps 6")
    straight = torch.load("runs/dinos/version_2/checkpoints/last.ckpt", weights_only=True)
    for part in ("state_dict", "current_model_state"):
        assert all(torch.equal(whole[part][name], straight[part][name]) for name in whole[part])


def test_a_run_shows_samples_of_the_average(tiny: str, run: Callable[..., tuple[int, str, str]]) -> None:
    words = "--averaging.decay 0.6 --sampling.every_n_steps 3 --model.learning_rate 0.1"
    status, _, err = run(f"fit --config {tiny} {words}")
    assert status == 0, err
    folder = Path("runs/dinos/version_0")
    shown = [json.loads(line)["text"] for line in (folder / "samples.jsonl").read_text().splitlines()]
    average = load_trained(folder / "checkpoints/last.ckpt")
    samples = generate(average.model, average.vocabulary, ["", "tri"], [0.0, 1.0], length=12)
    assert shown == [sample.text for sample in samples]


def test_going_on_without_the_average_is_refused(tiny: str, run: Callable[..., tuple[int, str, str]]) -> None:
    run(f"fit --config {tiny} --averaging.decay 0.9")
    status, _, err = run(f"fit --config {tiny} --trainer.max_steps 6 --ckpt_path runs/dinos/version_0")
    assert status == 2
    assert "has averaged weights" in err
    assert "--averaging.decay" in err


def test_an_average_that_the_user_has_brought_is_sampled_and_gone_on_with(
    tiny: str, run: Callable[..., tuple[int, str, str]]
) -> None:
    words = f"fit --config {tiny} --trainer.callbacks+=pytorch_lightning.callbacks.EMAWeightAveraging"
    status, _, err = run(words)
    assert status == 0, err
    status, _, err = run(f"{words} --trainer.max_steps 6 --ckpt_path runs/dinos/version_0")
    assert status == 0, err
    brought = WeightAveraging(use_buffers=False, multi_avg_fn=AveragedWeights(DECAY)._move)
    notes = Weights()
    trained(brought, notes, limit_val_batches=0)
    for actual, average in zip(notes.within, expected(notes.updates), strict=True):
        torch.testing.assert_close(actual, average)

"""A loss or a gradient that is not finite, in real trainings."""

import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks.finite import FiniteGuard, all_finite, finite
from pytorch_lightning.plugins import MixedPrecision
from torch.testing import assert_close

from lightseq.checkpoint import load_trained
from lightseq.data import SequenceData
from lightseq.errors import UserError
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/dinos/version_0")

FUSE = """
import os
from torch import nn
from lightseq.backbones import Backbone

class Fuse(Backbone):
    '''A GRU whose gradient, or whose outputs and state, are infinite at some of its forward passes in training.'''

    def __init__(self, input_size, hidden_size, num_layers=1, dropout=0.0, at: list[int] = [], of: str = "gradient",
                 rank: int = 0) -> None:
        super().__init__(input_size)
        self.gru, self.output_size = nn.GRU(input_size, hidden_size, batch_first=True), hidden_size
        self.at, self.of, self.passes = at, of, 0
        self.mine = rank == int(os.environ.get("LOCAL_RANK", 0))

    def initial_state(self, batch_size):
        return (self.gru.weight_hh_l0.new_zeros(1, batch_size, self.output_size),)

    def forward(self, x, state=None):
        y, h = self.gru(x, state[0] if state else None)
        if self.training:
            self.passes += 1
            if self.mine and self.passes in self.at:
                if self.of == "gradient":
                    y.register_hook(lambda gradient: gradient * float("inf"))
                else:
                    y, h = y * float("inf"), h * float("inf")
        return y, (h,)
"""

SHARDED = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.nn.utils import clip_grads_with_norm_
from lightseq.callbacks.finite import finite
from lightseq.gradient import gradients_of, total_norm

def main(rank):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}/store", rank=rank, world_size=2)
    torch.manual_seed(0)
    whole, parted = torch.nn.Linear(4, 6), torch.nn.Linear(4, 6)
    parted.load_state_dict(whole.state_dict())
    fully_shard(parted)
    norms = []
    for model in (whole, parted):
        optimizer = torch.optim.SGD(model.parameters())
        model(torch.randn(3, 4, generator=torch.Generator().manual_seed(1))).square().sum().backward()
        norms.append(float(total_norm(gradients_of(optimizer))))
        clip_grads_with_norm_(model.parameters(), 0.25, total_norm(gradients_of(optimizer)))
        norms.append(float(total_norm(gradients_of(optimizer))))
    found = [finite(list(parted.parameters()))]
    if rank == 1:
        with torch.no_grad():
            parted.weight.to_local()[-1, 2] = float("nan")
    torch.save([norms, *found, finite(list(parted.parameters()))], f"{sys.argv[1]}/{rank}.pt")
    dist.destroy_process_group()

torch.multiprocessing.start_processes(main, nprocs=2, start_method="fork")
"""


@pytest.fixture
def fuse(plugin: Callable[..., None]) -> Callable[..., dict[str, Any]]:
    """Settings of a model that fails: ``fuse(3)`` at its third forward pass in training."""
    plugin("fuse", "lightseq.backbones", {"fuse": "fuse_plugin:Fuse"}, FUSE)

    def settings(*at: int, of: str = "gradient") -> dict[str, Any]:
        return {"backbone": "fuse", "backbone_args": {"at": list(at), "of": of}, "hidden_size": 6, "embedding_size": 5}

    return settings


def fit(
    settings: dict[str, Any], *callbacks: pl.Callback, dataset: str = "dinos", **trainer_settings: Any
) -> tuple[SequenceSystem, pl.Trainer]:
    pl.seed_everything(0)
    data = SequenceData(dataset, batch_size=7, window=20)
    system = SequenceSystem(data.vocabulary, data.labels, data.token_counts, **{"learning_rate": 0.01, **settings})
    quiet: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False}
    quiet |= {"enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 3}
    quiet |= {"limit_val_batches": 0, "num_sanity_val_steps": 0, "use_distributed_sampler": False}
    trainer = pl.Trainer(**{**quiet, **trainer_settings}, callbacks=list(callbacks))
    trainer.fit(system, data)
    return system, trainer


def state_of(system: SequenceSystem, trainer: pl.Trainer) -> dict[str, Any]:
    return {"weights": system.state_dict(), "optimizer": trainer.optimizers[0].state_dict()["state"]}


@pytest.mark.parametrize(
    "clip", [{}, {"gradient_clip_val": 0.1}, {"gradient_clip_val": 0.01, "accumulate_grad_batches": 2}]
)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_finite_run_is_the_same_to_the_last_bit(
    optimizer: str, clip: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the guard, and clipped by the norm that is known, or without it and by Lightning."""
    settings = {"optimizer": optimizer, "dropout": 0.2, "hidden_size": 6, "backbone": "lstm"}
    guarded = state_of(*fit(settings, FiniteGuard(), max_steps=9, **clip))
    monkeypatch.delattr(SequenceSystem, "configure_gradient_clipping")
    assert_close(state_of(*fit(settings, max_steps=9, **clip)), guarded, rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "muon"])
@pytest.mark.parametrize(
    ("of", "what"),
    [("gradient", r"gradient of update 5 is not finite .*loss 3\."), ("outputs", "loss of update 5 is nan")],
)
def test_an_update_that_is_left_out_moves_nothing(fuse: Any, optimizer: str, of: str, what: str) -> None:
    own = {"optimizer": optimizer, "weight_decay": 0.1}
    before = state_of(*fit({**fuse(), **own}, FiniteGuard(), max_steps=4))
    with pytest.warns(UserWarning, match=f"update 5 is left out: the {what}"):
        system, trainer = fit({**fuse(5, of=of), **own}, FiniteGuard(skip=1), max_steps=5)
    assert_close(state_of(system, trainer), before, rtol=0, atol=0)
    assert trainer.global_step == 5
    assert all_finite(trainer)


@pytest.mark.parametrize("dataset", ["dinos", "alphabet"])
def test_training_goes_on_after_an_update_that_was_left_out(
    dataset: str, fuse: Any, request: pytest.FixtureRequest
) -> None:
    """Nothing that was not finite is carried on, neither in the hidden state nor in what is logged."""
    if dataset == "alphabet":
        request.getfixturevalue(dataset)
    losses: list[float] = []

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            losses.append(outputs["loss"].item())

    with pytest.warns(UserWarning, match="update 4 is left out"):
        _, trainer = fit(fuse(4, of="outputs"), FiniteGuard(skip=1), Notes(), dataset=dataset, max_steps=6)
    assert [math.isfinite(loss) for loss in losses] == [True] * 3 + [False] + [True] * 2
    assert trainer.callback_metrics["train/loss"] == pytest.approx(sum(losses[4:]) / 2, rel=0.05)
    assert all_finite(trainer)


def test_only_so_many_in_a_row_are_left_out(fuse: Any) -> None:
    with pytest.warns(UserWarning, match="left out") as told:
        fit(fuse(2, 4, 5, 7, 8, 11), FiniteGuard(skip=2), max_steps=12)
    said = [str(warning.message) for warning in told if "left out" in str(warning.message)]
    assert [re.match(r"update (\d+) is left out(, 2 in a row)?:", text).groups() for text in said] == [
        ("2", None),
        ("4", None),
        ("5", ", 2 in a row"),
    ]
    assert [text.endswith("; no more of these are told") for text in said] == [False, False, True]
    with (
        pytest.warns(UserWarning, match="update 4 is left out"),
        pytest.raises(UserError, match="of update 5") as stopped,
    ):
        fit(fuse(4, 5, 6), FiniteGuard(skip=1), max_steps=9)
    assert stopped.value.status == 1


@pytest.mark.parametrize(("at", "update", "number"), [(3, 2, 2), (4, 2, 2), (5, 3, 1)])
def test_the_batches_of_the_update_are_written(fuse: Any, at: int, update: int, number: int) -> None:
    """Of an update in parts all, whichever of them went wrong; the last update of an epoch is a short one."""
    seen: list[Any] = []

    class Notes(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(batch)

    own = {"accumulate_grad_batches": 2, "limit_train_batches": 5, "max_epochs": 2}
    with pytest.raises(UserError, match=f"of update {update} is .* the batch is in .*not_finite.pt"):
        fit(fuse(at), Notes(), FiniteGuard(), **own)
    content = torch.load("not_finite.pt", weights_only=True)
    expected = [{"tokens": b.tokens, "targets": b.targets, "reset": b.reset} for b in seen[-number:]]
    assert_close(content, {"batches": expected, "update": update, "epoch": 0, "rank": 0})


def test_where_looking_takes_time_it_is_done_now_and_then(fuse: Any) -> None:
    """As on a GPU."""
    seen: list[bool] = []

    class Rarely(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.look_every = 3

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            seen.append(all_finite(trainer))

    with pytest.raises(UserError, match=r"loss of update 6 is nan .*, but the 2 before it were not looked at"):
        fit(fuse(4), FiniteGuard(), Rarely(), max_steps=9)
    assert seen == [True] * 3 + [False] * 2


def test_infinite_gradients_that_a_scaler_meets_are_its_own(fuse: Any) -> None:
    def in_half(settings: dict[str, Any]) -> tuple[SequenceSystem, pl.Trainer]:
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
        return fit(settings, FiniteGuard(), max_steps=6, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])

    _, trainer = in_half(fuse(3))
    assert trainer.precision_plugin.state_dict()["scale"] == 128.0  # it has met one
    assert all_finite(trainer)
    with pytest.raises(UserError, match=r"the loss of update 3 is nan .* or --trainer.precision 32-true"):
        in_half(fuse(3, of="outputs"))


def test_a_fused_optimizer_is_clipped_in_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning itself refuses the three together."""

    def fused(name: str, model: torch.nn.Module, rate: float, *_: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=1.0, fused=True)

    monkeypatch.setattr("lightseq.system.build_optimizer", fused)
    own = {"backbone": "mingru", "embedding_size": 5, "hidden_size": 8}
    still, _ = fit(own, max_steps=1, precision="bf16-mixed", gradient_clip_val=1e-30)
    moved, _ = fit(own, max_steps=1, precision="bf16-mixed", gradient_clip_val=0.01)
    pairs = zip(moved.parameters(), still.parameters(), strict=True)
    length = torch.cat([(a - b).detach().flatten() for a, b in pairs]).norm()
    assert_close(length, torch.tensor(0.01), rtol=1e-3, atol=0)


def test_the_norm_is_that_of_all_gradients_before_they_are_clipped(fuse: Any) -> None:
    norms: list[float] = []

    class Notes(pl.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            gradients = [p.grad.flatten() for p in pl_module.parameters()]
            norms.append(float(torch.cat(gradients).norm()))

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            norms.append(float(pl_module.gradient_norm))

    fit(fuse(), Notes(), max_steps=3, gradient_clip_val=0.01)
    assert norms[0] > 0.01
    assert norms[::2] == pytest.approx(norms[1::2], rel=1e-5)


def test_a_diverging_run_says_so_and_leaves_what_is_finite(run: Run, tiny: str) -> None:
    line = f"fit --config {tiny} --trainer.max_steps 9 --trainer.val_check_interval 1 --model.learning_rate 1e30"
    status, _, err = run(line)
    assert status == 1
    (said,) = [text for text in err.splitlines() if text.startswith("lightseq: ")]
    assert "Traceback" not in err
    pattern = (
        r"lightseq: training has diverged: the (loss|gradient) of update (\d) is \w+.* \(learning rate 1e\+30, "
        r"gradient norm (inf|nan).*\)\. No update was made with it\. "
        rf"{FOLDER}/checkpoints/last\.ckpt, after update (\d), is finite; the batch is in {FOLDER}/not_finite\.pt\. "
        r"Try --model\.learning_rate 0\.003, or --trainer\.gradient_clip_val 1\.0, which is off, or "
        r"--model\.warmup_steps 100"
    )
    match = re.fullmatch(pattern, said)
    assert match, said
    assert int(match[4]) == int(match[2]) - 1
    assert all(p.isfinite().all() for p in load_trained(FOLDER / "checkpoints" / "last.ckpt").model.parameters())
    assert torch.load(FOLDER / "not_finite.pt", weights_only=True)["update"] == int(match[2])
    assert not (FOLDER / "results.json").exists()


def test_a_run_may_leave_updates_out(run: Run, tiny: str, fuse: Any) -> None:
    words = f"fit --config {tiny} --model.backbone fuse --model.backbone_args.at [2] --trainer.max_steps 4"
    status, _, err = run(words)
    assert status == 1
    assert "loss 3." in err
    assert "or --finite.skip 3, which leaves such updates out" in err
    with pytest.warns(UserWarning, match="update 2 is left out: the gradient of update 2 is not finite"):
        status, _, err = run(f"{words} --finite.skip 1")
    assert status == 0, err
    assert (Path("runs/dinos/version_1") / "results.json").exists()


def test_of_sharded_weights_every_rank_sees_the_whole(tmp_path: Path) -> None:
    words = ["timeout", "-k", "5", "120", sys.executable, "-c", SHARDED, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        (whole, clipped, *parted), before, after = torch.load(tmp_path / f"{rank}.pt")
        assert parted == pytest.approx([whole, clipped], rel=1e-6)
        assert whole > 2 * clipped
        assert clipped == pytest.approx(0.25, rel=1e-4)
        assert (before, after) == (True, False)


def test_two_processes_end_together(tiny: str, fuse: Any) -> None:
    """What goes wrong on the second is the first one's to say."""
    words = ["timeout", "-k", "5", "120", sys.executable, "-m", "lightseq", "fit", "--config", tiny]
    words += ["--trainer.devices=2", "--trainer.max_steps=9", "--model.backbone=fuse"]
    words += ["--model.backbone_args.at=[3]", "--model.backbone_args.of=outputs", "--model.backbone_args.rank=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("training has diverged: the loss of update 3 is nan") == 1
    assert "Traceback" not in done.stderr
    contents = [torch.load(FOLDER / f"not_finite{end}.pt", weights_only=True) for end in ("", ".rank1")]
    assert [(content["update"], content["rank"]) for content in contents] == [(3, 0), (3, 1)]
    assert not torch.equal(*(content["batches"][0]["tokens"][:, :3] for content in contents))


def test_a_number_that_is_not_finite_is_found_among_all_kinds() -> None:
    good = [
        torch.tensor([-3e38, 2.0]),
        torch.tensor([True]),
        torch.tensor([7]),
        torch.empty(0),
        torch.tensor(1e300, dtype=torch.float64),
    ]
    assert finite(good)
    for wrong in (math.inf, -math.inf, math.nan):
        assert not finite([*good, torch.tensor([0.0, wrong, 1.0])])

"""A run that was stopped and goes on is the run that was never interrupted, to the last bit."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., tuple[int, str, str]]

QUIET = "--sampling.every_n_steps 0 --sampling.judged 0 --inside.enabled false --model.dropout 0.3"

SETTINGS = {
    "documents, by epochs": "--trainer.max_steps -1 --trainer.max_epochs 3 --data.batch_size 300 "
    "--last.every_n_steps 3",
    "documents, by updates": "--trainer.max_steps 9 --data.batch_size 300 --trainer.val_check_interval 3",
    "validated every other epoch": "--trainer.max_epochs 4 --trainer.max_steps -1 --data.batch_size 400 "
    "--trainer.check_val_every_n_epoch 2",
    "averaged and accumulated": "--trainer.max_steps 6 --data.batch_size 99 --averaging.decay 0.9 "
    "--trainer.accumulate_grad_batches 2 --model.optimizer muon --model.schedule cosine --trainer.val_check_interval 5",
    "a part of each epoch": "--trainer.max_steps 9 --data.batch_size 99 --trainer.limit_train_batches 4",
    "in double precision": "--trainer.max_steps 5 --data.batch_size 300 --trainer.precision 64-true "
    "--averaging.decay 0.9",
    "never validated": "--trainer.max_steps 9 --data.batch_size 300 --trainer.limit_val_batches 0",
    "a stream": "--data.dataset alphabet --data.batch_size 3 --data.window 40 --data.cold_starts 0.2 "
    "--model.backbone mingru --trainer.max_steps 30 --trainer.val_check_interval 11 "
    "--trainer.check_val_every_n_epoch null --data.val_lanes 3",
}
STOPS = {
    "documents, by epochs": (2, 4, 8),  # in an epoch, at its end, before the last one
    "documents, by updates": (3, 4),  # after a validation, at an epoch's end
    "validated every other epoch": (3, 6),  # where nothing is validated, and where it is
    "averaged and accumulated": (1, 3),
    "a part of each epoch": (2, 4),
    "never validated": (1, 4),
    "in double precision": (2,),
    "a stream": (1, 11, 25),
}
"""Updates to stop after."""


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def content(folder: str, name: str = "last") -> dict[str, Any]:
    return dict(torch.load(Path(folder, "checkpoints", f"{name}.ckpt"), weights_only=True))


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Places where two checkpoints differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        for place, (mine, yours) in enumerate(zip(one, other, strict=True)):
            yield from differences(mine, yours, f"{path}/{place}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield path
    elif one != other:
        yield path


def same(one: str, other: str) -> bool:
    """Whether two runs have ended alike, in all but where they are and how long they took."""
    free = ("ModelCheckpoint", "/callbacks/Results/seconds", "/datamodule_hyper_parameters/tokens", "/label_names")
    found = [place for place in differences(content(one), content(other)) if not any(word in place for word in free)]
    assert not found
    return not found


def scalars(folder: str) -> dict[str, dict[int, float]]:
    board = EventAccumulator(folder)
    board.Reload()
    names = [name for name in board.Tags()["scalars"] if name.startswith(("train/", "val/")) and "second" not in name]
    return {name: {scalar.step: scalar.value for scalar in board.Scalars(name)} for name in names}


@pytest.mark.parametrize("kind", SETTINGS)
def test_wherever_it_stops(
    kind: str, run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "alphabet" in SETTINGS[kind]:
        request.getfixturevalue("alphabet")
    words = f"fit --config {tiny} {QUIET} {SETTINGS[kind]}"
    status, _, err = run(words)
    assert status == 0, err
    dataset = "alphabet" if "alphabet" in words else "dinos"
    whole = f"runs/{dataset}/version_0"
    for number, stop in enumerate(STOPS[kind], 1):
        folder = f"runs/{dataset}/version_{number}"
        monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", str(stop))
        assert run(words)[0] == 143
        monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
        assert content(folder)["global_step"] == stop
        status, _, err = run(f"{words} --resume auto")
        assert status == 0, err
        assert same(whole, folder), stop
        assert scalars(folder) == scalars(whole), stop
        first, resumed = (json.loads(Path(f, "results.json").read_text()) for f in (whole, folder))
        assert {**first, "seconds": 0} == {**resumed, "seconds": 0}
    assert not Path(f"runs/{dataset}/version_{number + 1}").exists()


SENDER = """
import os, signal
import pytorch_lightning as pl

class Sender(pl.Callback):
    def __init__(self, hook: str, update: int, number: int = 15):
        def send(trainer, *_):
            if trainer.global_step == update and not trainer.sanity_checking and "SEND" in os.environ:
                os.kill(os.getpid(), number)
        setattr(self, hook, send)
"""
BASE = "--trainer.max_steps 6 --data.batch_size 400 --averaging.decay 0.9 --trainer.val_check_interval 2"


@pytest.mark.parametrize(
    ("hook", "update", "left"),
    [
        ("on_train_batch_start", 3, 4),  # the batch at hand is an update yet
        ("on_validation_batch_start", 2, 2),
        ("on_validation_epoch_end", 5, 5),
        ("on_validation_start", 6, 6),  # the last one of all
        ("on_train_end", 6, 6),
    ],
)
def test_a_signal_at_any_moment(
    hook: str, update: int, left: int, run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation under way is run again from its start, and one that was the last is no reason to lack an end."""
    Path("sender.py").write_text(SENDER)
    monkeypatch.syspath_prepend(Path.cwd())
    words = f"fit --config {tiny} {QUIET} {BASE} --trainer.callbacks+=sender.Sender --trainer.callbacks.hook={hook} "
    words += f"--trainer.callbacks.update={update}"
    status, _, err = run(words)
    assert status == 0, err
    monkeypatch.setenv("SEND", "1")
    status, _, err = run(words)
    folder = "runs/dinos/version_1"
    assert status == 143
    assert err.endswith(f"lightseq: stopped by SIGTERM after update {left}; fit --resume {folder} goes on\n")
    assert content(folder)["global_step"] == left
    assert not Path(folder, "results.json").exists()
    monkeypatch.delenv("SEND")
    status, out, err = run(f"{words} --resume {folder}")
    assert status == 0, err
    assert same("runs/dinos/version_0", folder)
    assert scalars(folder) == scalars("runs/dinos/version_0")
    assert "next:" in out
    status, _, err = run(f"{words} --resume {folder}")
    assert (status, err) == (
        2,
        f"lightseq: {folder} has ended, after update 6: a longer run needs --resume_with_changes true and a higher "
        "--trainer.max_epochs or --trainer.max_steps\n",
    )


def test_a_checkpoint_that_lightning_writes_anywhere(run: Run, tiny: str, tmp_path: Path) -> None:
    """Every update, in the hooks of a batch and of an epoch, before validations that are due, and in half an update."""
    saver = "{{class_path: ModelCheckpoint, init_args: {{{}, save_top_k: -1, auto_insert_metric_name: false}}}}"
    savers = [
        saver.format("every_n_train_steps: 1, filename: 'batch-{step}'"),
        saver.format("save_on_train_epoch_end: true, filename: 'epoch-{step}'"),
        saver.format("save_on_train_epoch_end: false, mode: max, filename: 'validated-{step}'"),
    ]
    config = tmp_path / "savers.yaml"
    config.write_text(Path(tiny).read_text().replace("trainer: {", f"trainer: {{callbacks: [{', '.join(savers)}], "))
    words = f"fit --config {config} {QUIET} --trainer.max_steps 6 --data.batch_size 300 "
    words += "--trainer.accumulate_grad_batches 3 --trainer.val_check_interval 2 --averaging.decay 0.9"
    status, _, err = run(words)
    assert status == 0, err
    whole = "runs/dinos/version_0"
    tried = sorted(path.stem for path in Path(whole, "checkpoints").glob("*-[1-5].ckpt"))
    assert {name.split("-")[0] for name in tried} == {"batch", "epoch", "validated"}
    stored = [content(whole, name)["lightseq"] for name in tried]
    assert any(own["ranks"][0]["gradients"] for own in stored)
    assert any(own["validation_due"] for own in stored)
    for number, name in enumerate(tried, 1):
        status, _, err = run(f"{words} --ckpt_path {whole}/checkpoints/{name}.ckpt")
        assert status == 0, err
        assert same(whole, f"runs/dinos/version_{number}"), name

"""What a run does, written down from within it, and harm done to it at a chosen moment: for ``faults.py``.

``WITNESS_EVENTS`` names the file that gets a line of JSON for each thing that happens. ``WITNESS_HARM`` is what goes
wrong: a kind, an update and a rank (``raise 12 1``), for what passes the update when it is over (``disk_full 20 0
40``), for a signal the batch of the validation after the update (``SIGINT 25 0 3``), and for ``die_in`` a call and how
often it is made before (``die_in os.replace 3``). They stand in the environment and not among the callback's arguments:
a command that is repeated has to be the same one.
"""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightseq.callbacks.sample_text import SampleText

from .disks import fill

LIMIT = 1 << 16
"""Bytes of a file at the most, where there is no small disk to be filled: less than a checkpoint has."""


PAGE = 4096
"""Bytes of a file that a disk in memory hands out at once."""


class Witness(pl.Callback):
    """First among the callbacks: what it says happened before the house's own look."""

    def __init__(self) -> None:
        self.events = os.open(os.environ["WITNESS_EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.harm, *self.details = os.environ.get("WITNESS_HARM", "none").split()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.say(trainer, "setup")
        if self.harm == "die_in":
            die_in(*self.details)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.say(trainer, "begin")

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if self.harm == "nan_weights" and self.is_now(trainer):
            with torch.no_grad():
                next(pl_module.parameters()).fill_(float("nan"))

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.harm == "infinite_gradient" and self.is_now(trainer):
            gradient = next(pl_module.parameters()).grad
            assert gradient is not None
            gradient.fill_(float("inf"))

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        self.say(trainer, "update", loss=float(outputs["loss"]).hex())
        if self.harm in HARMS and self.is_now(trainer):
            self.say(trainer, "harm")
            HARMS[self.harm](trainer)
        if self.harm in HEALS and trainer.global_step == int(self.details[2]):
            HEALS[self.harm](trainer)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.sanity_checking:
            return
        self.say(trainer, "validation")
        if self.harm in SIGNALS and self.is_now(trainer) and (batch_idx, dataloader_idx) == (int(self.details[2]), 0):
            self.say(trainer, "harm")
            os.kill(os.getpid(), SIGNALS[self.harm])

    def on_save_checkpoint(self, trainer: pl.Trainer, *_: Any) -> None:
        self.say(trainer, "saving")

    def say(self, trainer: pl.Trainer, phase: str, **more: Any) -> None:
        """A line by a single write: it stays whole beside those of other processes, and when this one is killed."""
        line = {"phase": phase, "rank": trainer.global_rank, "pid": os.getpid(), "update": trainer.global_step}
        os.write(self.events, f"{json.dumps({**line, 'at': time.time(), **more})}\n".encode())

    def is_now(self, trainer: pl.Trainer) -> bool:
        moment = trainer.global_step + (self.harm in ("nan_weights", "infinite_gradient"))  # the update under way
        return (moment, trainer.global_rank) == (int(self.details[0]), int(self.details[1]))


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in(name: str, before: str) -> None:
    """From now on a call of ``os.fsync`` or ``os.replace`` is the death of the process, when so many came before it."""
    own, left = getattr(os, name.removeprefix("os.")), int(before)

    def call(*values: Any, **named: Any) -> Any:
        nonlocal left
        if not left:
            die()
        left -= 1
        return own(*values, **named)

    setattr(os, name.removeprefix("os."), call)


def fail(trainer: pl.Trainer) -> None:
    raise RuntimeError(f"harm on rank {trainer.global_rank}")


def checkpoints(trainer: pl.Trainer) -> Path:
    return Path(trainer.loggers[0].log_dir or "", "checkpoints")


def fill_disk(trainer: pl.Trainer) -> None:
    """To the last byte, where the run stands on a small disk of its own; else no file of this process may grow."""
    disk = os.environ.get("WITNESS_DISK")
    if disk is None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return
    fill(Path(disk))


def fill_log(trainer: pl.Trainer) -> None:
    """Fill the disk that standard output is on; what its last page has room for is used up first."""
    os.write(1, b"\n" * (-os.fstat(1).st_size % PAGE))
    fill_disk(trainer)


def empty_disk(trainer: pl.Trainer) -> None:
    disk = os.environ.get("WITNESS_DISK")
    if disk is None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    else:
        Path(disk, "filling").unlink()


def make_read_only(trainer: pl.Trainer) -> None:
    """Permissions do not bind root: a mount of the folder onto itself does."""
    folder = checkpoints(trainer)
    if os.geteuid():
        folder.chmod(0o555)
    else:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)


def make_writable(trainer: pl.Trainer) -> None:
    folder = checkpoints(trainer)
    if os.geteuid():
        folder.chmod(0o755)
    else:
        subprocess.run(["umount", folder], check=True)


def draw_endlessly(trainer: pl.Trainer) -> None:
    """The samples that are about to be shown take for ever."""
    (samples,) = [callback for callback in trainer.callbacks if isinstance(callback, SampleText)]  # type: ignore[attr-defined]
    samples.length = 1 << 27


HARMS = {
    "raise": fail,
    "die": die,
    "endless_samples": draw_endlessly,
    "disk_full": fill_disk,
    "log_full": fill_log,
    "read_only": make_read_only,
    "no_checkpoints": lambda trainer: shutil.rmtree(checkpoints(trainer)),
    "no_run_folder": lambda trainer: shutil.rmtree(checkpoints(trainer).parent),
}
"""What is done after an update."""

SIGNALS = {number.name: number for number in (signal.SIGTERM, signal.SIGINT)}
"""In a validation."""

HEALS = {"disk_full": empty_disk, "read_only": make_writable}

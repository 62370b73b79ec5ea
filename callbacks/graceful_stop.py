"""SIGTERM, SIGINT: a checkpoint, and all processes of the run end together."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from ..data import SequenceData
from ..errors import Stopped, UserError
from .agreement import agreed
from .averaging import averaged
from .last_checkpoint import LastCheckpoint

SIGNALS = (signal.SIGTERM, signal.SIGINT)

IMPATIENT = 1.0
"""Seconds after which another signal ends the process at once; a terminal and a parent may both pass one on."""

PARENT = "LIGHTSEQ_PARENT"
"""The process that has started the others of a run."""

GRACE = 5.0
"""Seconds that a process lives on after that one, to say what it has to say."""

VARIABLE = "LIGHTSEQ_STOP_AFTER"
"""Updates after which a run stops as if SIGTERM had come: to try out what a scheduler would do."""


class _Asked:
    """What signals have said to this process."""

    def __init__(self) -> None:
        self.signal = 0
        self.at_once = True
        """Whether a signal ends the process where it is, which it may where no update would be lost."""
        self._since = 0.0

    def listen(self) -> None:
        """From now on signals are ours."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        impatient = self.signal and time.monotonic() - self._since > IMPATIENT
        if not self.signal:
            self._since, self.signal = time.monotonic(), number
        if self.at_once or impatient:
            raise Stopped(number)


_asked = _Asked()


def stop_asked() -> bool:
    """Whether this process has been asked to stop: what takes long ends early."""
    return _asked.signal != 0


def started_by_another() -> bool:
    """Whether another process of the same run has started this one; where torchrun or SLURM have, no."""
    return os.environ.get(PARENT) == str(os.getppid())


@contextmanager
def listening(starts_others: bool) -> Iterator[None]:
    """Within it signals end the process at once, until a training has begun, and gracefully while it goes on.

    Args:
        starts_others: Whether this process starts the others of its run.
    """
    _asked.signal, _asked.at_once = 0, True
    before = [signal.getsignal(number) for number in SIGNALS]
    _asked.listen()
    if started_by_another():
        _stay_with(os.getppid())
    elif starts_others:
        os.environ[PARENT] = str(os.getpid())
    try:
        yield
    finally:
        if not started_by_another():
            os.environ.pop(PARENT, None)
        if threading.current_thread() is threading.main_thread():
            for number, handler in zip(SIGNALS, before, strict=True):
                signal.signal(number, handler)


def _stay_with(parent: int) -> None:
    """Pass signals on to the process that has started this one, and end with it, in threads: a process that waits for
    the others in the middle of a computation hears nothing itself."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def pass_on() -> None:
        while number := os.read(reading, 1):
            if number[0] in SIGNALS and os.getppid() == parent:
                os.kill(parent, number[0])

    def end_with_it() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(GRACE)
        os._exit(1)

    for watch in (pass_on, end_with_it):
        threading.Thread(target=watch, daemon=True).start()


class GracefulStop(Callback):
    """Ends a run that has been asked to stop, on all ranks at the same batch, with a checkpoint.

    A signal sets a flag in the process that gets it, and nothing else. Before every batch, of training or validation,
    the ranks agree whether any has one; then all of them write the checkpoint together and leave. A validation under
    way is abandoned, and run again from its start when the run goes on. Before the first update and after the last
    there is nothing to write, and a signal ends the process at once; so does a second one.

    Args:
        last: What writes the checkpoint; None writes none.
    """

    def __init__(self, last: LastCheckpoint | None) -> None:
        self.last = last
        after = os.environ.get(VARIABLE) or "0"
        if not after.isdecimal():
            raise UserError(f"{VARIABLE} is {after!r}: a number of updates, or nothing")
        self._stop_after = int(after)

    def on_sanity_check_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _asked.listen()  # Lightning has put its own in our place, which wait for all ranks in the middle of anything

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _asked.listen()
        _asked.at_once = False
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SequenceData):
            data.between_batches.append(partial(self._between_batches, trainer))

    def _between_batches(self, trainer: pl.Trainer) -> None:
        if self._stop_after and trainer.global_step >= self._stop_after:
            _asked.signal = _asked.signal or signal.SIGTERM
        if number := agreed(_asked.signal):
            self._stop(trainer, number)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if number := agreed(_asked.signal):
            with averaged(trainer, pl_module):  # back: a validation has swapped them
                self._stop(trainer, number)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before anything is recorded of it: what was counted last may have been cut short."""
        if not trainer.sanity_checking and trainer.state.fn == "fit" and (number := agreed(_asked.signal)):
            self._stop(trainer, number)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The last checkpoint is on disk."""
        _asked.at_once = True
        if number := agreed(_asked.signal):
            raise Stopped(number)

    def _stop(self, trainer: pl.Trainer, number: int) -> None:
        if self.last is not None:
            self.last.save(trainer)
        raise Stopped(number)

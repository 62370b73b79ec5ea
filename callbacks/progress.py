"""The progress of a run in the terminal."""

from math import inf
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import rich
from pytorch_lightning.callbacks import ProgressBar
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..system import SequenceSystem

REFRESH_SECONDS = 0.2
LINE_SECONDS = 5.0
"""Between two lines where the output is no terminal, at the least."""

QUIET_SECONDS = 30.0
"""Without a line after which there is one at the next batch: a run whose log does not grow looks dead."""


class RunProgress(ProgressBar):
    """One bar for the whole run, with the rate and the time that remains; it refreshes rarely, because an update takes
    less time than drawing a bar. Where the output is no terminal: a line at the first update, after a validation (every
    few seconds at most), and whenever there was none for half a minute.
    """

    def __init__(self) -> None:
        super().__init__()
        self._console = rich.get_console()
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._enabled = True
        self._drawn = self._printed = self._began = 0.0
        self._first = 0

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def print(self, *args: Any, **kwargs: Any) -> None:
        if self._enabled:
            self._console.print(*args, **kwargs)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = self._printed = perf_counter()
        self._first = trainer.global_step + 1
        total = pl_module.total_updates if isinstance(pl_module, SequenceSystem) else inf
        self._start("training", None if total == inf else total, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._bar is not None:
            if perf_counter() - self._drawn > REFRESH_SECONDS:
                self._draw(trainer)
        elif trainer.global_step == self._first:
            self._first = 0  # of several batches to an update the first one alone
            self._line(trainer, _numbers(trainer))
        elif perf_counter() - self._printed > QUIET_SECONDS:
            self._line(trainer, _numbers(trainer))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._start("validating", sum(trainer.num_val_batches), 0)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if self._bar is not None:
            self._advance(trainer)
        elif (
            trainer.state.fn == "fit"
            and not trainer.sanity_checking  # before the clock of the run is set
            and perf_counter() - self._printed > QUIET_SECONDS
        ):
            self._line(trainer, f"validating, {batch_idx + 1:,} batches so far")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._stop()
        elif self._bar is not None:
            self._draw(trainer)
        elif not (trainer.sanity_checking or trainer.should_stop) and perf_counter() - self._printed > LINE_SECONDS:
            self._line(trainer, _numbers(trainer))

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start("testing", sum(trainer.num_test_batches), 0)

    def on_test_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance(trainer)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start("predicting", sum(trainer.num_predict_batches), 0)

    def on_predict_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self._advance(trainer)

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()
        self._line(trainer, _numbers(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _start(self, what: str, total: float | None, completed: int) -> None:
        if not (self._enabled and self._console.is_terminal):
            return
        self._bar = Progress(
            TextColumn(what),
            BarColumn(),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}" if total else "{task.completed:,.0f}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=self._console,
            transient=True,
            auto_refresh=False,  # from a thread, ten times a second, in the middle of an update
        )
        self._task = self._bar.add_task(what, total=total, completed=completed, numbers="")
        self._bar.start()

    def _line(self, trainer: pl.Trainer, what: str) -> None:
        """Where the run is, and what there is to say of it."""
        self._printed = perf_counter()
        seconds = self._printed - self._began
        self.print(f"update {trainer.global_step:,}, {seconds:.0f} s" + (f": {what}" if what else ""))

    def _draw(self, trainer: pl.Trainer) -> None:
        assert self._bar is not None
        self._drawn = perf_counter()
        self._bar.update(self._task, completed=trainer.global_step, numbers=_numbers(trainer), refresh=True)

    def _advance(self, trainer: pl.Trainer) -> None:
        """One batch of an evaluation; those within a fit leave the bar of the fit where it is."""
        if self._bar is None:
            return
        if trainer.state.fn != "fit":
            self._bar.advance(self._task)
        if perf_counter() - self._drawn > REFRESH_SECONDS:
            self._drawn = perf_counter()
            self._bar.refresh()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _numbers(trainer: pl.Trainer) -> str:
    """What the bar says beside itself, of the values logged last."""
    values = trainer.callback_metrics
    unit = "bpc" if "val/bpc" in values or "train/bpc" in values else "loss"
    words = [f"{s}/{unit} {float(values[f'{s}/{unit}']):.3f}" for s in ("train", "val") if f"{s}/{unit}" in values]
    if unit == "loss" and "val/accuracy" in values:
        words.append(f"val/accuracy {float(values['val/accuracy']):.3f}")
    if "train/tokens_per_second" in values:
        words.append(f"{float(values['train/tokens_per_second']):,.0f} tokens/s")
    return ", ".join(words)

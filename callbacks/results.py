"""The numbers that a run ends with."""

import json
import os
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from ..atomic import cannot_write, check_writable, write_whole
from .places import folder_of
from .safety import safely

ENDED = "results.json"
"""Lies in the folder of a run that has come to its end."""

VARIABLE = "LIGHTSEQ_RESULTS"
"""Names a file that gets the numbers too."""


class Results(Callback):
    """Makes every run end with a validation, and records the best one.

    Lightning stops at ``max_steps``, or after an epoch that ``check_val_every_n_epoch`` skips, without validating what
    was learnt last, and then no best checkpoint holds it.

    When training ends, ``results.json`` in the run folder says the values of the best validation, its ``step``, the
    ``seconds`` of training with all that happens in between, of a run that was stopped and went on those of its parts
    together, and the ``precision``. Whoever starts a run may name a file in ``LIGHTSEQ_RESULTS``: it gets the same, and
    the run's ``folder``.
    """

    def __init__(self) -> None:
        self.best: dict[str, float] = {}
        """``val/...`` of the validation with the lowest ``val/loss``, and its ``step``."""
        self.started = False
        """Whether training has begun."""
        self.goes_on = False
        """Whether a run goes on in its folder, rather than a new one from the checkpoint of another."""
        self._began = self._before = 0.0

    def state_dict(self) -> dict[str, Any]:
        seconds = perf_counter() - self._began if self.started else 0.0
        return {"best": self.best, "seconds": self._before + seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self.goes_on:
            self.best, self._before = dict(state_dict["best"]), state_dict["seconds"]

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a file that cannot be written before there is anything to write.

        Raises:
            UserError: Which, and why.
        """
        if place := os.environ.get(VARIABLE):
            try:
                check_writable(Path(place))
            except OSError as error:
                raise cannot_write(f"{VARIABLE}: {place}", error) from error

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = True
        self._began = perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Ask for a stop where Lightning would stop anyway: before one that is asked for it validates, if only this
        epoch is one to validate in."""
        last_epoch = trainer.max_epochs is not None and trainer.current_epoch + 1 == trainer.max_epochs
        if trainer.global_step == trainer.max_steps or (last_epoch and trainer.is_last_batch):
            trainer.should_stop = True
        if trainer.should_stop:
            trainer.check_val_every_n_epoch = 1

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        if trainer.sanity_checking or "val/loss" not in values:
            return
        if values["val/loss"] < self.best.get("val/loss", float("inf")):
            self.best = {**values, "step": trainer.global_step}

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = folder_of(trainer)
        if not trainer.is_global_zero or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        seconds = self._before + perf_counter() - self._began
        record = {**self.best, "seconds": seconds, "precision": str(trainer.precision)}
        if folder is not None:
            with safely("results.json"):
                write_whole(folder / ENDED, json.dumps(record, indent=2) + "\n")
        if place := os.environ.get(VARIABLE):
            with safely(VARIABLE):
                write_whole(Path(place), json.dumps({**record, "folder": folder and str(folder)}))

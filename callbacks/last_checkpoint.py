"""The checkpoint that a run goes on from."""

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import TensorBoardLogger

from ..checkpoint import LAST
from ..data import SequenceData
from ..types import NonNegativeInt
from .finite import all_finite
from .places import folder_of
from .safety import safely


class LastCheckpoint(Checkpoint):
    """Writes ``checkpoints/last.ckpt`` every few updates, after a validation where there is none yet, and where a run
    ends.

    It is written between two batches: all that the update before it has logged is in the curves by then, and a run that
    is killed and goes on leaves no gap in them. The one before it stays as ``previous.ckpt``.

    Args:
        every_n_steps: Optimiser updates between two of them; 0 is after every validation.
    """

    def __init__(self, every_n_steps: NonNegativeInt = 200) -> None:
        self.every_n_steps = every_n_steps
        self.path = Path(LAST)
        """Where it is written; known when a fit begins."""
        self._saved_update, self._written = 0, False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.path = Path(folder_of(trainer) or trainer.default_root_dir, "checkpoints", LAST)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._saved_update, self._written = trainer.global_step, False
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SequenceData):
            data.between_batches.append(partial(self._between_batches, trainer))

    def _between_batches(self, trainer: pl.Trainer) -> None:
        if self.every_n_steps and trainer.global_step >= self._saved_update + self.every_n_steps:
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if trainer.should_stop or not (self._written and self.every_n_steps):  # many short epochs would cost too much
            self.save(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.should_stop and not trainer.enable_validation:
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """Write it now, unless it would be of no use; on all ranks."""
        if trainer.fast_dev_run or not all_finite(trainer):  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                with safely("the curves on disk"):
                    logger.experiment.flush()
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved_update, self._written = trainer.global_step, True

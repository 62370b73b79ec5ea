"""The numbers that a run ends with."""

import pytorch_lightning as pl
from pytorch_lightning import Callback


class Results(Callback):
    """Makes every run end with a validation, and remembers the best one.

    Lightning stops at ``max_steps``, or after an epoch that ``check_val_every_n_epoch`` skips, without validating what
    was learnt last, and then no best checkpoint holds it.
    """

    def __init__(self) -> None:
        self.best: dict[str, float] = {}
        """``val/...`` of the validation with the lowest ``val/loss``, and its ``step``."""
        self.started = False
        """Whether training has begun."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go last among the callbacks, to see the wish of any other to stop."""
        callbacks = trainer.callbacks  # type: ignore[attr-defined]
        callbacks.append(callbacks.pop(callbacks.index(self)))

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

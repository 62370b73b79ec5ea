"""An end before the last update."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason


class StopEarly(EarlyStopping):
    """Lightning's ``EarlyStopping`` on ``val/loss``, which says that it has stopped, and why.

    Args:
        patience: Validations in a row without a better one after which training stops. A loss that is not a number
            stops it at once. A run that goes on from a checkpoint goes on counting.
    """

    def __init__(self, patience: int) -> None:
        super().__init__("val/loss", patience=patience, check_on_train_epoch_end=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})  # what is asked for now
        self.stopping_reason = EarlyStoppingReason.NOT_STOPPED  # that was the run before

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.stopping_reason is EarlyStoppingReason.NOT_STOPPED or not trainer.is_global_zero:
            return
        diverged = self.stopping_reason is EarlyStoppingReason.NON_FINITE_METRIC
        why = "is not a number" if diverged else f"has not been lower than {float(self.best_score):.4f}"
        since = "" if diverged else f" for {self.wait_count} validations"
        print(f"\nstopped after update {trainer.global_step}: val/loss {why}{since}")

"""How fast training goes."""

from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback


class Throughput(Callback):
    """Logs ``train/tokens_per_second``: tokens scored, over the time spent in training batches alone; of several ranks
    this one's, times their number."""

    def __init__(self) -> None:
        self._tokens: Any = 0
        self._seconds = self._began = 0.0
        self._logged_update = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._began = perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._seconds += perf_counter() - self._began
        self._tokens += outputs["tokens"]
        update, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if not every or update % every or update == self._logged_update:
            return
        self._logged_update = update
        rate = float(self._tokens) * trainer.world_size / self._seconds
        pl_module.log("train/tokens_per_second", rate)
        self._tokens, self._seconds = 0, 0.0

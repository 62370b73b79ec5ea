"""How fast training goes."""

from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback


class Throughput(Callback):
    """Logs ``train/tokens_per_second``: tokens scored by all ranks, over the time spent in training batches alone."""

    def __init__(self) -> None:
        self._tokens: Any = 0
        self._seconds = 0.0
        self._since: float | None = None
        self._logged_update = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = perf_counter()
        if self._since is not None:  # the first batch after a pause would count the pause
            self._seconds += now - self._since
            self._tokens += outputs["tokens"]
        self._since = now
        update = trainer.global_step
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it late
        if update % every or update == self._logged_update or not self._seconds:
            return
        self._logged_update = update
        rate = float(self._tokens) * trainer.world_size / self._seconds
        pl_module.log("train/tokens_per_second", rate)
        self._tokens, self._seconds, self._since = 0, 0.0, perf_counter()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = None

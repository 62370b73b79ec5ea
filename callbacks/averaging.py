"""Averaged weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor

from ..errors import UserError
from ..types import Probability


class AveragedWeights(WeightAveraging):
    """An exponential moving average of the weights (Polyak and Juditsky 1992), which is what is validated, sampled and
    saved as a checkpoint's weights; training goes on from its own, which a checkpoint holds beside them.

    A young average forgets faster: after n updates no more than (1 + n) / (10 + n) of it stays. Sharded weights are not
    averaged.

    Args:
        decay: Share of the average that stays at each update; 0 is no average.
    """

    def __init__(self, decay: Probability = 0.0) -> None:
        super().__init__(use_buffers=False, multi_avg_fn=self._move)
        self.decay = decay

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, ModelParallelStrategy):
            raise UserError("averaging.decay needs whole weights, and trainer/fsdp has none; set it to 0")
        super().setup(trainer, pl_module, stage)

    def _move(self, averages: list[Tensor], weights: list[Tensor], moved: Tensor) -> None:
        updates = float(moved)
        torch._foreach_lerp_(averages, weights, 1 - min(self.decay, (1 + updates) / (10 + updates)))


def averaging_of(trainer: pl.Trainer) -> WeightAveraging | None:
    """What averages the weights of a run: the house's own, one that the user has brought, or nothing."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((c for c in callbacks if isinstance(c, WeightAveraging)), None)


@contextmanager
def averaged(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[None]:
    """Within it the network has its averaged weights, where the run averages any."""
    own = averaging_of(trainer)
    if own:
        own._swap_models(pl_module)
    try:
        yield
    finally:
        if own:
            own._swap_models(pl_module)

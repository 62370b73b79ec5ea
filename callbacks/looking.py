"""How to look at a model that trains: nothing of it is changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from ..model import SequenceModel
from ..system import SequenceSystem
from .averaging import averaged


@contextmanager
def lent(trainer: pl.Trainer, system: SequenceSystem) -> Iterator[SequenceModel | None]:
    """The whole network, for rank zero to look at, with its averaged weights where the run has some; afterwards it is
    as it was. The other ranks get None and go on, to wait at what all do next.

    All ranks must enter, and by what all of them know: of a sharded network each has a part, and a copy is put together
    for rank zero. Within, nothing may wait for another rank.
    """
    if system.sharding is not None:
        yield system.sharding.whole(kept=trainer.is_global_zero)
    elif trainer.is_global_zero:
        with averaged(trainer, system):
            yield system.model
    else:
        yield None


@contextmanager
def looking(trainer: pl.Trainer, system: SequenceSystem) -> Iterator[SequenceModel | None]:
    """``lent`` in eval mode, without gradients, and in the precision that it is validated in."""
    with lent(trainer, system) as model:
        if model is None:
            yield None
            return
        training = model.training
        with torch.no_grad(), trainer.precision_plugin.val_step_context():
            model.eval()
            try:
                yield model
            finally:
                model.train(training)

"""How to look at a model that trains: nothing of it is changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch

from ..model import SequenceModel
from ..system import SequenceSystem
from .averaging import averaged


@contextmanager
def looking(trainer: pl.Trainer, system: SequenceSystem) -> Iterator[SequenceModel]:
    """The network with its averaged weights where the run has some, in eval mode, without gradients, and in the
    precision that it is validated in; afterwards it is as it was."""
    model, training = system.model, system.model.training
    with averaged(trainer, system), torch.no_grad(), trainer.precision_plugin.val_step_context():
        model.eval()
        try:
            yield model
        finally:
            model.train(training)

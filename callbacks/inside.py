"""What goes on inside a network while it trains."""

from collections import defaultdict

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch import nn

from ..data import SequenceData
from ..model import SequenceModel
from ..system import SequenceSystem
from ..types import NonNegativeInt, PositiveInt
from . import excerpts, gates, surprisal
from .drawing import add_picture
from .graceful_stop import stop_asked
from .history import record
from .looking import looking
from .places import folder_of
from .safety import safely


class Inside(Callback):
    """Looks into the network.

    At validations, in TensorBoard, two pictures: ``inside/surprisal``, what a few texts of the validation split cost
    character by character, and ``inside/gates``, the backbone's gates in the first of them; in every log
    ``inside/weight_norm/...``, of the embedding, each layer and the head. When training ends, of a language model: what
    the history is worth to it (``memory.json`` in the run folder, a line in the terminal, ``inside/memory``). Of a
    network that has diverged, whose values are not finite, there are neither gates nor memory.

    Nothing is drawn at random, and the state is its own: training ends in the same weights with and without it. Where
    the process is asked to stop, it looks no more.

    Args:
        enabled: Whether to look at all.
        excerpts: How many texts are shown. Of short ones, names say, more, until they have ``characters`` together.
        characters: Time steps of a text that are shown.
        every_n_steps: Optimiser updates between two pictures at the least, where validations are close together; the
            first validation and the last have theirs.
    """

    def __init__(
        self,
        enabled: bool = True,
        excerpts: PositiveInt = 2,
        characters: PositiveInt = 160,
        every_n_steps: NonNegativeInt = 800,
    ) -> None:
        self.enabled, self.excerpts, self.characters, self.every_n_steps = enabled, excerpts, characters, every_n_steps
        self._drawn_update: int | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._drawn_update = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.enabled or trainer.sanity_checking:
            return
        assert isinstance(pl_module, SequenceSystem)
        with looking(trainer, pl_module) as model:
            if model is None or stop_asked():
                return
            with safely("the norms of the weights"):
                norms = {f"inside/weight_norm/{name}": norm for name, norm in weight_norms(model).items()}
                for logger in trainer.loggers:
                    logger.log_metrics(norms, trainer.global_step)
            if self._drawn_update is None or trainer.global_step - self._drawn_update >= self.every_n_steps:
                with safely("the pictures of the network"):
                    self._draw(trainer, pl_module, model)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = folder_of(trainer)
        if not self.enabled or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        assert isinstance(pl_module, SequenceSystem)
        with looking(trainer, pl_module) as model:
            if model is None:
                return
            if self._drawn_update != trainer.global_step:
                with safely("the pictures of the network"):
                    self._draw(trainer, pl_module, model)
            data = trainer.datamodule  # type: ignore[attr-defined]
            if isinstance(data, SequenceData) and pl_module.labels is None:
                with safely("the measure of the memory"):
                    record(model, data, trainer, folder)

    def _draw(self, trainer: pl.Trainer, system: SequenceSystem, model: SequenceModel) -> None:
        boards = [logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not boards or not isinstance(data, SequenceData):
            return
        self._drawn_update = trainer.global_step
        texts = excerpts.choose(data, self.excerpts, self.characters)
        with safely("the picture of the surprisal"):
            readings = excerpts.read(model, texts, system.vocabulary, system.labels is not None)
            image = surprisal.picture(readings)
            for board in boards:
                add_picture(board, "inside/surprisal", image, trainer.global_step)
        with safely("the picture of the gates"):
            first = excerpts.beginning(texts, self.characters)
            traces = excerpts.traces(model, first)
            if traces[0] and all(np.isfinite(values).all() for own in traces for values in own.values()):
                heat = gates.picture(traces, [text.names for text in first])
                for board in boards:
                    add_picture(board, "inside/gates", heat, trainer.global_step)


def weight_norms(model: nn.Module) -> dict[str, float]:
    """The Euclidean norm of a network's parameters by what they are part of: ``embedding``, ``head``, and of the
    backbone each numbered layer (``layers.0``) and whatever else it has.

    Args:
        model: A ``SequenceModel``.
    """
    squares = defaultdict[str, float](float)
    for name, parameter in model.named_parameters():
        part, *rest = name.split(".")
        if part == "backbone":
            part = ".".join(rest[:2]) if len(rest) > 1 and rest[1].isdigit() else rest[0]
        squares[part] += float(parameter.detach().float().square().sum())
    return {part: square**0.5 for part, square in squares.items()}

"""What the history is worth to a model, measured when training ends."""

import json
from math import isfinite
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from ..atomic import write_whole
from ..data import SequenceData, ngram
from ..memory import HISTORIES, Memory, measure
from ..model import SequenceModel
from ..vocabulary import Vocabulary
from . import curves
from .drawing import add_picture
from .excerpts import bounded

TOKENS, LONGEST = 20_000, 2_048
"""Tokens that are scored, and time steps of a document, at the most."""

LANES, LANE = 32, 512
"""Stretches of a stream, evenly spread, and their time steps. The first half only warms the state up."""

SAID = (8, 64, 256)
"""Histories that the terminal is told of."""


def record(model: SequenceModel, data: SequenceData, trainer: pl.Trainer, folder: Path | None) -> None:
    """Measure on the validation split; print a line, write ``memory.json``, and put a picture and two curves, over
    time steps and not updates, into TensorBoard (the run ``memory`` in the run's folder). Nothing of a network that has
    diverged.

    Args:
        model: In eval mode.
        data: Its validation split.
        trainer: Whose loggers are written to.
        folder: Of the run; None where nothing is logged.
    """
    memory, unit = measure(model, *texts(data)), _unit(data)
    if not isfinite(memory.loss):
        return
    print(line(memory, unit))
    if folder is None:
        return
    content = {"update": trainer.global_step, **memory._asdict()}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "memory.json", json.dumps(content, indent=2) + "\n")
    boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    if not boards:
        return
    found = ngram.yardsticks(data.store, data.parts, data.dataset.layout == "stream")
    drawn = {f"from the last {unit} only": memory.by_history, "at this place of a document": memory.by_position}
    levels = {"with all before it": memory.loss, f"{found.order}-gram": found.ngram}
    image = curves.picture({name: points for name, points in drawn.items() if points}, levels)
    for logger in boards:
        add_picture(logger.experiment, "inside/memory", image, trainer.global_step)
        with SummaryWriter(str(Path(logger.log_dir) / "memory")) as board:
            for tag, points in (("history", memory.by_history), ("position", memory.by_position)):
                for steps, nats in points.items():
                    board.add_scalar(f"inside/loss_by_{tag}", nats, steps)


def texts(data: SequenceData) -> tuple[list[Tensor], int]:
    """What is scored, of the validation split, and how many time steps at the beginning of each are not.

    Of documents all, or the first in a fixed random order; of a stream stretches that are scored from where the longest
    history is behind them.
    """
    store, part = data.store, data.parts["val"]
    if data.dataset.layout == "stream":
        length = min(LANE, len(part) - 1)
        count = min(LANES, (len(part) - 1) // length)
        places = [i * (len(part) - 1 - length) // max(1, count - 1) for i in range(count)]
        pieces = [part[place : place + length + 1] for place in places]
        return [torch.from_numpy(piece.astype(np.int64)) for piece in pieces], min(max(HISTORIES), length // 2)
    lengths = np.diff(store.offsets)[part] + 1
    chosen, steps = ngram.choose(np.minimum(lengths, LONGEST), TOKENS)
    documents = []
    for document, taken in zip(part[chosen], steps, strict=True):
        documents.append(torch.from_numpy(bounded(store, document)[: taken + 1]))
    return documents, 0


def line(memory: Memory, unit: str) -> str:
    """The loss with short histories, as the terminal has it."""
    first, *others = [k for k in SAID if k in memory.by_history] or list(memory.by_history)[:1]
    words = f"memory with only the last {first} {unit} the loss is {memory.by_history[first]:.2f}"
    words += "".join(f", with {k} {memory.by_history[k]:.2f}" for k in others)
    return f"{words}, with all {memory.loss:.2f}"


def _unit(data: SequenceData) -> str:
    return "characters" if set(Vocabulary(data.vocabulary).lengths) == {1} else "tokens"  # as bytes are not, nor words

"""Which labels a model takes for which, as a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from PIL import Image, ImageDraw, ImageFont
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from ..metrics import TokenMetrics
from ..system import SequenceSystem
from .drawing import BLUE, GAP, INK, LINE, RED, in_ascii, lettering
from .safety import safely

MOST = 200
"""Labels in a picture."""
NUMBERED = 20
"""Labels up to which the cells have their counts in them."""
NAME = 18
"""Characters of a label's name."""

RIGHT, WRONG = BLUE, RED

Array = npt.NDArray[Any]


class ConfusionMatrix(Callback):
    """Puts the confusion matrix of every validation into TensorBoard, as the picture ``val/confusion_matrix``. There is
    none of a language model, nor of more labels than ``metrics.MOST_LABELS``."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, SequenceSystem)
        metric = pl_module.evaluation.metrics[0]
        assert isinstance(metric, TokenMetrics)
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if boards and metric.matrix is not None and pl_module.labels is not None:
            with safely("the confusion matrix"):
                image = picture(metric.matrix.numpy(), pl_module.labels)
                for logger in boards:
                    logger.experiment.add_image("val/confusion_matrix", image, trainer.global_step, dataformats="HWC")


def picture(matrix: Array, labels: Sequence[str]) -> Array:
    """A confusion matrix to look at: the larger a cell's share of its row, the darker; blue where right, red where
    wrong. Up to ``NUMBERED`` labels with the counts, of more than ``MOST`` the most frequent ones.

    Args:
        matrix: (K, K) counts, rows true, columns predicted.
        labels: K names.

    Returns:
        (height, width, 3) uint8.
    """
    totals = matrix.sum(1)
    kept = np.sort(np.argsort(-totals, kind="stable")[:MOST])
    counts = matrix[np.ix_(kept, kept)]
    depths = np.sqrt(counts / np.maximum(totals[kept], 1)[:, None])  # so that a few in a hundred can be seen
    cell = min(80, max(12, 560 // len(kept)))
    note = "darker: a larger share of the row"
    if len(kept) < len(labels):
        note = f"the {len(kept)} most frequent of {len(labels):,} labels; {note}"
    return np.asarray(_framed(_cells(counts, depths, cell), [in_ascii(labels[i], i, NAME) for i in kept], cell, note))


def _cells(counts: Array, depths: Array, cell: int) -> Image.Image:
    """The matrix itself, ``cell`` pixels a square."""
    full = np.where(np.eye(len(counts), dtype=bool)[..., None], RIGHT, WRONG)
    colours = (255 + (full - 255) * depths[..., None]).astype(np.uint8)
    pixels = np.pad(colours.repeat(cell, 0).repeat(cell, 1), ((0, 1), (0, 1), (0, 0)))
    pixels[::cell] = pixels[:, ::cell] = LINE
    image = Image.fromarray(pixels)
    if len(counts) <= NUMBERED:
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(min(16, cell * 2 // 5))
        for row, column in np.argwhere(counts):
            middle = ((column + 0.5) * cell, (row + 0.5) * cell)
            ink = "white" if depths[row, column] > 0.6 else INK
            draw.text(middle, _short(int(counts[row, column])), ink, font, anchor="mm")
    return image


def _framed(cells: Image.Image, names: Sequence[str], cell: int, note: str) -> Image.Image:
    """The cells, with names at the rows and columns, and a note below."""
    rows = [lettering(name, min(14, cell - 2)) for name in names]
    widest = max(row.width for row in rows)
    columns = rows if widest < cell else [row.transpose(Image.Transpose.ROTATE_90) for row in rows]
    across, below = lettering("predicted", 15), lettering(note, 12)
    down = lettering("true", 15).transpose(Image.Transpose.ROTATE_90)
    left, top = down.width + widest + 3 * GAP, across.height + max(column.height for column in columns) + 3 * GAP
    width = max(left + max(cells.width, across.width), GAP + below.width) + 2 * GAP
    image = Image.new("RGB", (width, top + cells.height + below.height + 3 * GAP), "white")
    image.paste(cells, (left, top))
    image.paste(INK, (left + max(0, cells.width - across.width) // 2, GAP), across)
    image.paste(INK, (GAP, top + (cells.height - down.height) // 2), down)
    image.paste(INK, (GAP, top + cells.height + 2 * GAP), below)
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        middle = number * cell + cell // 2
        image.paste(INK, (left - GAP - row.width, top + middle - row.height // 2), row)
        image.paste(INK, (left + middle - column.width // 2, top - GAP - column.height), column)
    return image


def _short(count: int) -> str:
    """A count in four characters, of a thousand million and more in a few more."""
    if count < 10_000:
        return str(count)
    return f"{count // 1_000}k" if count < 1_000_000 else f"{count // 1_000_000}M"

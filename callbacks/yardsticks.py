"""What simple models reach, beside the curves."""

import math
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from ..data import SequenceData, ngram
from ..system import SequenceSystem


class Yardsticks(Callback):
    """Draws the yardsticks into TensorBoard: a level line each, from update 0 to the last, under the very tags
    ``val/loss`` and ``val/bpc``, in runs of their own within the run folder (``yardsticks/uniform``, ...), so that they
    stand in the charts of the model's own curves.

    The numbers come from the data alone: training ends in the same weights with and without it.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SequenceSystem)
        if math.isfinite(pl_module.total_updates):
            self._draw(trainer, int(pl_module.total_updates))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where nothing but a wish to stop bounds the run, its last update is known now."""
        assert isinstance(pl_module, SequenceSystem)
        if not math.isfinite(pl_module.total_updates):
            self._draw(trainer, trainer.global_step)

    def _draw(self, trainer: pl.Trainer, last: int) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not trainer.is_global_zero or not boards or not isinstance(data, SequenceData):
            return
        found = ngram.yardsticks(data.store, data.parts, data.dataset.layout == "stream")
        for logger in boards:
            for name, nats in found.rows.items():
                _write(Path(logger.log_dir) / "yardsticks" / name, found, nats, last)


def _write(folder: Path, found: ngram.Yardsticks, nats: float, last: int) -> None:
    bits = found.bits_per_character(nats)
    with SummaryWriter(str(folder)) as board:
        for update in (0, last):
            board.add_scalar("val/loss", nats, update)
            if bits is not None:
                board.add_scalar("val/bpc", bits, update)

"""What simple models reach, beside the curves."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter

from ..data import SequenceData, ngram
from ..system import SequenceSystem
from .safety import safely


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
                bits = found.bits_per_character(nats)
                values = {"val/loss": nats} | ({} if bits is None else {"val/bpc": bits})
                with safely("the yardsticks"):
                    level_lines(logger, name, values, last)


def level_lines(logger: TensorBoardLogger, name: str, values: Mapping[str, float], last: int) -> None:
    """Draw a level line a tag, from update 0 to the last, in a run of its own within the run folder, so that it stands
    in the chart of the run's own values of that tag."""
    with SummaryWriter(str(Path(logger.log_dir) / "yardsticks" / name)) as board:
        for tag, value in values.items():
            for update in (0, last):
                board.add_scalar(tag, value, update)

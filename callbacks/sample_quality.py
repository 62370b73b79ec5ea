"""How good the samples are while a model trains."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from ..data import SequenceData
from ..model import SequenceModel
from ..system import SequenceSystem
from .graceful_stop import stop_asked
from .looking import lent
from .safety import safely
from .sample_text import SampleText
from .showing import tag_of
from .text_quality import quality, warn_of_copying
from .yardsticks import level_lines


class SampleQuality(Callback):
    """Counts at validations how good samples are, at each temperature but 0: ``samples/novel/T=0.80`` and its kin, all
    that ``text_quality.quality`` counts, and the shares of the dataset's ``judge``. A checkpoint may be chosen by any.

    In TensorBoard the same numbers of human texts of the validation split are level lines in the same charts
    (``yardsticks/held_out``). A warning is given, once, where a model writes down what it was trained on.

    Samples cost more than updates. Where many validations are close together, those count that are
    ``sampling.every_n_steps`` updates or more after the last that did, and the last one of all; where a checkpoint or a
    stop depends on such a number, every one. A count that is cut short by a wish to stop is not logged.

    Args:
        sampling: What draws the samples, and says how many.
    """

    def __init__(self, sampling: SampleText) -> None:
        self.sampling = sampling
        self._temperatures = [heat for heat in dict.fromkeys(sampling.temperatures) if heat > 0]
        self._counted_update = 0
        self._human: dict[str, float] | None = None
        self._warned = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._counted_update, self._human, self._warned = 0, None, False

    def state_dict(self) -> dict[str, Any]:
        return {"counted_update": self._counted_update}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._counted_update = state_dict["counted_update"]

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rank zero alone counts, and all ranks log, so that all find what a checkpoint is chosen by."""
        assert isinstance(pl_module, SequenceSystem)
        data = trainer.datamodule  # type: ignore[attr-defined]
        wanted = self.sampling.judged and self._temperatures and pl_module.labels is None
        if not wanted or not isinstance(data, SequenceData) or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if not trainer.strategy.broadcast(self._is_due(trainer)):  # a wish to stop may have reached one rank alone
            return
        values = dict[str, float]()
        with lent(trainer, pl_module) as model:
            if model is not None:
                values = self._values(trainer, pl_module, model, data)
        pl_module.log_dict(trainer.strategy.broadcast(values), sync_dist=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Where nothing but a wish to stop bounds the run, its last update is known now."""
        assert isinstance(pl_module, SequenceSystem)
        if self._human and not math.isfinite(pl_module.total_updates):
            self._draw_lines(trainer, self._human, trainer.global_step)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        """Whether it is not too early to count again."""
        every, since = self.sampling.every_n_steps, trainer.global_step - self._counted_update
        return bool(_monitored(trainer) or trainer.should_stop or (every and since >= every))

    def _values(
        self, trainer: pl.Trainer, system: SequenceSystem, model: SequenceModel, data: SequenceData
    ) -> dict[str, float]:
        """What to log. Where something fails, or the process is asked to stop, what a checkpoint is chosen by is not a
        number, which none takes for good: to lack it would end the training."""
        unknown = dict.fromkeys(_monitored(trainer), math.nan)
        before, self._counted_update = self._counted_update, trainer.global_step
        values, complete = dict[str, float](), False
        with safely("the samples' quality"):
            judged = True
            for heat, found, whole in self._by_temperature(system, model, data):
                values |= {f"samples/{name}/{tag_of(heat)}": value for name, value in found.items()}
                judged = judged and whole
                self._warned = self._warned or warn_of_copying(heat, found)
            complete = judged
            if not stop_asked():
                self._compare(trainer, system, data)
        if stop_asked():
            self._counted_update = before
            return unknown
        return values if complete else {**unknown, **values}

    def _by_temperature(
        self, system: SequenceSystem, model: SequenceModel, data: SequenceData
    ) -> Iterator[tuple[float, dict[str, float], bool]]:
        """Each temperature with what ``_of_texts`` finds, until the process is asked to stop."""
        samples = self.sampling.draw(system, model, [""], self._temperatures, self.sampling.judged) or []
        for heat in self._temperatures:
            if stop_asked():
                return
            own = [sample for sample in samples if sample.temperature == heat]
            yield heat, *self._of_texts(data, [s.text for s in own], [s.ended for s in own])

    def _of_texts(
        self, data: SequenceData, texts: Sequence[str], ended: Sequence[bool]
    ) -> tuple[dict[str, float], bool]:
        """Numbers by name, and whether the dataset's judge is among them."""
        found = quality(texts, ended, self.sampling.corpus(data))
        with safely("the dataset's judge"):
            return {name: float(share) for name, share in data.dataset.judge(texts).items()} | found, True
        return found, False

    def _compare(self, trainer: pl.Trainer, system: SequenceSystem, data: SequenceData) -> None:
        """Draw the lines of the human texts, once."""
        if self._human is not None:
            return
        texts = self.sampling.corpus(data).held_out
        found, _ = self._of_texts(data, texts, [True] * len(texts))
        self._human = {f"samples/{name}/{tag_of(heat)}": v for heat in self._temperatures for name, v in found.items()}
        if math.isfinite(system.total_updates):
            self._draw_lines(trainer, self._human, int(system.total_updates))

    def _draw_lines(self, trainer: pl.Trainer, values: Mapping[str, float], last: int) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                with safely("the samples' yardsticks"):
                    level_lines(logger, "held_out", values, last)


def _monitored(trainer: pl.Trainer) -> list[str]:
    """Numbers of samples by which a checkpoint is chosen or a stop is decided."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    monitors = [c.monitor for c in callbacks if isinstance(c, ModelCheckpoint | EarlyStopping)]
    return [monitor for monitor in monitors if monitor is not None and monitor.startswith("samples/")]

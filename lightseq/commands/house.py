"""What every training has, beside what a configuration lists."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.profilers import PassThroughProfiler

from ..callbacks.board_layout import BoardLayout
from ..callbacks.confusion import ConfusionMatrix
from ..callbacks.early_stopping import StopEarly
from ..callbacks.exact_resume import ExactResume
from ..callbacks.graceful_stop import GracefulStop
from ..callbacks.last_checkpoint import LastCheckpoint
from ..callbacks.results import Results
from ..callbacks.sample_quality import SampleQuality
from ..callbacks.throughput import Throughput
from ..callbacks.yardsticks import Yardsticks

NOTHING = nullcontext()


class Unprofiled(PassThroughProfiler):
    """No profiler. Lightning's own makes a context for each hook of each callback, a hundred an update, and does
    nothing in it."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]  # no generator
        return NOTHING


class CastOnce(MixedPrecision):
    """bf16 by autocast as torch has it: a weight is cast once a forward pass. Lightning's casts it wherever it is read,
    that of a GRU at every time step."""

    def autocast_context_manager(self) -> torch.autocast:
        return torch.autocast(self.device, dtype=torch.bfloat16)


def put_precision(trainer: pl.Trainer, model: pl.LightningModule) -> None:
    """Put a trainer's precision in place.

    Args:
        trainer: That is to train, or to score.
        model: Its parameters are put into it. Lightning does so after a checkpoint is read, and digits are lost.
    """
    own = trainer.precision_plugin
    if type(own) is MixedPrecision and own.precision == "bf16-mixed":  # not those of sharded strategies
        trainer.strategy.precision_plugin = CastOnce(own.precision, own.device)
    trainer.precision_plugin.convert_module(model)


def house_callbacks(
    settings: Mapping[str, Any], labelled: bool, results: Results, resume: ExactResume
) -> list[Callback]:
    """The callbacks, in the order in which they are called.

    Args:
        settings: The configuration of a fit, the callbacks in it built.
        labelled: Whether the model predicts labels, and not text.
        results: What records the best validation.
        resume: What makes a run that goes on the same one.
    """
    trainer, averaging, patience = settings["trainer"], settings["averaging"], settings["early_stopping"]
    validates, saves = trainer["limit_val_batches"] != 0, trainer["enable_checkpointing"] is not False
    house: list[Callback] = [settings["finite"], GracefulStop(settings["last"] if saves else None)]
    house += [averaging] * (averaging.decay > 0)  # before what looks at the weights
    house += [Throughput(), Yardsticks(), settings["sampling"], SampleQuality(settings["sampling"])]
    house += [settings["inside"], BoardLayout(results)]
    house += [ConfusionMatrix()] * labelled
    if patience and validates:
        house.append(StopEarly(int(patience)))
    house += [resume, results]
    if saves:
        house += [settings["checkpoint"]] * validates + [settings["last"]]
    return house


def leave_group() -> None:
    """Take this process out of its group, of which it has all that it needs. Else gloo's threads now and then meet an
    interpreter that is being taken apart, and abort a run that has ended well."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def listed(value: Any) -> list[Any]:
    """What a setting holds that takes one or several, or none."""
    return value if isinstance(value, list) else [value] if value else []


def in_order(callbacks: list[Callback]) -> list[Callback]:
    """A run's callbacks, those last that must know what all others want: whether the run ends with this update, and
    then what writes checkpoints, which hold the records of the rest."""

    def place(callback: Callback) -> int:
        if isinstance(callback, LastCheckpoint):
            return 3
        return 2 if isinstance(callback, Checkpoint) else int(isinstance(callback, Results))

    return sorted(callbacks, key=place)

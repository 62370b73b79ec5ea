"""What every training has, beside what a configuration lists."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.profilers import PassThroughProfiler

from ...callbacks.diagnostics.baselines import BaselineLines
from ...callbacks.diagnostics.confusion_matrix import ConfusionMatrix
from ...callbacks.diagnostics.tensorboard_layout import BoardLayout
from ...callbacks.early_stopping import StopEarly
from ...callbacks.fault_tolerance.exact_resume import ExactResume
from ...callbacks.fault_tolerance.graceful_stop import GracefulStop
from ...callbacks.fault_tolerance.last_checkpoint import LastCheckpoint
from ...callbacks.results import Results
from ...callbacks.samples.sample_quality import SampleQuality
from ...callbacks.throughput import Throughput
from ...training.precision import NOTHING


class NoOpProfiler(PassThroughProfiler):
    """No profiler. Lightning's own makes a context for each hook of each callback, a hundred an update, and does
    nothing in it."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]  # no generator
        return NOTHING


def default_callbacks(
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
    house: list[Callback] = [settings["nonfinite"], GracefulStop(settings["last_checkpoint"] if saves else None)]
    house += [averaging] * (averaging.decay > 0)  # before what looks at the weights
    house += [Throughput(), BaselineLines(), settings["sampling"], SampleQuality(settings["sampling"])]
    house += [settings["diagnostics"], BoardLayout(results)]
    house += [ConfusionMatrix()] * labelled
    if patience and validates:
        house.append(StopEarly(int(patience)))
    house += [resume, results]
    if saves:
        house += [settings["checkpoint"]] * validates + [settings["last_checkpoint"]]
    return house


def destroy_process_group() -> None:
    """Take this process out of its group, of which it has all that it needs. Else gloo's threads now and then meet an
    interpreter that is being taken apart, and abort a run that has ended well."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def as_list(value: Any) -> list[Any]:
    """What a setting holds that takes one or several, or none."""
    return value if isinstance(value, list) else [value] if value else []


def sort_callbacks(callbacks: list[Callback]) -> list[Callback]:
    """A run's callbacks, those last that must know what all others want: whether the run ends with this update, and
    then what writes checkpoints, which hold the records of the rest."""

    def place(callback: Callback) -> int:
        if isinstance(callback, LastCheckpoint):
            return 3
        return 2 if isinstance(callback, Checkpoint) else int(isinstance(callback, Results))

    return sorted(callbacks, key=place)

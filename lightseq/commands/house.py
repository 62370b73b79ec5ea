"""The callbacks that every training has, beside those that a configuration lists."""

from collections.abc import Mapping
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import ModelCheckpoint

from ..callbacks.board_layout import BoardLayout
from ..callbacks.confusion import ConfusionMatrix
from ..callbacks.early_stopping import StopEarly
from ..callbacks.results import Results
from ..callbacks.sample_quality import SampleQuality
from ..callbacks.throughput import Throughput
from ..callbacks.yardsticks import Yardsticks


def house_callbacks(
    settings: Mapping[str, Any], labelled: bool, results: Results, last: ModelCheckpoint
) -> list[Callback]:
    """In the order in which they are called.

    Args:
        settings: The configuration of a fit, the callbacks in it built.
        labelled: Whether the model predicts labels, and not text.
        results: What records the best validation.
        last: What writes the last checkpoint.
    """
    trainer, averaging, patience = settings["trainer"], settings["averaging"], settings["early_stopping"]
    validates = trainer["limit_val_batches"] != 0
    house: list[Callback] = [averaging] * (averaging.decay > 0)  # before what looks at the weights
    house += [Throughput(), Yardsticks(), settings["sampling"], SampleQuality(settings["sampling"]), results]
    house += [settings["inside"], BoardLayout(results)]
    house += [ConfusionMatrix()] * labelled
    if patience and validates:
        house.append(StopEarly(int(patience)))
    if trainer["enable_checkpointing"] is not False:
        house += [settings["checkpoint"]] * validates + [last]
    return house

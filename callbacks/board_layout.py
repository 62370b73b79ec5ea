"""How TensorBoard lays a run out, and what it says of it in one row."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from .results import Results
from .safety import safely

_COUNTED = {
    "novel": "novel",
    "unique": "unique",
    "ended by itself": "ended",
    "characters": "length",
    "longest span copied from the training text": "longest_copy",
    "distinct pairs of characters": "distinct2",
    "eight characters in a row that the training text has too": "overlap8",
}
"""By title, of what is counted of samples what every dataset has."""

LAYOUT: dict[str, dict[str, list[Any]]] = {
    title: {chart: ["Multiline", [f"^{tag}$" for tag in tags]] for chart, tags in charts.items()}
    for title, charts in {
        "loss": {
            "nats a token, held out, with the yardsticks": ["val/loss"],
            "bits a character, held out, with the yardsticks": ["val/bpc"],
            "nats a token, in training and held out": ["train/loss", "val/loss"],
            "nats a token after cold starts": ["val/loss", "val/loss_cold64", "val/loss_cold256"],
        },
        "samples by temperature": {
            **{chart: [f"samples/{name}/.*"] for chart, name in _COUNTED.items()},
            "what the dataset judges, and the rest": [f"samples/(?!({'|'.join(_COUNTED.values())})/).*"],
        },
        "inside": {
            "norms of the weights": ["inside/weight_norm/.*"],
            "norm of the gradient": ["train/gradient_norm"],
            "nats a token with only the last k tokens, over k": ["inside/loss_by_history"],
            "nats a token over its place in a document": ["inside/loss_by_position"],
        },
        "speed": {"tokens a second": ["train/tokens_per_second"], "learning rate": ["train/learning_rate"]},
    }.items()
}
"""By category and title what TensorBoard shows under CUSTOM SCALARS: regular expressions over tags."""

LONG = ("vocabulary", "labels", "token_counts", "tokens", "label_names")
"""Hyper-parameters that are lists of the data's."""


class BoardLayout(Callback):
    """Groups the charts of a run (CUSTOM SCALARS), and at the end says its settings and the values of its best
    validation in one row, to compare runs by (HPARAMS), there and as the scalars ``best/loss``, ``best/bpc``, ...

    Args:
        results: What records the best validation.
    """

    def __init__(self, results: Results) -> None:
        self.results = results

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for logger in _boards(trainer):
            with safely("the layout of the board"):
                logger.experiment.add_custom_scalars(LAYOUT)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        best = {name.replace("val/", "best/"): value for name, value in self.results.best.items() if name != "step"}
        if not best:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        own = {**pl_module.hparams, **({} if data is None else data.hparams)}
        settings = {name: value for name, value in own.items() if name not in LONG}
        for logger in _boards(trainer):
            with safely("the hyper-parameters on the board"):
                step = int(self.results.best["step"])
                logger.log_hyperparams({**settings, "precision": str(trainer.precision)}, best, step)


def _boards(trainer: pl.Trainer) -> list[TensorBoardLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]

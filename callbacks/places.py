"""Where a run writes."""

from pathlib import Path

import pytorch_lightning as pl


def folder_of(trainer: pl.Trainer) -> Path | None:
    """The run folder; None of a run that logs nothing. All ranks must ask: the answer is broadcast."""
    folder = trainer.log_dir if trainer.loggers else None
    return None if folder is None else Path(folder)

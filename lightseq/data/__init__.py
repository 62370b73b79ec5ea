"""From a dataset's documents to batches."""

from .datamodule import SequenceData
from .dataset import TextDataset
from .fetch import fetch

__all__ = ["SequenceData", "TextDataset", "fetch"]

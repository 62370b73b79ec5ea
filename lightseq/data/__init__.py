"""From a dataset's documents to batches."""

from .datamodule import SequenceData
from .dataset import TextDataset

__all__ = ["SequenceData", "TextDataset"]

"""What is reported of a pass over data: sums kept, divided once."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from .types import IGNORE_INDEX, Batch

MOST_LABELS = 1_000
"""With more, the confusion matrix and macro F1 are left out: a matrix grows with the square."""


class TokenMetrics(Metric):
    """Loss in nats per token, perplexity, accuracy, bits per character and nats per document; of labels the
    confusion matrix and macro F1.

    All are exact for any batch size and any number of processes: the states are sums.

    Args:
        lengths: (V,) The characters that each target token stands for, for bits per character; None for labels.
        documents: Whether rows are documents, so that nats per document mean something.
        labels: K, how many labels there are; 0 of a language model.
    """

    full_state_update = False
    nats: Tensor
    tokens: Tensor
    characters: Tensor
    correct: Tensor
    documents: Tensor
    confusion: Tensor
    lengths: Tensor | None
    matrix: Tensor | None
    """(K, K) int64, the confusion matrix of the last ``compute``, of all processes: rows true, columns predicted."""

    def __init__(self, lengths: list[int] | None, documents: bool, labels: int = 0) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("tokens", "characters", "correct", "documents"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.register_buffer("lengths", None if lengths is None else torch.tensor(lengths), persistent=False)
        self.per_document, self.labels, self.matrix = documents, labels if labels <= MOST_LABELS else 0, None
        if self.labels:
            self.add_state("confusion", torch.zeros(self.labels, self.labels, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, nats: Tensor, logits: Tensor, batch: Batch) -> None:
        """Add a batch: its summed nats, its (B, T, V) logits, and the batch itself."""
        scored, predicted = batch.targets != IGNORE_INDEX, logits.argmax(-1)
        self.nats += nats.double()
        self.tokens += scored.sum()
        self.correct += (predicted == batch.targets).sum()
        self.documents += (batch.reset & scored.any(dim=1)).sum()
        self.characters += count_characters(batch.targets, self.lengths)
        if self.labels:
            pairs = (batch.targets * self.labels + predicted)[scored]
            self.confusion += pairs.bincount(minlength=self.labels**2).view_as(self.confusion)

    def compute(self) -> dict[str, Tensor]:
        """``loss``, ``perplexity``, ``accuracy``, and where they apply ``bpc``, ``nats_per_document``, ``macro_f1``."""
        loss = self.nats / self.tokens
        values = {"loss": loss, "perplexity": loss.exp(), "accuracy": self.correct.double() / self.tokens}
        if self.lengths is not None:
            values["bpc"] = self.nats / math.log(2) / self.characters
        if self.per_document:
            values["nats_per_document"] = self.nats / self.documents
        if self.labels:
            self.matrix = self.confusion.cpu().clone()
            values["macro_f1"] = macro_f1(self.confusion)
        return values


def count_characters(targets: Tensor, lengths: Tensor | None) -> Tensor:
    """How many characters targets stand for.

    Args:
        targets: (B, T) ids, ``IGNORE_INDEX`` where nothing is scored.
        lengths: (V,) Of each token; None is none.
    """
    if lengths is None:
        return targets.new_zeros(())
    return (lengths[targets.clamp(min=0)] * (targets != IGNORE_INDEX)).sum()


def macro_f1(confusion: Tensor) -> Tensor:
    """The mean of F1 = 2 tp / (2 tp + fp + fn) over the labels that occur or are predicted; of its two namesakes the
    averaged F1 (Opitz and Burst 2019).

    Args:
        confusion: (K, K) counts, rows true, columns predicted.

    Returns:
        () float64, NaN where nothing was counted.
    """
    sums = confusion.sum(0) + confusion.sum(1)
    return (2 * confusion.diagonal().double() / sums)[sums > 0].mean()

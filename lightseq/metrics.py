"""What is reported of a pass over data: sums kept, divided once."""

import math

import torch
from torch import Tensor
from torchmetrics import Metric

from .types import IGNORE_INDEX, Batch


class TokenMetrics(Metric):
    """Loss in nats per token, perplexity, accuracy, bits per character and nats per document.

    All are exact for any batch size and any number of processes: the states are sums.

    Args:
        lengths: (V,) The characters that each target token stands for, for bits per character; None for labels.
        documents: Whether rows are documents, so that nats per document mean something.
    """

    full_state_update = False
    nats: Tensor
    tokens: Tensor
    characters: Tensor
    correct: Tensor
    documents: Tensor
    lengths: Tensor | None

    def __init__(self, lengths: list[int] | None, documents: bool) -> None:
        super().__init__()
        self.add_state("nats", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        for name in ("tokens", "characters", "correct", "documents"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.register_buffer("lengths", None if lengths is None else torch.tensor(lengths), persistent=False)
        self.per_document = documents

    def update(self, nats: Tensor, logits: Tensor, batch: Batch) -> None:
        """Add a batch: its summed nats, its (B, T, V) logits, and the batch itself."""
        scored = batch.targets != IGNORE_INDEX
        self.nats += nats.double()
        self.tokens += scored.sum()
        self.correct += (logits.argmax(-1) == batch.targets).sum()
        self.documents += (batch.reset & scored.any(dim=1)).sum()
        if self.lengths is not None:
            self.characters += self.lengths[batch.targets.clamp(min=0)].mul(scored).sum()

    def compute(self) -> dict[str, Tensor]:
        """``loss``, ``perplexity``, ``accuracy``, and where they apply ``bpc`` and ``nats_per_document``."""
        loss = self.nats / self.tokens
        values = {"loss": loss, "perplexity": loss.exp(), "accuracy": self.correct.double() / self.tokens}
        if self.lengths is not None:
            values["bpc"] = self.nats / math.log(2) / self.characters
        if self.per_document:
            values["nats_per_document"] = self.nats / self.documents
        return values

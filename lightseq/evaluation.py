"""A network on a whole split: its own state, carried from window to window, and exact sums."""

from torch import Tensor, nn

from .loss import cross_entropy
from .metrics import TokenMetrics
from .model import SequenceModel
from .types import IGNORE_INDEX, Batch, State

WAYS = ("", "_cold64", "_cold256")
"""What a metric's name ends in, by the number of the data loader: a stream is evaluated in three ways."""


class Evaluation(nn.Module):
    """Scores one batch after another.

    Args:
        lengths: (V,) Characters that each token stands for; None where bits per character mean nothing.
        documents: Whether there are documents, and nats of each.
        labels: How many labels there are; 0 of a language model.
    """

    def __init__(self, lengths: list[int] | None, documents: bool, labels: int) -> None:
        super().__init__()
        self.metrics = nn.ModuleList(TokenMetrics(lengths, documents, labels) for _ in WAYS)
        self._state: State | None = None

    def logits(self, model: SequenceModel, batch: Batch, first: bool) -> Tensor:
        """(B, T, outputs) of the next window. The state is the evaluation's own: training finds its own as it left it.

        Args:
            model: In eval mode.
            batch: The window.
            first: Whether it is the first of its data loader, and nothing is carried.
        """
        logits: Tensor
        logits, self._state = model(batch.tokens, model.begin(None if first else self._state, batch))
        return logits

    def add(self, model: SequenceModel, batch: Batch, first: bool, way: int) -> None:
        """Score a window in one of the ``WAYS``."""
        logits = self.logits(model, batch, first)
        nats, _ = cross_entropy(logits, batch.targets)
        metric = self.metrics[way]
        assert isinstance(metric, TokenMetrics)
        metric.update(nats, logits, batch)

    def predictions(self, model: SequenceModel, batch: Batch, first: bool) -> dict[str, Tensor]:
        """By time step, (B, T) each: the likeliest output (``predicted``, an id), its ``probability``, and the target's
        ``nats``, 0 where nothing is scored; with them what the batch holds."""
        chances = self.logits(model, batch, first).float().log_softmax(-1)
        nats = nn.functional.nll_loss(chances.mT, batch.targets, ignore_index=IGNORE_INDEX, reduction="none")
        best, predicted = chances.max(-1)
        found = {"predicted": predicted, "probability": best.exp(), "nats": nats}
        return {**found, "tokens": batch.tokens, "targets": batch.targets, "reset": batch.reset}

    def values(self) -> dict[str, Tensor]:
        """All numbers by name, over all ranks, and begin afresh."""
        self._state = None
        values = dict[str, Tensor]()
        for suffix, metric in zip(WAYS, self.metrics, strict=True):
            assert isinstance(metric, TokenMetrics)
            if metric.update_called:  # documents are evaluated in one way only
                found = metric.compute()
                names = ("loss", "bpc") if suffix else found
                values |= {f"{name}{suffix}": found[name] for name in names if name in found}
            metric.reset()
        return values

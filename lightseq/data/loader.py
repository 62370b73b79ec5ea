"""What Lightning iterates over."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..types import Batch
from .batching import BatchSource

AHEAD = 1 << 15
"""Time steps that are made ready at once, and what the last batch has more."""


class SequenceLoader:
    """Batches in order, an epoch at each iteration, with a position that can be stored and restored.

    It has a length, without which Lightning fetches a batch ahead and loses it on resume, and no worker process: what
    is memory-mapped needs none.

    Args:
        source: The batches by number.
        epoch: The first one.
        between: Called before each batch is taken: the one before it is done with, and all that it has led to.
    """

    def __init__(self, source: BatchSource, epoch: int = 0, between: Sequence[Callable[[], None]] = ()) -> None:
        self.source, self.between = source, between
        self.epoch, self.position = epoch, 0
        self._go_on = True

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[Batch]:
        if not self._go_on:
            self.epoch, self.position = self.epoch + 1, 0
        self._go_on = False
        ahead: list[Batch] = []
        while self.position < len(self.source):
            for call in self.between:
                call()
            ahead = ahead or self._ahead()
            self.position += 1
            yield ahead.pop()

    def _ahead(self) -> list[Batch]:
        """The next batches, the next one last. Made one after the other they take a fraction of what each would by
        itself, in the middle of all that an update does."""
        batches: list[Batch] = []
        steps, left = 0, len(self.source) - self.position
        while steps < AHEAD and len(batches) < left:
            batches.append(self.source.batch(self.epoch, self.position + len(batches)))
            steps += batches[-1].tokens.numel()
        return batches[::-1]

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch stands. The end of an epoch is the beginning of the next: stored as an exhausted one,
        a whole epoch would be skipped without a word."""
        finished, position = divmod(self.position, len(self.source))
        return {"epoch": self.epoch + finished, "position": position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        self.epoch, self.position = state["epoch"], state["position"]
        self._go_on = True

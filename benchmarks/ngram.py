"""An interpolated n-gram: the yardstick that a recurrent network must beat."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import log


class NGram:
    """Interpolated Kneser-Ney of one order (Chen and Goodman 1999), over documents with a boundary at both ends.

    The discount of each length of history is n1 / (n1 + 2 n2), of the n-grams seen once and twice.

    Args:
        documents: Token ids without boundaries.
        order: n; the history is n - 1 tokens.
        size: V, the boundary counted.
        boundary: Its id.
    """

    def __init__(self, documents: Iterable[Sequence[int]], order: int, size: int, boundary: int) -> None:
        self.order, self.size, self.boundary = order, size, boundary
        self.counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
        for document in documents:
            for history, token in self._grams(document):
                self.counts[-1][history][token] += 1
        for length in range(order - 2, -1, -1):  # below the top: in how many longer histories a token was seen
            for history, followers in self.counts[length + 1].items():
                for token in followers:
                    self.counts[length][history[1:]][token] += 1
        self.discounts = [self._discount(counts) for counts in self.counts]

    def nats(self, document: Sequence[int]) -> float:
        """-ln p of a document's tokens and of the boundary that ends it."""
        return -sum(log(self.probability(token, history)) for history, token in self._grams(document))

    def probability(self, token: int, history: tuple[int, ...]) -> float:
        """p(token | history), the lengths of history interpolated from none to all."""
        p = 1 / self.size
        for length, counts in enumerate(self.counts):
            followers = counts.get(history[len(history) - length :])
            if not followers:
                break
            discount, total = self.discounts[length], followers.total()
            p = max(followers[token] - discount, 0) / total + discount * len(followers) / total * p
        return p

    def _grams(self, document: Sequence[int]) -> Iterable[tuple[tuple[int, ...], int]]:
        padded = [self.boundary] * (self.order - 1) + [*document, self.boundary]
        for end in range(self.order - 1, len(padded)):
            yield tuple(padded[end - self.order + 1 : end]), padded[end]

    @staticmethod
    def _discount(counts: dict[tuple[int, ...], Counter[int]]) -> float:
        seen = Counter(n for followers in counts.values() for n in followers.values())
        return seen[1] / (seen[1] + 2 * seen[2]) if seen[1] else 0.5

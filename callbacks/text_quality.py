"""How good texts are: whether they end, how varied they are, and what of them is copied."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..data import SequenceData
from ..data.copies import Compared, Copy, CopyIndex, decoded, size
from ..vocabulary import shorten

SPREAD = 50
"""Texts, evenly chosen, over which distinct n-grams are counted: the more texts, the smaller their share."""
NGRAMS = (2, 3)
"""Characters of the n-grams whose distinct share is told,"""
OVERLAPS = (4, 8)
"""and of those that are looked up in the training text, as far as its alphabet lets that many be looked up at once."""

HELD_OUT = 200
"""Human texts that samples are compared with at the most."""

WARM = 0.8
"""From this temperature on a model that copies does so for want of anything else to write."""
MUCH = 0.5
"""Copying above this share is warned of: of the documents that are training documents, or of the characters of the
longest copied span. Models at their best validation copy 0.0 to 0.4 of first names and no other document, and 0.07 to
0.2 of a page or tune, where other people's have 0.07 to 0.13."""
LONG = 100
"""Characters from which on a text has room for more than stock phrases."""

NOTED = 32
"""Characters of a copied span that is told of in any case; a shorter one where it is three quarters of the text."""


class Corpus:
    """What samples are compared with, read when it is first asked for.

    Args:
        data: Its training split, and the held-out one.
        most: Tokens of a training split that is indexed; above it, nothing is compared with it.
        length: Characters of a held-out excerpt of a stream.
    """

    def __init__(self, data: SequenceData, most: int, length: int) -> None:
        self.stream = data.dataset.layout == "stream"
        self.held_out = self._excerpts(data, length)
        self.documents: frozenset[str] = frozenset()
        self.index: CopyIndex | None = None
        if size(data.store, data.parts["train"], self.stream) <= most:
            texts = decoded(data.store, data.parts["train"], self.stream)
            self.index = CopyIndex(texts)
            if not self.stream:
                self.documents = frozenset(texts)

    def _excerpts(self, data: SequenceData, length: int) -> list[str]:
        """Some of the validation split, evenly spread: documents, or as much of a stream as a sample has."""
        part = data.parts["val"]
        if not self.stream:
            chosen = part[np.linspace(0, len(part) - 1, min(len(part), HELD_OUT)).astype(int)]
            return decoded(data.store, chosen, stream=False)
        begins = np.unique(np.linspace(0, max(0, len(part) - length), HELD_OUT).astype(int))
        return [decoded(data.store, part[begin : begin + length], stream=True)[0] for begin in begins]

    def compare(self, texts: Sequence[str]) -> list[Compared] | None:
        """Texts beside the training text; None where that is too large."""
        return None if self.index is None else self.index.compare(texts)

    def notes(self, texts: Sequence[str]) -> list[list[str]]:
        """Of each text, in a line, that it is a training document, or where its longest copied span stands; nothing of
        one whose spans are short."""
        if self.index is None:
            return [[] for _ in texts]
        return [self._note(text, each.longest) for text, each in zip(texts, self.index.compare(texts), strict=True)]

    def _note(self, text: str, copy: Copy) -> list[str]:
        length = copy.length
        if text in self.documents:
            return ["it is a training document"]
        if not length or (length < NOTED and 4 * length < 3 * len(text)):
            return []
        where = (
            f"at character {copy.offset:,} of the training text"
            if self.stream
            else f"in training document {copy.document:,}"
        )
        span = shorten(text[copy.begin : copy.begin + length], 60)
        return [f"{length} of its {len(text)} characters stand {where}: {span!r}"]


def quality(texts: Sequence[str], ended: Sequence[bool], corpus: Corpus) -> dict[str, float]:
    """Numbers of some texts by name.

    ``ended`` (share that ended by itself) and ``novel`` (share that is no training document), not of a stream;
    ``length``, in characters; ``unique``, the share of different texts; ``distinct2`` and ``distinct3``, the different
    n-grams of characters over all (Li et al. 2016); ``longest_copy``, the characters of the longest span of a text that
    stands in the training text, and ``copied``, its share of the text, each the mean over the texts; ``overlap4`` and
    ``overlap8``, the share of the n-grams that stand there.

    Args:
        texts: One at least.
        ended: (texts,) Whether each ended by itself, rather than at a length.
        corpus: What they are compared with.
    """
    values = {"length": float(np.mean([len(text) for text in texts])), "unique": len(set(texts)) / len(texts)}
    if not corpus.stream:
        values["ended"] = float(np.mean(ended))
    for n in NGRAMS:
        grams = [text[i : i + n] for text in texts[:: -(-len(texts) // SPREAD)] for i in range(len(text) - n + 1)]
        values[f"distinct{n}"] = len(set(grams)) / max(1, len(grams))
    compared = corpus.compare(texts)
    if compared is not None:
        values.update(_copying(texts, compared, corpus))
    return values


def _copying(texts: Sequence[str], compared: Sequence[Compared], corpus: Corpus) -> Iterator[tuple[str, float]]:
    assert corpus.index is not None
    spans = np.array([each.longest.length for each in compared])
    if not corpus.stream:
        yield "novel", float(np.mean([text not in corpus.documents for text in texts]))
    yield "longest_copy", float(spans.mean())
    yield "copied", float((spans / np.maximum(1, [len(text) for text in texts])).mean())
    for n in OVERLAPS:
        if n <= corpus.index.gram:
            found = [each.overlap(n) for each in compared]
            yield f"overlap{n}", float(sum(own.sum() for own in found) / max(1, sum(map(len, found))))


def warn_of_copying(temperature: float, values: Mapping[str, float]) -> bool:
    """Say that a model writes down what it was trained on, where it does; whether it was said.

    Args:
        temperature: Of the samples.
        values: Of ``quality``.
    """
    if temperature < WARM:
        return False
    if 1 - values.get("novel", 1.0) > MUCH:
        said = f"{1 - values['novel']:.0%} of the samples are training documents"
    elif values["length"] >= LONG and values.get("copied", 0.0) > MUCH:
        said = f"{values['copied']:.0%} of a sample stands in the training text in one piece"
    else:
        return False
    warnings.warn(
        f"at temperature {temperature:g} {said}: the model learns by heart. Train it for less long, make it smaller, "
        "or give it more text or dropout",
        stacklevel=2,
    )
    return True

"""What of a text stands in the training text: an exact index of all its spans."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..vocabulary import BOUNDARY, unescape
from .ngram import document_text
from .store import Store

SEPARATOR = "\U0010ffff"
"""Stands between documents; Unicode keeps it free for such uses, and no span goes across it."""

FIRST, WINDOW = 4, 32
"""Characters compared at once where a span is extended: at first, since most places end there, and at the most."""

AROUND = 64
"""Characters on both sides of a key by which it is known again: in a run of spaces all keys are alike, and their places
many."""

TOGETHER = 1 << 14
"""Places whose spans are extended at once: it bounds the memory."""

Array = npt.NDArray[Any]

_Seen = dict[tuple[int, bytes], tuple[int, int, int]]
"""What ``_extended`` has found, by the key and what is around it."""


class Copy(NamedTuple):
    """A span of a text that stands in the index."""

    begin: int
    """The text's first character in it."""
    length: int
    """Characters, none where the text has no character of the index."""
    document: int
    """Where it stands: the number of the indexed text,"""
    offset: int
    """and how many characters of that are before it."""


class Compared(NamedTuple):
    """A text beside the index."""

    known: Array
    """(characters,) of the longest span that begins at each character and stands in the index: its length, capped at
    ``CopyIndex.gram``."""
    longest: Copy

    def overlap(self, n: int) -> Array:
        """(n-grams of the text,) bool, which of them stand in the index; n is at most ``CopyIndex.gram``."""
        return self.known[: max(0, len(self.known) - n + 1)] >= n


class CopyIndex:
    """All spans of some texts, to look up others in.

    The characters at every place are packed into one number of 64 bits, as many as fit: 8 of an alphabet of 254, 12 of
    one of 30. These keys are sorted once; a million characters take about 0.3 seconds and 13 MB. What is shared with a
    key's neighbours in the order is the longest span up to that size; longer ones are extended from each place of their
    key, and only from keys that every longer span than the best so far has to contain.

    Args:
        texts: What spans are looked up in. A span lies within one of them.
    """

    gram: int
    """Characters in a key."""

    def __init__(self, texts: Sequence[str]) -> None:
        codes = _codes(SEPARATOR + SEPARATOR.join(texts) + SEPARATOR)
        kinds = np.flatnonzero(np.bincount(codes))
        kinds = kinds[kinds != ord(SEPARATOR)]
        self._unknown = len(kinds) + 1
        self._bits = self._unknown.bit_length()
        self.gram = 64 // self._bits
        self._table = np.full(0x110000, self._unknown, np.min_scalar_type(self._unknown))
        self._table[kinds] = np.arange(1, self._unknown)
        self._table[ord(SEPARATOR)] = 0
        self._text = self._table[codes]
        self._table[ord(SEPARATOR)] = self._unknown  # a text that is looked up may have it
        self._starts = np.flatnonzero(self._text == 0)[:-1] + 1
        keys = self._packed(np.concatenate([self._text, np.zeros(self.gram, self._text.dtype)]))
        order = np.argsort(keys)
        self._order = order.astype(np.min_scalar_type(len(codes)))
        self._keys = keys[order]

    def compare(self, texts: Sequence[str]) -> list[Compared]:
        """Look up texts, all at once."""
        between = np.full(self.gram, self._unknown, self._text.dtype)
        own = [self._table[_codes(text)] for text in texts]
        joined = np.concatenate([part for codes in own for part in (codes, between)] or [between])
        keys = self._packed(joined)
        known, places = self._nearest(keys)
        found, begin, seen = [], 0, _Seen()
        for codes in own:
            part = slice(begin, begin + len(codes))
            longest = self._longest(codes, keys[part], known[part], places[part], seen)
            found.append(Compared(known[part], longest))
            begin += len(codes) + self.gram
        return found

    def _packed(self, codes: Array) -> Array:
        """The key that begins at each code, of all but the last ``gram``; those have what follows left out."""
        count = max(0, len(codes) - self.gram)
        keys = np.zeros(count, np.uint64)
        for t in range(self.gram):
            keys = keys << np.uint64(self._bits) | codes[t : t + count]
        return keys

    def _nearest(self, keys: Array) -> tuple[Array, Array]:
        """How many first characters each key shares with one of the index at the most, and where that one stands."""
        after = np.searchsorted(self._keys, keys)
        best, places = np.full(len(keys), -1), np.zeros(len(keys), np.int64)
        for neighbour in (np.minimum(after, len(self._keys) - 1), np.maximum(after - 1, 0)):
            differing = self._keys[neighbour] ^ keys
            shared = np.zeros(len(keys), np.int64)
            for t in range(self.gram):
                shared += differing >> np.uint64(self._bits * t) == 0
            better = shared > best
            best[better], places[better] = shared[better], self._order[neighbour[better]]
        return best, places

    def _longest(self, codes: Array, keys: Array, known: Array, places: Array, seen: _Seen) -> Copy:
        """The longest span of one text, the first of equal ones in the order that is searched."""
        if not len(codes):
            return Copy(0, 0, 0, 0)
        begin = int(known.argmax())
        best, place = int(known[begin]), int(places[begin])
        edges = np.flatnonzero(np.diff(np.concatenate([[0], known == self.gram, [0]])))
        runs = sorted(zip(edges[::2], edges[1::2], strict=True), key=lambda run: (run[0] - run[1], run[0]))
        for first, end in runs:
            # of a longer span than the best, so many keys and more lie in the run: one in so many is looked at
            at = int(first) + best - self.gram + 1
            while at < end:
                left, length, where = self._extended(codes, at, keys[at], int(end - first) + self.gram - 1, seen)
                if length > best:
                    begin, best, place = at - left, length, where
                at += best - self.gram + 2
        document = int(np.searchsorted(self._starts, place, "right")) - 1
        return Copy(begin, best, document, place - int(self._starts[document])) if best else Copy(0, 0, 0, 0)

    def _extended(self, codes: Array, at: int, key: Any, most: int, seen: _Seen) -> tuple[int, int, int]:
        """The longest span with a key of the index in it: its characters before the key, all, and where it stands.
        None has more than ``most``."""
        around = min(at, AROUND), codes[max(0, at - AROUND) : at + self.gram + AROUND].tobytes()
        if around in seen:
            return seen[around]
        low, high = np.searchsorted(self._keys, key, "left"), np.searchsorted(self._keys, key, "right")
        found, farthest = (0, 0, 0), 0
        for begin in range(low, high, TOGETHER):
            places = np.sort(self._order[begin : min(high, begin + TOGETHER)].astype(np.int64))
            left = self._agreeing(places - 1, codes[:at][::-1], -1)
            right = self._agreeing(places + self.gram, codes[at + self.gram :], 1)
            length, farthest = left + self.gram + right, max(farthest, int(left.max()), int(right.max()))
            best = int(length.argmax())
            if length[best] > found[1]:
                found = int(left[best]), int(length[best]), int(places[best] - left[best])
            if found[1] == most:
                break
        if farthest < AROUND:  # what is farther away has not mattered, and would not
            seen[around] = found
        return found

    def _agreeing(self, places: Array, codes: Array, step: int) -> Array:
        """(places,) How many of the codes stand at each place, one after the other in a direction."""
        counts, going, done = np.zeros(len(places), np.int64), np.arange(len(places)), 0
        while len(going) and done < len(codes):
            window = codes[done : done + min(max(FIRST, done), WINDOW)]
            there = places[going, None] + step * np.arange(done, done + len(window))
            same = self._text[np.clip(there, 0, len(self._text) - 1)] == window  # both ends differ from any text
            agreeing = np.where(same.all(1), len(window), same.argmin(1))
            counts[going] += agreeing
            going, done = going[agreeing == len(window)], done + len(window)
        return counts


def decoded(store: Store, part: Array, stream: bool) -> list[str]:
    """The texts of a part of a corpus.

    Args:
        store: The encoded corpus.
        part: Document numbers, or the token ids of a stream.
        stream: Which of the two.

    Returns:
        A text a document; of a stream one.
    """
    tokens = part if stream else document_text(store, part, limit=size(store, part, stream)).tokens
    table = [SEPARATOR if token == BOUNDARY else token for token in store.vocabulary]
    text = unescape("".join([table[index] for index in tokens.tolist()]))
    return [text] if stream else text.split(SEPARATOR)[:-1]


def size(store: Store, part: Array, stream: bool) -> int:
    """The tokens of a part of a corpus, the boundary that ends a document counting one."""
    return len(part) if stream else int((store.offsets[part + 1] - store.offsets[part] + 1).sum())


def _codes(text: str) -> Array:
    """(characters,) uint32 code points."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")

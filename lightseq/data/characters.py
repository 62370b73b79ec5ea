"""What a corpus is written in: how often each token stands there, and the characters that are rarely meant."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..vocabulary import ESCAPED
from .store import Store

BLOCK = 1 << 20
"""Tokens looked at together."""

RARE = 10
"""A token that stands fewer times is hard to learn."""

KINDS = {
    "Cc": "control character",
    "Cf": "invisible character",
    "Cn": "character that Unicode does not assign",
    "Co": "private-use character",
    "Cs": "lone surrogate",
    "Zl": "line separator",
    "Zp": "paragraph separator",
}
"""By Unicode's general category."""

NAMED = {
    "\n": "",
    "\t": "",
    "\u00a0": "non-breaking space",
    "\u00ad": "soft hyphen",
    "\u2007": "non-breaking space",
    "\u202f": "non-breaking space",
    "\u200b": "zero-width space",
    "\u200c": "zero-width non-joiner",
    "\u200d": "zero-width joiner",
    "\u2060": "zero-width non-breaking space",
    "\ufeff": "byte-order mark",
    "\ufffd": "replacement of what could not be decoded",
}
"""Those that have a word of their own; the line break and the tab are not odd."""

Array = npt.NDArray[Any]


class Odd(NamedTuple):
    """Something in a text that is rarely meant."""

    text: str
    kind: str
    times: int


def token_counts(tokens: Array, size: int) -> Array:
    """(V,) How often each token stands in a corpus or a part of it, boundaries not counted.

    Args:
        tokens: (N,) ids.
        size: V.
    """
    counts = np.zeros(size, np.int64)
    for begin in range(0, len(tokens), BLOCK):  # NumPy makes 64-bit integers of them to count
        counts += np.bincount(tokens[begin : begin + BLOCK], minlength=size)
    return counts


def rare_tokens(vocabulary: Sequence[str], counts: Array) -> list[tuple[str, int]]:
    """Tokens that stand there, but fewer than ``RARE`` times, with their numbers, the rarest first."""
    few = [(token, int(count)) for token, count in zip(vocabulary, counts, strict=True) if 0 < count < RARE]
    return sorted(few, key=lambda pair: pair[1])


def odd_characters(store: Store, counts: Array) -> list[Odd]:
    """Characters that are rarely meant, and sequences that Unicode's normal form NFC writes as others; the most
    frequent first. The bytes of a vocabulary of bytes are none."""
    characters = Counter[str]()
    for token, count in zip(store.vocabulary, counts.tolist(), strict=True):
        for character in token if count else "":
            characters[character] += count
    in_bytes = all(character.isascii() or ESCAPED.match(character) for character in characters)
    odd = [
        Odd(character, kind, count)
        for character, count in characters.items()
        if (kind := odd_kind(character)) and not (in_bytes and ESCAPED.match(character))
    ]
    odd += [Odd(text, "not in the normal form NFC", count) for text, count in _decomposed(store, counts).items()]
    return sorted(odd, key=lambda one: -one.times)


def odd_kind(character: str) -> str:
    """What is odd about a character; empty if nothing is."""
    return NAMED.get(character, KINDS.get(unicodedata.category(character), ""))


def _decomposed(store: Store, counts: Array) -> Counter[str]:
    """How often a token stands there that is not in NFC, or that would join the one before it."""
    vocabulary, found = store.vocabulary, Counter[str]()
    for token, count in zip(vocabulary, counts.tolist(), strict=True):
        if count and not unicodedata.is_normalized("NFC", token):
            found[token] += count
    marks = np.array([bool(token) and unicodedata.combining(token[0]) > 0 for token in vocabulary])
    for begin in range(0, len(store.tokens) if marks.any() else 0, BLOCK):
        block = store.tokens[max(0, begin - 1) : begin + BLOCK].astype(np.int64)
        at = np.flatnonzero(marks[block[1:]])
        pairs, times = np.unique(block[at] * len(vocabulary) + block[at + 1], return_counts=True)
        for pair, count in zip(pairs.tolist(), times.tolist(), strict=True):
            text = vocabulary[pair // len(vocabulary)] + vocabulary[pair % len(vocabulary)]
            if not unicodedata.is_normalized("NFC", text):
                found[text] += count
    return found

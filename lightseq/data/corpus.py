"""Gather the tokens, labels or texts of documents and streams from an encoded corpus."""

from typing import NamedTuple

import numpy as np

from ..types import Array
from ..vocabulary import BOUNDARY, Vocabulary, unescape
from .encoding.store import Store

TRAIN_LIMIT, HELD_OUT_LIMIT = 2_000_000, 200_000
"""Tokens that are counted, and scored, at the most."""


class Text(NamedTuple):
    """Tokens to count or to score."""

    tokens: Array
    """(N,) ids; of documents, each with the boundary that ends it."""
    starts: Array
    """(N,) bool, True where no history is left: at the first token of a document or stream."""
    cut: bool
    """Whether there was more than the limit."""


def choose(lengths: Array, limit: int) -> tuple[Array, Array]:
    """Documents of about ``limit`` tokens together: all in order, or the first in a fixed random order.

    Args:
        lengths: (n,) Tokens of each document.
        limit: Of the tokens.

    Returns:
        The places of the chosen in ``lengths``, and how many tokens to take of each: all but of the last.
    """
    if lengths.sum() <= limit:
        return np.arange(len(lengths)), lengths
    order = np.random.default_rng(0).choice(len(lengths), min(len(lengths), limit), replace=False)
    before = np.cumsum(lengths[order]) - lengths[order]
    order, before = order[before < limit], before[before < limit]
    return order, np.minimum(lengths[order], limit - before)


def stream_text(tokens: Array) -> Text:
    """A whole stream."""
    return Text(tokens, np.arange(len(tokens)) == 0, False)


def document_text(store: Store, documents: Array, limit: int = TRAIN_LIMIT) -> Text:
    """The tokens of the documents that ``choose`` takes, a boundary after each."""
    lengths = store.offsets[documents + 1] - store.offsets[documents] + 1
    chosen, take = choose(lengths, limit)
    places, left = _places(store, documents[chosen], take)
    tokens = store.tokens[np.minimum(places, len(store.tokens) - 1)].astype(np.int64)
    starts = np.zeros(len(tokens), bool)
    starts[np.cumsum(take) - take] = True
    boundary = Vocabulary(store.vocabulary).boundary
    assert boundary is not None
    return Text(np.where(left > 0, tokens, boundary), starts, int(lengths.sum()) > limit)


def label_text(store: Store, documents: Array, limit: int = TRAIN_LIMIT) -> Text:
    """The labels of the documents that ``choose`` takes, each without history."""
    assert store.label_ids is not None
    if store.tagged:
        lengths = store.offsets[documents + 1] - store.offsets[documents]
    else:
        lengths = np.ones(len(documents), np.int64)
    chosen, take = choose(lengths, limit)
    places = _places(store, documents[chosen], take)[0] if store.tagged else documents[chosen]
    return Text(store.label_ids[places], np.ones(len(places), bool), int(lengths.sum()) > limit)


def _places(store: Store, documents: Array, take: Array) -> tuple[Array, Array]:
    """Where in ``store.tokens`` the first tokens of documents stand, and how many of its document there are from each
    on: none at the place of the boundary."""
    first, end = store.offsets[documents], store.offsets[documents + 1]
    places = np.arange(take.sum()) + np.repeat(first - (np.cumsum(take) - take), take)
    return places, np.repeat(end, take) - places


BLOCK = 1 << 20
"""Tokens looked at together."""


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


SEPARATOR = "\U0010ffff"
"""Stands between documents; Unicode keeps it free for such uses, and no span goes across it."""


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

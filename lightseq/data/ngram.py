"""The yardsticks that a recurrent network must beat: uniform, unigram, and interpolated n-grams, on the same split."""

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from math import log
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..atomic import write_whole
from ..vocabulary import Vocabulary
from .cache import cache_folder
from .store import Store

FORMAT = 1
"""Raise it when the numbers change: those in the cache are then left alone and made anew."""

TRAIN_LIMIT, HELD_OUT_LIMIT = 2_000_000, 200_000
"""Tokens that are counted, and scored, at the most."""

ORDERS = 7
"""The n-grams tried are those of 1 to so many tokens."""

Array = npt.NDArray[Any]


class Text(NamedTuple):
    """Tokens to count or to score."""

    tokens: Array
    """(N,) ids; of documents, each with the boundary that ends it."""
    starts: Array
    """(N,) bool, True where no history is left: at the first token of a document or stream."""
    cut: bool
    """Whether there was more than the limit."""


class Yardsticks(NamedTuple):
    """What simple models reach on a held-out split, in nats per token (of labelled data, per label)."""

    uniform: float
    """ln V, of the labels where there are any."""
    unigram: float
    """The frequencies of the training split, smoothed: the n-gram of order 1."""
    order: int
    """Of the best n-gram on that split; 0 where labels are predicted, which have none."""
    ngram: float
    """Its nats per token; of labels, their frequency again."""
    characters: float | None
    """Per held-out token, the boundary counting one: bits per character are nats / ln 2 / characters. None: labels."""
    cut: bool
    """Whether they come from a sample, ``TRAIN_LIMIT`` and ``HELD_OUT_LIMIT`` tokens at the most."""

    @property
    def rows(self) -> dict[str, float]:
        """Nats per token by the name of the model."""
        if self.characters is None:
            return {"uniform": self.uniform, "frequency": self.unigram}
        best = {f"{self.order}-gram": self.ngram} if self.order > 1 else {}
        return {"uniform": self.uniform, "unigram": self.unigram, **best}

    def bits_per_character(self, nats: float) -> float | None:
        """Nats per token in the other unit; None for labels."""
        return None if self.characters is None else nats / log(2) / self.characters


class Level(NamedTuple):
    """All n-grams of one length, numbered; those of training first, then the held-out ones."""

    ids: Array
    """(N,) the number of the n-gram that ends at each token."""
    histories: Array
    """(N,) the number of the same without its last token, an n-gram of the level below."""
    history_of: Array
    """(n-grams,) the same by n-gram."""


def ngram_nats(train: Text, held_out: Text, size: int, orders: int = ORDERS) -> dict[int, Array]:
    """-ln p of held-out tokens under interpolated Kneser-Ney n-grams (Chen and Goodman 1999).

    The discount of each length is n1 / (n1 + 2 n2), of the n-grams seen once and twice. What stands before a document
    or a stream is a boundary without end. A stream's first token is no target of a model that reads the stream: leave
    its number out.

    Args:
        train: What is counted.
        held_out: What is scored, M tokens.
        size: V.
        orders: The largest n.

    Returns:
        By n, from 1 to ``orders``: (M,) nats.
    """
    counted = len(train.tokens)
    tokens = np.concatenate([train.tokens, held_out.tokens]).astype(np.int64)
    starts = np.concatenate([train.starts, held_out.starts])
    lower = np.full(len(held_out.tokens), 1 / size)
    level = _level(np.zeros_like(tokens), tokens, size)
    counts = np.bincount(level.ids[:counted], minlength=len(level.history_of))
    nats = {}
    for order in range(1, orders + 1):
        nats[order] = -np.log(_interpolated(level, counts, counted, lower))
        if order == orders:
            break
        longer = _level(_previous(level, starts), tokens, size)
        longer_counts = np.bincount(longer.ids[:counted], minlength=len(longer.history_of))
        suffixes = np.empty_like(longer.history_of)
        suffixes[longer.ids] = level.ids
        continuations = np.bincount(suffixes[longer_counts > 0], minlength=len(counts))
        lower = _interpolated(level, continuations, counted, lower)
        level, counts = longer, longer_counts
    return nats


def _level(histories: Array, tokens: Array, size: int) -> Level:
    keys, ids = np.unique(histories * size + tokens, return_inverse=True)
    return Level(ids, histories, keys // size)


def _previous(level: Level, starts: Array) -> Array:
    """(N,) The n-gram before each token; a number of its own where a text starts."""
    return np.where(starts, len(level.history_of), np.roll(level.ids, 1))


def _interpolated(level: Level, counts: Array, counted: int, lower: Array) -> Array:
    """p of the held-out tokens, from the counts of n-grams and p given a shorter history, which rules where the longer
    one was never seen."""
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    discount = once / (once + 2 * twice) if once else 0.5
    seen = np.bincount(level.history_of, weights=counts)
    followers = np.bincount(level.history_of[counts > 0], minlength=len(seen))
    own, history = counts[level.ids[counted:]], level.histories[counted:]
    p = np.maximum(own - discount, 0) + discount * followers[history] * lower
    total = seen[history]
    return np.where(total > 0, p / np.maximum(total, 1), lower)


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


def yardsticks(store: Store, parts: Mapping[str, Array], stream: bool, split: str = "val") -> Yardsticks:
    """The yardsticks of a split, from the cache if they were computed before.

    Of a long training split a sample is counted: the documents of ``choose``, or the end of a stream. Of a long
    held-out one those of ``choose``, or the beginning.

    Args:
        store: The encoded corpus.
        parts: By split: document numbers, or the token ids of a stream, as ``SequenceData.parts``.
        stream: Which of the two.
        split: The held-out one; it is not empty.
    """
    if stream:
        train, held_out = stream_text(parts["train"][-TRAIN_LIMIT:]), stream_text(parts[split][:HELD_OUT_LIMIT])
        cut = len(parts["train"]) > TRAIN_LIMIT or len(parts[split]) > HELD_OUT_LIMIT
    else:
        gather = document_text if store.labels is None else label_text
        train, held_out = gather(store, parts["train"], TRAIN_LIMIT), gather(store, parts[split], HELD_OUT_LIMIT)
        cut = train.cut or held_out.cut
    place = cache_folder() / "yardsticks" / f"{_key(store, train, held_out, stream, cut)}.json"
    try:
        return Yardsticks(*json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        found = _measured(store, train, held_out, stream, cut)
    with suppress(OSError):  # the next one computes it again
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, json.dumps(found))
    return found


def _key(store: Store, train: Text, held_out: Text, *flags: bool) -> str:
    """What the numbers depend on: of the text what is used of it."""
    key = blake2b(json.dumps([FORMAT, ORDERS, store.vocabulary, store.labels, flags]).encode(), digest_size=16)
    for text in (train, held_out):
        for array in (text.tokens, text.starts):
            key.update(len(array).to_bytes(8, "little") + array.astype("<u4").tobytes())
    return key.hexdigest()


def _measured(store: Store, train: Text, held_out: Text, stream: bool, cut: bool) -> Yardsticks:
    size = len(store.vocabulary if store.labels is None else store.labels)
    nats = ngram_nats(train, held_out, size, ORDERS if store.labels is None else 1)
    losses = {order: float(own[stream:].mean()) for order, own in nats.items()}
    if store.labels is not None:
        return Yardsticks(log(size), losses[1], 0, losses[1], None, cut)
    best = min(losses, key=lambda order: losses[order])
    characters = np.array(Vocabulary(store.vocabulary).lengths)[held_out.tokens[stream:]].mean()
    return Yardsticks(log(size), losses[1], best, losses[best], float(characters), cut)

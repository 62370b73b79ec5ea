"""What stands twice in a corpus: equal texts, near duplicates, and held-out text that also stands in training.

Everything goes in blocks over the memory map, and what would take too long is looked for in a part, whose size the
answer says.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .ngram import choose
from .splitting import Deal
from .store import Store

BLOCK = 1 << 20
"""Tokens looked at together."""

TEXT_LIMIT = 200_000_000
"""Tokens of the documents that are compared for equality, at the most."""

NEAR_DOCUMENTS, NEAR_TOKENS, NEAR_LENGTH = 20_000, 2_000_000, 5_000
"""Documents compared for near equality at the most, their tokens together, and those of one."""

SHORTEST, SHINGLE, SIMILAR = 50, 8, 0.8
"""Near duplicates: documents of so many tokens, whose sets of so many neighbouring tokens have this Jaccard
similarity, at the least."""

BANDS, ROWS = 20, 6
"""Of a MinHash signature. A pair of similarity s agrees in some band with 1 - (1 - s^6)^20: 99.8 % at 0.8."""

WINDOW, WINDOW_TRAIN, WINDOW_HELD_OUT = 32, 20_000_000, 200_000
"""Tokens of a stream's window that is looked for in training; tokens looked through, and looked for, at the most."""

Array = npt.NDArray[Any]


class Duplicates(NamedTuple):
    """Documents of equal text."""

    examined: int
    """Documents compared: the first ones of the corpus."""
    repeats: int
    """Of these, how many repeat the text of an earlier one."""
    most: list[tuple[int, int]]
    """The most repeated: a document's number, and how often its text stands in all."""


class NearDuplicates(NamedTuple):
    """Documents of nearly equal text."""

    examined: int
    """Documents compared, distinct and long enough."""
    found: int
    """How many of them have a near duplicate."""
    pairs: list[tuple[float, int, int]]
    """The most similar: Jaccard similarity and the numbers of two documents."""


class Overlap(NamedTuple):
    """The share of held-out documents whose text also stands in training."""

    dealt: float
    """As the documents are dealt."""
    random: float
    """If they were dealt at random whatever their texts, with the same fractions and seed."""
    single: float
    """If one alone was held out: the share of documents whose text stands more than once."""


def text_hashes(store: Store) -> Array:
    """(documents,) uint64, equal for equal texts, of the first documents, with ``TEXT_LIMIT`` tokens at the most."""
    offsets, size = store.offsets, len(store.vocabulary)
    documents = max(1, int(np.searchsorted(offsets, TEXT_LIMIT, side="right")) - 1)
    hashes = np.zeros(min(documents, len(offsets) - 1), np.uint64)
    end = int(offsets[len(hashes)])
    for begin in range(0, end, BLOCK):
        block = store.tokens[begin : min(begin + BLOCK, end)].astype(np.uint64)
        first = int(np.searchsorted(offsets, begin, side="right")) - 1
        stop = int(np.searchsorted(offsets[: len(hashes) + 1], begin + len(block), side="left"))
        edges = np.clip(offsets[first : stop + 1] - begin, 0, len(block))
        places = np.arange(begin, begin + len(block)) - np.repeat(offsets[first:stop], np.diff(edges))
        sums = np.concatenate([[np.uint64(0)], np.cumsum(_mixed(places.astype(np.uint64) * np.uint64(size) + block))])
        hashes[first:stop] += sums[edges[1:]] - sums[edges[:-1]]
    return hashes


def _mixed(numbers: Array) -> Array:
    """64 bits that depend on all bits of a number: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = numbers ^ (numbers >> np.uint64(31))
    return mixed


def equal_texts(hashes: Array) -> Duplicates:
    """Among documents of these hashes."""
    _, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    order = np.lexsort([first, -counts])[:3]
    most = [(int(first[i]), int(counts[i])) for i in order if counts[i] > 1]
    return Duplicates(len(hashes), len(hashes) - len(first), most)


def document_overlap(store: Store, hashes: Array, parts: Mapping[str, Array], deal: Deal) -> Overlap:
    """Among the documents that have hashes; the random deal leaves out what is augmented."""
    train, *held_out = (parts[split][parts[split] < len(hashes)] for split in ("train", "val", "test"))
    free = hashes[store.augmented[: len(hashes)] == 0]
    start, _, stop = deal.cuts(len(free))
    order = np.roll(free[np.random.default_rng(deal.seed).permutation(len(free))], -start)
    _, counts = np.unique(free, return_counts=True)
    return Overlap(
        _share(hashes[np.concatenate(held_out)], hashes[train]),
        _share(order[: stop - start], order[stop - start :]),
        float(counts[counts > 1].sum() / max(1, len(free))),
    )


def _share(held_out: Array, train: Array) -> float:
    return float(np.isin(held_out, train).mean()) if len(held_out) else 0.0


def window_overlap(train: Array, held_out: Array) -> float:
    """The share of a held-out stream's windows of ``WINDOW`` tokens, among the first ``WINDOW_HELD_OUT``, that stand in
    training, somewhere in its last ``WINDOW_TRAIN`` tokens; 0 where there is no window."""
    train, wanted = train[-WINDOW_TRAIN:], _windows(held_out[:WINDOW_HELD_OUT], WINDOW)
    found, marked = np.zeros(len(wanted), bool), np.zeros(1 << 22, bool)
    marked[wanted >> np.uint64(42)] = True  # a first sieve: most windows of training are gone at one look
    for begin in range(0, len(train), BLOCK):
        hashes = _windows(train[begin : begin + BLOCK + WINDOW - 1], WINDOW)
        found |= np.isin(wanted, hashes[marked[hashes >> np.uint64(42)]])
    return float(found.mean()) if len(found) else 0.0


def _windows(tokens: Array, length: int) -> Array:
    """(N - length + 1,) uint64, equal for equal windows of ``length`` tokens, which is a power of two. Each is a
    polynomial in an odd number (Karp and Rabin 1987), and comes of those of its halves."""
    hashes, factor = _mixed(tokens.astype(np.uint64)), np.array([0xD1342543DE82EF95], np.uint64)
    for half in (1 << power for power in range(length.bit_length() - 1)):
        hashes = hashes[:-half] * factor + hashes[half:]
        factor = factor * factor
    return hashes


def near_duplicates(store: Store, hashes: Array) -> NearDuplicates:
    """Pairs of documents whose sets of shingles are alike: candidates by MinHash (Broder 1997), each then compared.

    Of equal texts the first stands for all. Of a document the first ``NEAR_LENGTH`` tokens count; documents are those
    of ``choose`` within ``NEAR_TOKENS``, and ``NEAR_DOCUMENTS`` at the most.

    Args:
        store: The encoded corpus.
        hashes: Of the first documents, from ``text_hashes``.
    """
    documents = np.sort(np.unique(hashes, return_index=True)[1])
    lengths = np.minimum(store.offsets[documents + 1] - store.offsets[documents], NEAR_LENGTH)
    documents, lengths = documents[lengths >= SHORTEST], lengths[lengths >= SHORTEST]
    chosen, take = choose(lengths, NEAR_TOKENS)
    chosen = np.sort(chosen[take == lengths[chosen]][:NEAR_DOCUMENTS])
    begins, ends = store.offsets[documents[chosen]], store.offsets[documents[chosen]] + lengths[chosen]
    shingles = [np.unique(_windows(store.tokens[a:b], SHINGLE)) for a, b in zip(begins, ends, strict=True)]
    pairs = []
    for a, b in _candidates(shingles):
        common = len(np.intersect1d(shingles[a], shingles[b], assume_unique=True))
        similarity = common / (len(shingles[a]) + len(shingles[b]) - common)
        if similarity >= SIMILAR:
            pairs.append((similarity, int(documents[chosen[a]]), int(documents[chosen[b]])))
    found = len({document for _, *pair in pairs for document in pair})
    return NearDuplicates(len(chosen), found, sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:3])


def _candidates(sets: Sequence[Array]) -> list[tuple[int, int]]:
    """Pairs of sets that agree in a whole band of their signatures; of many that do, neighbours only."""
    if len(sets) < 2:
        return []
    flat, begins = np.concatenate(sets), np.cumsum([0, *(len(own) for own in sets[:-1])])
    factors = np.random.default_rng(0).integers(0, 1 << 64, (BANDS, ROWS), np.uint64) | np.uint64(1)
    pairs = set[tuple[int, int]]()
    for band in factors:
        keys = np.zeros(len(sets), np.uint64)
        for factor in band:
            keys = _mixed(keys ^ np.minimum.reduceat(flat * factor, begins))
        order = np.argsort(keys, kind="stable")
        pairs.update((int(a), int(b)) for a, b in pairwise(order) if keys[a] == keys[b])
    return sorted(pairs)

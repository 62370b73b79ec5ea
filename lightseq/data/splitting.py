"""Which documents train, validate and test: decided before anything else is done with them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..vocabulary import Vocabulary, shorten
from .ngram import label_text
from .store import SPLITS, Store

Array = npt.NDArray[Any]
TRAIN, VAL, TEST = (SPLITS.index(split) for split in ("train", "val", "test"))
LABELLED = 1 << 16
"""Documents whose labels are looked at together."""


class Deal(NamedTuple):
    """How to split what does not say its split itself."""

    seed: int
    val_fraction: float
    test_fraction: float
    fold: int

    def cuts(self, n: int) -> tuple[int, int, int]:
        """Where validation starts and stops and test stops, among ``n`` things in a circle: fold k validates on the
        k-th part. Where ``val_fraction`` divides 1, the folds together validate on everything once."""
        start = round(self.fold * self.val_fraction * n)
        val = max(1, round((self.fold + 1) * self.val_fraction * n) - start) if self.val_fraction else 0
        test = max(1, round(self.test_fraction * n)) if self.test_fraction else 0
        return start, start + val, start + val + test

    def among(self, store: Store) -> "Deal":
        """The same deal for documents of which some say their split: to train and to the splits that none claims."""
        claimed = {SPLITS[number] for number in np.unique(store.splits)}
        return self._replace(
            val_fraction=0.0 if "val" in claimed else self.val_fraction,
            test_fraction=0.0 if "test" in claimed else self.test_fraction,
        )


def split_documents(store: Store, deal: Deal, name: str) -> dict[str, Array]:
    """Document numbers by split. Documents of one group fall on one side: equal texts, where they name none.

    A document that says its split is in it, and so are those of its group that say none. The others are dealt to train
    and to the splits that no document claims. What is augmented is left out but in train.

    Raises:
        UserError: Too few distinct documents, or a label to be predicted that training never shows.
    """
    group = _groups(store.digests)
    side = np.zeros(int(group.max()) + 1, np.uint8)
    for split in (TRAIN, VAL, TEST):  # where a group says several, those of it that say none are held out
        side[group[store.splits == split]] = split
    deal = deal.among(store)
    free = np.flatnonzero(side == 0)
    start, val, test = deal.cuts(len(free))
    dealt = free[np.roll(np.random.default_rng(deal.seed).permutation(len(free)), -start)[: test - start]]
    side[free] = TRAIN
    side[dealt[: val - start]], side[dealt[val - start :]] = VAL, TEST
    sides = np.where(store.splits > 0, store.splits, side[group])
    kept = (sides == TRAIN) | (store.augmented == 0)
    parts = {split: np.flatnonzero((sides == SPLITS.index(split)) & kept) for split in SPLITS[1:]}
    _require({split: len(part) for split, part in parts.items()}, f"{len(store.digests)} documents", name)
    if store.labels is not None:
        _require_labels(store, parts, store.labels, name)
    return parts


def _groups(digests: Array) -> Array:
    """(documents,) The number of each document's group, those of equal digests, by first appearance, whatever the
    digests are. Nothing else in splitting many documents holds as much: 30 bytes of each, while they are sorted."""
    count = len(digests)
    order = np.argsort(digests, kind="stable").astype(np.min_scalar_type(count))
    ordered, begins = digests[order], np.ones(count, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    del ordered
    first = order[begins]
    leads = np.zeros(count, bool)
    leads[first] = True
    numbers = (np.cumsum(leads, dtype=order.dtype) - order.dtype.type(1))[first]  # of the groups as they are ordered
    group = np.empty_like(order)
    group[order] = numbers[np.cumsum(begins, dtype=order.dtype) - order.dtype.type(1)]
    return group


def split_stream(store: Store, deal: Deal, name: str) -> dict[str, Array]:
    """Token ids by split: by what the documents say; the text that says nothing is cut by position, train first, into
    train and the splits that no document claims.

    A split whose documents are neighbours stays a view of the memory map.

    Raises:
        UserError: Too little text.
    """
    if deal.fold:
        raise UserError(f"data.fold {deal.fold}: a stream is cut by position, and has no folds")
    said = {split: _joined(store, np.flatnonzero(store.splits == SPLITS.index(split))) for split in SPLITS}
    free = said.pop("")
    _, val, test = deal.among(store).cuts(len(free))
    train = max(0, len(free) - test)
    cut = {"train": free[:train], "val": free[train : train + val], "test": free[train + val :]}
    parts = {split: _both(said[split], cut[split]) for split in SPLITS[1:]}
    _require({split: max(0, len(part) - 1) for split, part in parts.items()}, f"{len(store.tokens)} tokens", name)
    return parts


def _joined(store: Store, documents: Array) -> Array:
    if len(documents) and documents[-1] - documents[0] == len(documents) - 1:
        return store.tokens[store.offsets[documents[0]] : store.offsets[documents[-1] + 1]]
    pieces = [store.tokens[store.offsets[d] : store.offsets[d + 1]] for d in documents]
    return np.concatenate(pieces) if pieces else store.tokens[:0]


def _both(one: Array, other: Array) -> Array:
    if not len(one) or not len(other):
        return one if len(one) else other
    return np.concatenate([one, other])


def _require(sizes: dict[str, int], has: str, name: str) -> None:
    for split in ("train", "val"):
        if sizes[split] < 1:
            rest = "train on; it needs more text, or smaller data.val_fraction and data.test_fraction"
            if split == "val":
                rest = "validate on; it needs more text, or a larger data.val_fraction"
            raise UserError(f"dataset {name!r} is too small to split: of its {has} none is left to {rest}")


def _require_labels(store: Store, parts: dict[str, Array], labels: list[str], name: str) -> None:
    """A label that stands in no training document cannot be learnt."""
    learnt = np.zeros(len(labels), bool)
    for _, ids in _labels(store, parts["train"]):
        learnt[ids] = True
    for split in ("val", "test"):
        for documents, ids in _labels(store, parts[split]):
            if learnt[ids].all():
                continue
            at = int(np.argmin(learnt[ids]))
            lengths = store.offsets[documents + 1] - store.offsets[documents]
            document = np.repeat(documents, lengths if store.tagged else 1)[at]
            text = Vocabulary(store.vocabulary).decode(
                store.tokens[store.offsets[document] : store.offsets[document + 1]]
            )
            raise UserError(
                f"dataset {name!r}: label {labels[ids[at]]!r} of {split} document {shorten(text)!r} stands in no "
                f"training document; leave it out, or say another data.split_seed"
            )


def _labels(store: Store, documents: Array) -> Iterator[tuple[Array, Array]]:
    """Some documents and all labels of theirs, document by document."""
    for begin in range(0, len(documents), LABELLED):
        some = documents[begin : begin + LABELLED]
        yield some, label_text(store, some, limit=len(store.tokens) + len(some)).tokens

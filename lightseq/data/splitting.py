"""Which documents train, validate and test: decided before anything else is done with them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..vocabulary import Vocabulary, shorten
from .store import SPLITS, Store

Array = npt.NDArray[Any]
TRAIN, VAL, TEST = (SPLITS.index(split) for split in ("train", "val", "test"))


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
    _, first, group = np.unique(store.digests, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]  # numbered by first appearance, whatever their digests
    side = np.zeros(len(first), np.uint8)
    for split in (TRAIN, VAL, TEST):  # where a group says several, those of it that say none are held out
        side[group[store.splits == split]] = split
    deal = deal.among(store)
    free = np.flatnonzero(side == 0)
    start, val, test = deal.cuts(len(free))
    place = (np.argsort(np.random.default_rng(deal.seed).permutation(len(free))) - start) % max(1, len(free))
    side[free] = np.where(place < val - start, VAL, np.where(place < test - start, TEST, TRAIN))
    sides = np.where(store.splits > 0, store.splits, side[group])
    kept = (sides == TRAIN) | (store.augmented == 0)
    parts = {split: np.flatnonzero((sides == SPLITS.index(split)) & kept) for split in SPLITS[1:]}
    _require({split: len(part) for split, part in parts.items()}, f"{len(store.digests)} documents", name)
    if store.labels is not None:
        _require_labels(store, parts, store.labels, name)
    return parts


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
    assert store.label_ids is not None
    lengths = np.diff(store.offsets) if store.tagged else np.ones(len(store.digests), np.int64)
    documents = np.repeat(np.arange(len(lengths)), lengths)
    learnt = np.unique(store.label_ids[np.isin(documents, parts["train"])])
    for split in ("val", "test"):
        own = documents[~np.isin(store.label_ids, learnt) & np.isin(documents, parts[split])]
        if len(own):
            begin, end = store.offsets[own[0]], store.offsets[own[0] + 1]
            at = np.flatnonzero((documents == own[0]) & ~np.isin(store.label_ids, learnt))[0]
            text = shorten(Vocabulary(store.vocabulary).decode(store.tokens[begin:end]))
            raise UserError(
                f"dataset {name!r}: label {labels[store.label_ids[at]]!r} of {split} document {text!r} stands in no "
                f"training document; leave it out, or say another data.split_seed"
            )

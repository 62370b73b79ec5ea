"""Which documents train, validate and test: decided before anything else is done with them."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
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


def split_documents(store: Store, deal: Deal, name: str) -> dict[str, Array]:
    """Document numbers by split. Equal texts fall on one side, and every copy of them.

    A document that says its split is in it, and so are its copies that say none. The others are dealt to train and to
    the splits that no document claims.

    Raises:
        UserError: Too few distinct documents.
    """
    _, first, text = np.unique(store.digests, return_index=True, return_inverse=True)
    text = np.argsort(np.argsort(first))[text]  # texts numbered by first appearance, whatever their digests
    side = np.zeros(len(first), np.uint8)
    side[text[store.splits > 0]] = store.splits[store.splits > 0]
    claimed = {SPLITS[number] for number in np.unique(store.splits)}
    deal = deal._replace(
        val_fraction=0.0 if "val" in claimed else deal.val_fraction,
        test_fraction=0.0 if "test" in claimed else deal.test_fraction,
    )
    free = np.flatnonzero(side == 0)
    start, val, test = deal.cuts(len(free))
    place = (np.argsort(np.random.default_rng(deal.seed).permutation(len(free))) - start) % max(1, len(free))
    side[free] = np.where(place < val - start, VAL, np.where(place < test - start, TEST, TRAIN))
    sides = np.where(store.splits > 0, store.splits, side[text])
    parts = {split: np.flatnonzero(sides == SPLITS.index(split)) for split in SPLITS[1:]}
    _require({split: len(part) for split, part in parts.items()}, f"{len(store.digests)} documents", name)
    return parts


def split_stream(store: Store, deal: Deal, name: str) -> dict[str, Array]:
    """Token ids by split: by what the documents say, else by position (train, then validation, then test).

    A split whose documents are neighbours stays a view of the memory map.

    Raises:
        UserError: Too little text.
    """
    n = len(store.tokens)
    if store.splits.any():
        numbers = split_documents(store, deal, name)
        parts = {split: _joined(store, own) for split, own in numbers.items()}
    else:
        if deal.fold:
            raise UserError(f"data.fold {deal.fold}: a stream is cut by position, and has no folds")
        start, val, test = deal.cuts(n)
        train = n - (test - start)
        parts = {
            "train": store.tokens[:train],
            "val": store.tokens[train : train + val - start],
            "test": store.tokens[train + val - start :],
        }
    _require({split: max(0, len(part) - 1) for split, part in parts.items()}, f"{n} tokens", name)
    return parts


def _joined(store: Store, documents: Array) -> Array:
    if len(documents) and documents[-1] - documents[0] == len(documents) - 1:
        return store.tokens[store.offsets[documents[0]] : store.offsets[documents[-1] + 1]]
    pieces = [store.tokens[store.offsets[d] : store.offsets[d + 1]] for d in documents]
    return np.concatenate(pieces) if pieces else store.tokens[:0]


def _require(sizes: dict[str, int], has: str, name: str) -> None:
    for split in ("train", "val"):
        if sizes[split] < 1:
            raise UserError(
                f"dataset {name!r} is too small to split: of its {has} none is left to "
                f"{'train' if split == 'train' else 'validate'} on; it needs more text, or smaller data.val_fraction "
                f"and data.test_fraction"
            )

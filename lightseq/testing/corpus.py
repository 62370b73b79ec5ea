"""The contract of a dataset's documents on their way into batches: stored, split, batched."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..data import TextDataset
from ..data.batching import DocumentBatches, StreamBatches
from ..data.loader import SequenceLoader
from ..data.splitting import Deal, split_documents, split_stream
from ..data.store import Store, open_store
from ..errors import UserError
from ..types import Batch, Document, Layout
from ..vocabulary import Vocabulary

DEAL = Deal(seed=0, val_fraction=0.1, test_fraction=0.1, fold=0)
ROWS, WINDOW = 16, 64

ENOUGH = 8
"""So many different documents do not come in the same order twice by chance."""

Parts = dict[str, Any]


class Recorded(TextDataset):
    """Documents that were read before.

    Args:
        given: The documents.
        layout: Theirs.
    """

    def __init__(self, given: Sequence[str | Document], layout: Layout) -> None:
        self.given, self.layout = given, layout

    def documents(self) -> Sequence[str | Document]:
        """Those that were given."""
        return self.given


def check_corpus(dataset: TextDataset, documents: Sequence[str | Document]) -> None:
    """Encode documents into the cache, split them and batch them.

    Args:
        dataset: Whose documents they are.
        documents: All of them.

    Raises:
        AssertionError: A document comes back changed, a prompt is of other tokens, a document is in two splits or in
            none, a group in two, or the batches of a seed and an epoch are not always the same.
        UserError: As ``open_store`` and ``split_documents``.
    """
    name = type(dataset).__name__
    store = open_store(Recorded(documents, dataset.layout), name)
    _check_stored(store, documents)
    for prompt in dataset.prompts:
        try:
            Vocabulary(store.vocabulary).encode(prompt)
        except UserError as error:
            raise AssertionError(f"the prompt {prompt!r} is of other tokens than the documents: {error}") from None
    if dataset.layout == "stream":
        parts = split_stream(store, DEAL, name)
        total = sum(len(part) for part in parts.values())
        assert total == len(store.tokens), f"the splits hold {total} tokens together, of {len(store.tokens)}"
        lanes = min(ROWS, len(parts["train"]) - 1)
        _check_batches(lambda _: SequenceLoader(StreamBatches(parts["train"], lanes=lanes, window=WINDOW)), False)
        return
    parts = split_documents(store, DEAL, name)
    _check_splits(parts, documents)
    different = len({str(documents[number]) for number in parts["train"]})
    _check_batches(lambda seed: SequenceLoader(_rows(store, parts, seed)), different >= ENOUGH)


def _tokens(document: str | Document) -> list[str]:
    return list(document.tokens if isinstance(document, Document) else document)


def _check_stored(store: Store, documents: Sequence[str | Document]) -> None:
    vocabulary = Vocabulary(store.vocabulary)
    for number, document in enumerate(documents):
        tokens = _tokens(document)
        ids = store.tokens[store.offsets[number] : store.offsets[number + 1]].tolist()
        same = [vocabulary.tokens[index] for index in ids] == tokens and vocabulary.encode(tokens) == ids
        assert same, f"document {number} comes back from the store as {vocabulary.decode(ids)!r:.80}"


def _check_splits(parts: Parts, documents: Sequence[str | Document]) -> None:
    """Every document in one split, unless it is augmented, and those of a group, or of equal tokens, in the same."""
    side: dict[int, str] = {}
    groups: dict[Any, tuple[int, str]] = {}
    for split, numbers in parts.items():
        for number in map(int, numbers):
            assert number not in side, f"document {number} is in {side[number]} and in {split}"
            side[number] = split
            document = documents[number]
            own = document.group if isinstance(document, Document) else None
            group = tuple(_tokens(document)) if own is None else own
            first, there = groups.setdefault(group, (number, split))
            what = "have equal tokens" if own is None else f"are of the group {own!r}"
            assert there == split, f"documents {first} and {number} {what}: one is in {there}, the other in {split}"
    for number, document in enumerate(documents):
        left_out = isinstance(document, Document) and document.augmented
        assert number in side or left_out, f"document {number} is in no split"


def _rows(store: Store, parts: Parts, seed: int) -> DocumentBatches:
    boundary = Vocabulary(store.vocabulary).boundary
    assert boundary is not None
    return DocumentBatches(store, parts["train"], rows=ROWS, window=WINDOW, boundary=boundary, seed=seed)


def _check_batches(load: Callable[[int], SequenceLoader], shuffled: bool) -> None:
    """Two epochs of a seed are the same every time, and go on from a position that was stored in between."""
    loader, again = load(0), load(0)
    epochs = [list(loader), list(loader)]
    assert _same(epochs[0] + epochs[1], list(again) + list(again)), "the same seed and epoch give other batches"
    assert not shuffled or not _same(*epochs), "two epochs have the same order"
    assert not shuffled or not _same(epochs[0], list(load(1))), "two seeds give the same order"
    half = len(epochs[1]) // 2
    stopped, resumed = load(0), load(0)
    list(stopped)
    for _, _ in zip(range(half), stopped, strict=False):
        pass
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert _same(epochs[1][half:], list(resumed)), "the batches after a stored position are others"


def _same(some: Sequence[Batch], others: Sequence[Batch]) -> bool:
    if len(some) != len(others):
        return False
    pairs = zip(some, others, strict=True)
    return all(one.part == other.part and all(map(torch.equal, one[:3], other[:3])) for one, other in pairs)

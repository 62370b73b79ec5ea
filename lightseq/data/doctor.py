"""The data doctor: what a dataset is, what is wrong with it, and what a model has to beat on it."""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..vocabulary import Vocabulary, shorten
from .characters import Odd, odd_characters, rare_tokens, token_counts
from .dataset import blamed
from .duplicates import (
    Duplicates,
    NearDuplicates,
    Overlap,
    document_overlap,
    equal_texts,
    near_duplicates,
    text_hashes,
    window_overlap,
)
from .ngram import Yardsticks, label_text, yardsticks
from .store import Store

if TYPE_CHECKING:
    from .datamodule import SequenceData

BLOCK = 1 << 20
"""Documents whose labels are counted together."""

PROBLEMS = 10
"""Broken records shown at the most."""

Array = npt.NDArray[Any]


class Documents(NamedTuple):
    """What is told of documents, and not of a stream."""

    lengths: Array
    """(n,) In tokens, without the boundary."""
    equal: Duplicates
    near: NearDuplicates
    overlap: Overlap
    texts: dict[int, str]
    """The beginnings of those that ``equal`` and ``near`` name, by number."""


class Batches(NamedTuple):
    """What the batch size and the window come to, on one device."""

    size: int
    """Rows: documents, or lanes of a stream."""
    window: int
    updates: int
    """Of an epoch."""
    longer: float
    """The share of training documents of more time steps than the window; of a stream 0."""
    windows: float
    """Of a training document, the median; of a stream's lane."""
    lane: int
    """Time steps of a stream's lane; 0 for documents."""


class Report(NamedTuple):
    """What the doctor found."""

    name: str
    documents: int
    """As the dataset gives them; of a stream they are pieces, of no meaning."""
    tokens: int
    """Without boundaries."""
    characters: int
    sizes: dict[str, tuple[int, int]]
    """By split: documents (of a stream 0) and tokens."""
    vocabulary: list[str]
    counts: Array
    """(V,) How often each token stands there."""
    rare: list[tuple[str, int]]
    """Tokens that stand fewer than ``characters.RARE`` times, and how often."""
    odd: list[Odd]
    own: Documents | None
    """None for a stream."""
    window_overlap: float
    """Of a stream: the share of validation windows that also stand in training."""
    problems: list[str]
    """The first broken records."""
    problem_count: int
    labels: dict[str, dict[str, int]]
    """How often each label is predicted, by label and split; empty for a language model."""
    batches: Batches
    yardsticks: Yardsticks


def examine(data: "SequenceData") -> Report:
    """Look at a dataset, split and batched as it would be trained on.

    The corpus is read in blocks; duplicates, overlap and yardsticks come from a part of a large one, whose size
    ``duplicates`` and ``ngram`` say.

    Raises:
        UserError: A dataset that cannot be trained on either.
    """
    store, parts, stream = data.store, data.parts, data.dataset.layout == "stream"
    counts = token_counts(store.tokens, len(store.vocabulary))
    own = None if stream else _documents(store, data)
    with blamed(data.dataset, data.dataset_name, "problems"):
        problems = iter(data.dataset.problems())
        shown = list(islice(problems, PROBLEMS))
        more = sum(1 for _ in problems)
    lengths = np.array(Vocabulary(store.vocabulary).lengths)
    return Report(
        name=data.dataset_name,
        documents=len(store.offsets) - 1,
        tokens=len(store.tokens),
        characters=int(counts @ lengths),
        sizes={split: (0, len(part)) if stream else _size(store, part) for split, part in parts.items()},
        vocabulary=store.vocabulary,
        counts=counts,
        rare=rare_tokens(store.vocabulary, counts),
        odd=odd_characters(store, counts),
        own=own,
        window_overlap=window_overlap(parts["train"], parts["val"]) if stream else 0.0,
        problems=shown,
        problem_count=len(shown) + more,
        labels=_labels(store, parts),
        batches=_batches(data),
        yardsticks=yardsticks(store, parts, stream),
    )


def _size(store: Store, documents: Array) -> tuple[int, int]:
    return len(documents), int((store.offsets[documents + 1] - store.offsets[documents]).sum())


def _documents(store: Store, data: "SequenceData") -> Documents:
    hashes = text_hashes(store)
    equal, near = equal_texts(hashes), near_duplicates(store, hashes)
    named = {number for number, _ in equal.most} | {number for _, *pair in near.pairs for number in pair}
    vocabulary, offsets = Vocabulary(store.vocabulary), store.offsets
    texts = {d: vocabulary.decode(store.tokens[offsets[d] : min(offsets[d] + 400, offsets[d + 1])]) for d in named}
    overlap = document_overlap(store, hashes, data.parts, data.deal)
    return Documents(np.diff(offsets), equal, near, overlap, {d: shorten(text) for d, text in texts.items()})


def _labels(store: Store, parts: Mapping[str, Array]) -> dict[str, dict[str, int]]:
    counts = {split: np.zeros(len(store.labels or []), np.int64) for split in parts}
    for split, part in parts.items() if store.labels else ():
        for begin in range(0, len(part), BLOCK):
            ids = label_text(store, part[begin : begin + BLOCK], limit=1 << 62).tokens
            counts[split] += np.bincount(ids, minlength=len(counts[split]))
    return {label: {split: int(own[i]) for split, own in counts.items()} for i, label in enumerate(store.labels or [])}


def _batches(data: "SequenceData") -> Batches:
    updates = len(data.train_dataloader())
    train = data.parts["train"]
    if data.dataset.layout == "stream":
        lanes = data.training_lanes(1)
        return Batches(lanes, data.window, updates, 0.0, updates, -(-(len(train) - 1) // lanes))
    steps = data.store.offsets[train + 1] - data.store.offsets[train] + 1
    windows = float(np.median(-(-steps // data.window)))
    return Batches(data.batch_size, data.window, updates, float((steps > data.window).mean()), windows, 0)

"""Encoded text on disk: one flat array of small integers and the places where documents begin.

20 kB and 20 GB take the same path: documents stream by twice (once to learn the alphabet and the key, once to encode),
the result is memory-mapped. The cache is keyed by content, and is written beside its place and moved there whole.
"""

import json
import os
import shutil
from collections.abc import Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..vocabulary import BOUNDARY, describe
from .arrays import ArrayWriter, open_arrays
from .blocks import Encoder, blocks, group_digests, note, pieces
from .cache import locked, place_of, unusable
from .dataset import TextDataset
from .survey import FORMAT, Survey, label_list, survey

SPLITS = ("", "train", "val", "test")
ARRAYS = ("tokens", "offsets", "digests", "splits", "augmented")
"""Of every store; ``label_ids`` where there are labels."""

Array = npt.NDArray[Any]


class Store(NamedTuple):
    """An encoded corpus, memory-mapped."""

    key: str
    """Equal where the texts, their order, and the vocabulary are."""
    vocabulary: list[str]
    labels: list[str] | None
    """The names of the labels; None for a language model."""
    tokens: Array
    """(N,) ids, in the smallest unsigned type that holds them."""
    offsets: Array
    """(documents + 1,) int64: document d is ``tokens[offsets[d]:offsets[d + 1]]``."""
    digests: Array
    """(documents,) int64, equal for documents of one group, and for equal texts that name none."""
    splits: Array
    """(documents,) uint8, the place in ``SPLITS`` of what a document says of itself."""
    augmented: Array
    """(documents,) uint8, 1 for those that are for training alone."""
    label_ids: Array | None
    """int32: (N,) where every token has a label (tagging), (documents,) where a document has one (classification)."""
    tagged: bool
    """Which of the two."""


class ChangedError(Exception):
    """The documents are not those that were surveyed."""


def open_store(
    dataset: TextDataset, name: str, vocabulary: Sequence[str] | None = None, labels: Sequence[str] | None = None
) -> Store:
    """Encode a dataset's documents, or open the cache of an earlier time.

    Args:
        dataset: Its documents are read once, and a second time where there is no cache yet.
        name: What the user calls it, for messages.
        vocabulary: The tokens to encode with; None is those of the documents, after the boundary of a documents layout.
        labels: The label names to encode with; None is those of the documents.

    Raises:
        UserError: No text, a token or label that the given ones lack, or a cache folder that cannot be written.
    """
    found, kept = survey(dataset, name)
    tokens = own_tokens(dataset, found) if vocabulary is None else list(vocabulary)
    if missing := sorted(set(found.tokens) - set(tokens)):
        raise UserError(
            f"dataset {name!r} has {len(missing)} tokens that the given vocabulary of {len(tokens)} lacks: "
            f"{', '.join(describe(token) for token in missing[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    if unseen := sorted(set(found.labels or []) - set(found.labels or [] if labels is None else labels)):
        raise UserError(f"dataset {name!r} has labels that the given ones lack: {', '.join(unseen[:5])}")
    own = found._replace(tokens=tokens, labels=found.labels if labels is None else list(labels))
    key = blake2b(json.dumps([FORMAT, dataset.layout, own]).encode(), digest_size=16).hexdigest()
    if store := _read(place_of("stores", key), own):  # without a lock: the cache may be read-only
        return store
    with locked("stores", key) as place:
        try:
            return _read(place, own) or _write(place, dataset, name, own)
        except OSError as error:
            raise unusable(place.parent, error) from error
        except ChangedError:
            if kept is None:
                raise UserError(f"dataset {name!r} is broken: its documents were others the second time") from None
    try:
        kept.unlink(missing_ok=True)  # what was remembered is of other documents, whatever their fingerprint says
    except OSError as error:
        raise unusable(kept.parent, error) from error
    return open_store(dataset, name, vocabulary, labels)


def own_tokens(dataset: TextDataset, found: Survey) -> list[str]:
    """The vocabulary of a dataset by itself."""
    return [BOUNDARY] * (dataset.layout == "documents") + found.tokens


def _read(place: Path, own: Survey) -> Store | None:
    """The store at a place; None where there is none or it is damaged."""
    arrays = open_arrays(place)
    if arrays is None or not set(ARRAYS) <= set(arrays):
        return None
    label_ids = arrays.pop("label_ids", None)
    return Store(place.name, own.tokens, own.labels, label_ids=label_ids, tagged=own.tagged, **arrays)


def _write(place: Path, dataset: TextDataset, name: str, own: Survey) -> Store:
    beside = place.with_name(f"{place.name}.making")  # its lock is held: what is there was left by a process that died
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        with ArrayWriter(beside) as writer:
            _encode(writer, dataset, name, own)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    store = _read(place, own)
    assert store is not None, f"{place} was written and cannot be read"
    return store


def _encode(writer: ArrayWriter, dataset: TextDataset, name: str, own: Survey) -> None:
    """Write the arrays of a store.

    Raises:
        ChangedError: The documents are not those of the survey.
    """
    encoder, content = Encoder(own.tokens), sha256()
    label_ids = {label: index for index, label in enumerate(own.labels or ())}
    writer.append("tokens", [], encoder.dtype)
    writer.append("offsets", [0], np.int64)
    end = np.int64(0)
    for block in blocks(dataset, name):
        note(content, block)
        for piece in pieces(block.tokens):
            content.update(piece.raw)
            writer.append("tokens", encoder.encode(piece), encoder.dtype)
        offsets = end + np.cumsum(block.lengths, dtype=np.int64)
        end = offsets[-1]
        writer.append("offsets", offsets, np.int64)
        # of a stream no documents are dealt, and its pieces may be anything
        writer.append(
            "digests", np.zeros(len(offsets)) if dataset.layout == "stream" else group_digests(block), np.int64
        )
        said, count = block.documents, len(offsets)
        splits = [SPLITS.index(document.split or "") for document in said] if said else np.zeros(count)
        writer.append("splits", splits, np.uint8)
        writer.append("augmented", [document.augmented for document in said] if said else np.zeros(count), np.uint8)
        if own.labels is not None:
            labels = [label for document in block.documents for label in label_list(document, name)]
            writer.append("label_ids", [label_ids.get(label, 0) for label in labels], np.int32)
    if content.hexdigest() != own.key:
        raise ChangedError

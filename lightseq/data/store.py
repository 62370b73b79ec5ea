"""Encoded text on disk: one flat array of small integers and the places where documents begin.

20 kB and 20 GB take the same path: documents stream by twice (once to learn the alphabet and the key, once to encode),
the result is memory-mapped. The cache is keyed by content, so it never goes stale, and is written beside its place
and moved there whole. A dataset that has a ``fingerprint`` is not read again to learn that nothing has changed.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from ..errors import UserError
from ..types import Document
from ..vocabulary import BOUNDARY, describe
from .arrays import ArrayWriter, open_arrays
from .blocks import Alphabet, Encoder, blocks, group_digests, note, pieces
from .dataset import TextDataset, blamed

FORMAT = 2
"""Raise it when the files change: older caches are then left alone and made anew."""

SPLITS = ("", "train", "val", "test")
Array = npt.NDArray[Any]


class Store(NamedTuple):
    """An encoded corpus, memory-mapped."""

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


class Survey(NamedTuple):
    """What one look at all documents tells."""

    key: str
    tokens: list[str]
    labels: list[str] | None
    tagged: bool
    documents: int


class ChangedError(Exception):
    """The documents are not those that were surveyed."""


def cache_folder() -> Path:
    """``LIGHTSEQ_CACHE``, else ``lightseq`` in the user's cache folder."""
    own = os.environ.get("LIGHTSEQ_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "lightseq"


def make_cache(*parts: str) -> Path:
    """A folder in the cache, which is made if need be.

    Raises:
        UserError: It cannot be.
    """
    folder = cache_folder().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error
    return folder


def _unusable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"the cache folder {folder} cannot be used ({error.strerror or error}); LIGHTSEQ_CACHE names another"
    )


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
    with blamed(dataset, name, "fingerprint"):
        memory = _memory(dataset)
    survey = _remembered(memory) or survey_documents(dataset, name)
    tokens = [BOUNDARY] * (dataset.layout == "documents") + survey.tokens if vocabulary is None else list(vocabulary)
    if missing := sorted(set(survey.tokens) - set(tokens)):
        raise UserError(
            f"dataset {name!r} has {len(missing)} tokens that the given vocabulary of {len(tokens)} lacks: "
            f"{', '.join(describe(token) for token in missing[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    if unseen := sorted(set(survey.labels or []) - set(survey.labels or [] if labels is None else labels)):
        raise UserError(f"dataset {name!r} has labels that the given ones lack: {', '.join(unseen[:5])}")
    own = survey._replace(tokens=tokens, labels=survey.labels if labels is None else list(labels))
    key = blake2b(json.dumps([FORMAT, dataset.layout, own]).encode(), digest_size=16).hexdigest()
    place = make_cache("stores") / key
    try:
        with FileLock(f"{place}.lock"):
            store = _read(place, own) or _write(place, dataset, name, own)
        _remember(memory, survey)
        return store
    except ChangedError:
        if not _remembered(memory):
            raise UserError(f"dataset {name!r} is broken: its documents were others the second time") from None
    except OSError as error:
        raise _unusable(place.parent, error) from error
    assert memory is not None
    memory.unlink()
    return open_store(dataset, name, vocabulary, labels)


def survey_documents(dataset: TextDataset, name: str) -> Survey:
    """Look at every document once, without keeping any.

    Raises:
        UserError: No documents, no text in them, or labels on some only.
    """
    content, alphabet, labels = sha256(), Alphabet(), set[str]()
    count = labelled = tagged = 0
    for block in blocks(dataset, name):
        note(content, block)
        for piece in pieces(block.tokens):
            alphabet.add(piece)
            content.update(piece.raw)
        count += len(block.lengths)
        for document in block.documents:
            if document.labels is not None:
                labelled += 1
                tagged += not isinstance(document.labels, str)
                labels.update(_label_list(document, name))
    tokens = alphabet.tokens()
    if not tokens:
        raise UserError(f"dataset {name!r} is empty: {count} documents and no text in them")
    if labelled and dataset.layout == "stream":
        raise UserError(f"dataset {name!r} is broken: a stream has no labels; documents have")
    if labelled not in (0, count) or tagged not in (0, labelled):
        raise UserError(f"dataset {name!r} mixes documents of different kinds: every one is labelled alike, or none is")
    return Survey(content.hexdigest(), tokens, sorted(labels) if labelled else None, bool(tagged), count)


def _label_list(document: Document, name: str) -> list[str]:
    if isinstance(document.labels, str):
        return [document.labels]
    own = list(document.labels or ())
    if len(own) != len(document.tokens):
        raise UserError(f"a document of {name!r} has {len(document.tokens)} tokens and {len(own)} labels")
    return own


def _memory(dataset: TextDataset) -> Path | None:
    """Where the survey of a dataset with this fingerprint is kept."""
    mark = dataset.fingerprint()
    if mark is None:
        return None
    kind = type(dataset)
    key = blake2b(json.dumps([FORMAT, kind.__module__, kind.__qualname__, mark]).encode(), digest_size=16)
    return cache_folder() / "surveys" / f"{key.hexdigest()}.json"


def _remembered(memory: Path | None) -> Survey | None:
    try:
        return None if memory is None else Survey(*json.loads(memory.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(memory: Path | None, survey: Survey) -> None:
    if memory is not None and not memory.exists():
        make_cache("surveys")
        beside = memory.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(survey))
        os.replace(beside, memory)


def _read(place: Path, survey: Survey) -> Store | None:
    """The store at a place; None where there is none or it is damaged."""
    arrays = open_arrays(place)
    if arrays is None:
        return None
    label_ids = arrays.pop("label_ids", None)
    return Store(survey.tokens, survey.labels, label_ids=label_ids, tagged=survey.tagged, **arrays)


def _write(place: Path, dataset: TextDataset, name: str, survey: Survey) -> Store:
    temporary = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
    try:
        with ArrayWriter(temporary) as writer:
            _encode(writer, dataset, name, survey)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    store = _read(place, survey)
    assert store is not None, f"{place} was written and cannot be read"
    return store


def _encode(writer: ArrayWriter, dataset: TextDataset, name: str, survey: Survey) -> None:
    """Write the arrays of a store.

    Raises:
        ChangedError: The documents are not those of the survey.
    """
    encoder, content = Encoder(survey.tokens), sha256()
    label_ids = {label: index for index, label in enumerate(survey.labels or ())}
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
        if survey.labels is not None:
            labels = [label for document in block.documents for label in _label_list(document, name)]
            writer.append("label_ids", [label_ids.get(label, 0) for label in labels], np.int32)
    if content.hexdigest() != survey.key:
        raise ChangedError

"""Encoded text on disk: one flat array of small integers and the places where documents begin.

20 kB and 20 GB take the same path: documents stream by twice (once to learn the alphabet and the key, once to encode),
the result is memory-mapped. The cache is keyed by content, so it never goes stale, and is written beside its place
and moved there whole.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from ..errors import UserError
from ..types import Document
from ..vocabulary import BOUNDARY, describe
from .dataset import TextDataset

FORMAT = 1
"""Raise it when the files change: older caches are then left alone and made anew."""

BLOCK = 1 << 20
"""Tokens encoded at once: enough to amortise a NumPy call, little enough to stay in cache."""

UNICODE = 0x110000
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
    """(documents,) uint64, equal for equal texts."""
    splits: Array
    """(documents,) uint8, the place in ``SPLITS`` of what a document says of itself."""
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


def cache_folder() -> Path:
    """``LIGHTSEQ_CACHE``, else ``lightseq`` in the user's cache folder."""
    own = os.environ.get("LIGHTSEQ_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "lightseq"


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
    survey = survey_documents(dataset, name)
    if vocabulary is None:
        vocabulary = [BOUNDARY] * (dataset.layout == "documents") + survey.tokens
    elif missing := sorted(set(survey.tokens) - set(vocabulary)):
        raise UserError(
            f"dataset {name!r} has {len(missing)} tokens that the given vocabulary of {len(vocabulary)} lacks: "
            f"{', '.join(describe(token) for token in missing[:5])}{', ...' if len(missing) > 5 else ''}"
        )
    if labels is None:
        labels = survey.labels
    elif unseen := sorted(set(survey.labels or []) - set(labels)):
        raise UserError(f"dataset {name!r} has labels that the given ones lack: {', '.join(unseen[:5])}")
    survey = survey._replace(tokens=list(vocabulary), labels=None if labels is None else list(labels))
    key = blake2b(json.dumps([FORMAT, survey]).encode(), digest_size=16).hexdigest()
    place = cache_folder() / "stores" / key
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"):
            return _read(place, survey) or _write(place, dataset, name, survey)
    except OSError as error:
        raise UserError(
            f"the cache folder {place.parent} cannot be used ({error.strerror or error}); LIGHTSEQ_CACHE names another"
        ) from error


def survey_documents(dataset: TextDataset, name: str) -> Survey:
    """Look at every document once, without keeping any.

    Raises:
        UserError: No documents, no text in them, or labels on some only.
    """
    content = blake2b(digest_size=16)
    seen, words, labels = np.zeros(UNICODE, bool), set[str](), set[str]()
    count = labelled = tagged = 0
    for block in _blocks(dataset, name):
        flat = _flat(block)
        if isinstance(flat, str):
            seen[_code_points(flat)] = True
        else:
            words.update(flat)
        for document in block:
            content.update(repr(document).encode())
            count += 1
            if document.labels is not None:
                labelled += 1
                tagged += not isinstance(document.labels, str)
                labels.update(_label_list(document, name))
    tokens = sorted(words | {chr(point) for point in np.flatnonzero(seen)})
    if not tokens:
        raise UserError(f"dataset {name!r} is empty: {count} documents and no text in them")
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


def _documents(dataset: TextDataset, name: str) -> Iterator[str | Document]:
    """The dataset's documents; a file that cannot be read is the user's mistake, not the plugin's.

    Raises:
        UserError: A missing or unreadable file, or one in another encoding.
    """
    try:
        yield from dataset.documents()
    except (OSError, UnicodeError) as error:
        raise UserError(f"dataset {name!r} cannot be read: {error}") from error


def _blocks(dataset: TextDataset, name: str) -> Iterator[list[Document]]:
    """Documents in lists of about ``BLOCK`` tokens."""
    block: list[Document] = []
    size = 0
    for document in _documents(dataset, name):
        if not isinstance(document, str | Document):
            raise UserError(f"dataset {name!r} is broken: a document is text or a Document, not {document!r:.80}")
        block.append(Document(document) if isinstance(document, str) else document)
        size += len(block[-1].tokens)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _flat(block: Sequence[Document]) -> str | list[str]:
    if all(isinstance(document.tokens, str) for document in block):
        return "".join([str(document.tokens) for document in block])
    return [token for document in block for token in document.tokens]


def _code_points(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _digest(document: Document) -> int:
    text = document.tokens if isinstance(document.tokens, str) else "\0".join(document.tokens)
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _read(place: Path, survey: Survey) -> Store | None:
    """The store at a place; None where there is none or it is damaged."""
    try:
        meta = json.loads((place / "meta.json").read_text())
        tokens: Array = np.empty(0, meta["dtype"])
        if meta["size"]:
            tokens = np.memmap(place / "tokens.bin", dtype=meta["dtype"], mode="r", shape=(meta["size"],))
        offsets, digests, splits = (np.load(place / f"{name}.npy") for name in ("offsets", "digests", "splits"))
        label_ids = None if survey.labels is None else np.load(place / "label_ids.npy", mmap_mode="r")
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
    return Store(survey.tokens, survey.labels, tokens, offsets, digests, splits, label_ids, survey.tagged)


def _write(place: Path, dataset: TextDataset, name: str, survey: Survey) -> Store:
    temporary = Path(tempfile.mkdtemp(prefix="making-", dir=place.parent))
    try:
        _encode(temporary, dataset, name, survey)
        shutil.rmtree(place, ignore_errors=True)
        os.replace(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    store = _read(place, survey)
    assert store is not None, f"{place} was written and cannot be read"
    return store


def _encode(folder: Path, dataset: TextDataset, name: str, survey: Survey) -> None:
    """Write the arrays of a store into an empty folder."""
    ids = {token: index for index, token in enumerate(survey.tokens)}
    label_ids = {label: index for index, label in enumerate(survey.labels or [])}
    dtype = np.min_scalar_type(len(ids) - 1)
    table = np.zeros(UNICODE, dtype)
    for token, index in ids.items():
        if len(token) == 1:
            table[ord(token)] = index
    lengths, digests, splits, labels = [0], list[int](), list[int](), list[int]()
    size = 0
    with (folder / "tokens.bin").open("wb") as file:
        for block in _blocks(dataset, name):
            size += _append(file, _flat(block), table, ids)
            for document in block:
                lengths.append(len(document.tokens))
                digests.append(_digest(document))
                splits.append(SPLITS.index(document.split or ""))
                if survey.labels is not None:
                    labels.extend(label_ids[label] for label in _label_list(document, name))
    np.save(folder / "offsets.npy", np.cumsum(lengths, dtype=np.int64))
    np.save(folder / "digests.npy", np.array(digests, np.uint64))
    np.save(folder / "splits.npy", np.array(splits, np.uint8))
    if survey.labels is not None:
        np.save(folder / "label_ids.npy", np.array(labels, np.int32))
    (folder / "meta.json").write_text(json.dumps({"format": FORMAT, "dtype": dtype.name, "size": size}))


def _append(file: BinaryIO, flat: str | list[str], table: Array, ids: dict[str, int]) -> int:
    if isinstance(flat, str):
        encoded = table[_code_points(flat)]
    else:
        encoded = np.array([ids[token] for token in flat], table.dtype)
    file.write(encoded.tobytes())
    return encoded.size

"""A dataset's documents in blocks of about a million tokens: what is done to each is then done by NumPy, not by Python.

A block of characters is handled as its Latin-1 bytes where it has them, which is the fast path, and else as 32-bit code
points.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..types import Document
from .dataset import TextDataset, blamed

BLOCK = 1 << 20
"""Tokens encoded at once: enough to amortise a NumPy call, little enough to stay in cache."""

UNICODE = 0x110000
Array = npt.NDArray[Any]


class Hash(Protocol):
    """What ``hashlib`` makes."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class Block(NamedTuple):
    """Neighbouring documents."""

    tokens: str | list[str]
    """All of them, one after another."""
    lengths: list[int]
    """Of each document, in tokens."""
    texts: list[str]
    """Each document's own; empty where ``documents`` is not."""
    documents: list[Document]
    """Where any says more than its text; else empty."""


class Piece(NamedTuple):
    """At most ``BLOCK`` tokens of a block, as bytes to encode and to hash."""

    raw: bytes
    words: list[str] | None
    """None: ``raw`` holds code points of ``width`` bytes each."""
    width: int


def blocks(dataset: TextDataset, name: str) -> Iterator[Block]:
    """The documents in blocks of about ``BLOCK`` tokens; a longer document is one by itself.

    Raises:
        UserError: A file that cannot be read, a document that is neither text nor a ``Document``, or whatever a
            stranger's ``documents`` raises.
    """
    gathered: list[str | Document] = []
    size, rich = 0, False
    for document in _documents(dataset, name):
        if isinstance(document, Document):
            rich = True
            size += len(document.tokens)
            if document.split not in (None, "train", "val", "test"):
                raise UserError(f"dataset {name!r} is broken: a split is train, val or test, not {document.split!r}")
        elif isinstance(document, str):
            size += len(document)
        else:
            raise UserError(f"dataset {name!r} is broken: a document is text or a Document, not {document!r:.80}")
        gathered.append(document)
        if size >= BLOCK:
            yield _block(gathered, rich)
            gathered, size, rich = [], 0, False
    if gathered:
        yield _block(gathered, rich)


def _documents(dataset: TextDataset, name: str) -> Iterator[str | Document]:
    with blamed(dataset, name, "documents"):
        yield from dataset.documents()


def _block(gathered: list[Any], rich: bool) -> Block:
    if not rich:
        return Block("".join(gathered), list(map(len, gathered)), gathered, [])
    documents = [Document(one) if isinstance(one, str) else one for one in gathered]
    lengths = [len(document.tokens) for document in documents]
    if all(isinstance(document.tokens, str) for document in documents):
        return Block("".join([str(document.tokens) for document in documents]), lengths, [], documents)
    return Block([token for document in documents for token in document.tokens], lengths, [], documents)


def pieces(tokens: str | list[str]) -> Iterator[Piece]:
    """A block's tokens, ready to encode: a document of any length needs no more memory than its text."""
    for begin in range(0, len(tokens), BLOCK):
        own = tokens[begin : begin + BLOCK]
        if not isinstance(own, str):
            yield Piece("\0".join(own).encode("utf-8", "surrogatepass"), own, 0)
            continue
        try:
            yield Piece(own.encode("latin-1"), None, 1)
        except UnicodeEncodeError:
            yield Piece(own.encode("utf-32-le", "surrogatepass"), None, 4)


class Alphabet:
    """The distinct tokens of the pieces that were added."""

    def __init__(self) -> None:
        self._seen, self._words, self._bytes = np.zeros(UNICODE, bool), set[str](), b""

    def add(self, piece: Piece) -> None:
        """Note the tokens of a piece."""
        if piece.words is not None:
            self._words.update(piece.words)
        elif piece.width == 4:
            self._seen[np.frombuffer(piece.raw, "<u4")] = True
        elif new := piece.raw.translate(None, self._bytes):
            self._bytes += bytes(set(new))

    def tokens(self) -> list[str]:
        """All of them, sorted."""
        points = set(np.flatnonzero(self._seen).tolist()) | set(self._bytes)
        return sorted(self._words | {chr(point) for point in points})


class Encoder:
    """Ids of the tokens of a piece, in the smallest unsigned type that holds them.

    Args:
        tokens: A token's id is its place.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.ids = {token: index for index, token in enumerate(tokens)}
        self.dtype = np.min_scalar_type(len(tokens) - 1)
        self._table = np.zeros(UNICODE, self.dtype)
        for token, index in self.ids.items():
            if len(token) == 1:
                self._table[ord(token)] = index
        self._byte_table = self._table[:256].tobytes()

    def encode(self, piece: Piece) -> Array:
        """(tokens of the piece,) ids; those of tokens that are not among the encoder's mean nothing."""
        if piece.words is not None:
            return np.array([self.ids.get(token, 0) for token in piece.words], self.dtype)
        if piece.width == 1 and self.dtype == np.uint8:
            return np.frombuffer(piece.raw.translate(self._byte_table), np.uint8)
        ids: Array = self._table[np.frombuffer(piece.raw, f"<u{piece.width}")]
        return ids


def group_digests(block: Block) -> list[int]:
    """Of each document 64 bits that are equal for those of one group, and for equal tokens where none is named. They
    are Python's own hashes: to be compared among each other, and others in another process."""
    return [hash(text) for text in block.texts] + [hash(_group(document)) for document in block.documents]


def _group(document: Document) -> str | tuple[str, ...]:
    if document.group is not None:
        return ("group", document.group)
    return document.tokens if isinstance(document.tokens, str) else ("tokens", *document.tokens)


def note(content: Hash, block: Block) -> None:
    """Add to the content's hash all that a block says besides its tokens."""
    content.update(np.array(block.lengths, "<i8").tobytes())
    for document in block.documents:
        content.update(repr(document[1:]).encode("utf-8", "surrogatepass"))

"""Any plain text."""

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

from ..data import TextDataset
from ..data.files import chunks, find, fingerprint, records
from ..errors import UserError
from ..types import Document, Layout, Split
from ..vocabulary import escape, words

SEPARATORS: dict[str, str | re.Pattern[str]] = {
    "line": "\n",
    "blank_line": re.compile(r"\n(?:[ \t]*\n)+(?=[ \t]*[^ \t\n])"),
    "file": re.compile(r"(?!)"),  # stands nowhere
}

SEAMS = (
    re.compile(r"\s\S*\Z"),  # a word stays whole
    re.compile(r"[\x00-\x7f][^\x00-\x7f]*\Z"),  # nothing before an ASCII character combines with it
)


LONGEST_WORD = 1 << 16
"""Characters without white space among them that are kept together."""


class Text(TextDataset):
    """Plain text of your own: a file, a folder, a pattern or a URL, as one stream or as documents.

    Line ends become line feeds, and a byte-order mark is removed, of bytes too. Files named ``.gz``, ``.bz2`` or
    ``.xz`` are unpacked. A stream may be larger than memory. Files of a stream follow each other in the order of their
    names, a line feed between two where the first does not end in one.

    Args:
        path: A file, a folder (all files in it and below), a pattern like ``books/*.txt``, or a URL that fsspec knows.
            The data module splits it: documents at random, a stream by position.
        train_path: In its place, the part to train on;
        val_path: the part to validate on (without it a part of the training text is taken);
        test_path: and the part to test on.
        by: What a document is: the whole text one ``stream``, or a ``line``, what stands between two of ``blank_line``,
            or a ``file``. Empty ones are left out.
        separator: Documents end with this string, whatever ``by`` says; ``\\n`` is written for a line feed.
        tokens: ``characters`` (Unicode code points), ``bytes`` of its UTF-8, or ``words``: a word or a mark with the
            space before it.
        encoding: Of the files, as Python names it.
        errors: What to do about bytes that are none in that encoding: stop with a message, put U+FFFD in their place,
            or leave them out. As ``bytes`` they are what they are.
        lower_case: Make all letters small.
        nfc: Compose characters (Unicode normalisation form C), so that an accent is written in one way alone.
    """

    layout: Layout = "stream"

    def __init__(
        self,
        path: str | None = None,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        by: Literal["stream", "line", "blank_line", "file"] = "stream",
        separator: str | None = None,
        tokens: Literal["characters", "bytes", "words"] = "characters",
        encoding: str = "utf-8",
        errors: Literal["strict", "replace", "ignore"] = "strict",
        lower_case: bool = False,
        nfc: bool = False,
    ) -> None:
        if path is None and train_path is None:
            raise UserError("dataset 'text' needs a text: dataset_args.path, or else train_path")
        if path is not None and (train_path or val_path or test_path):
            raise UserError("dataset 'text' takes path, or train_path with val_path and test_path, not both")
        if separator == "":
            raise UserError("dataset_args.separator is empty")
        # without a text to validate on, the training text gives a part of itself
        train: Split | None = "train" if val_path else None
        parts = [(path or train_path, train), (val_path, "val"), (test_path, "test")]
        self.parts: list[tuple[str, Split | None]] = [(place, split) for place, split in parts if place]
        self.by = by if separator is None else "separator"
        self.separator = None if separator is None else separator.replace("\\n", "\n").replace("\\t", "\t")
        self.layout: Layout = "stream" if self.by == "stream" else "documents"
        raw = tokens == "bytes" and is_utf8(encoding) and errors == "strict"
        self.tokens, self.encoding, self.errors = tokens, encoding, "surrogateescape" if raw else errors
        self.lower_case, self.nfc = lower_case, nfc

    def documents(self) -> Iterator[Document | str]:
        for place, split in self.parts:
            for text in self._texts(place):
                tokens = words(text) if self.tokens == "words" else escape(text) if self.tokens == "bytes" else text
                yield tokens if split is None and isinstance(tokens, str) else Document(tokens, split=split)

    def fingerprint(self) -> str | None:
        files = [file for place, _ in self.parts for file in find(place)]
        options = (self.parts, self.by, self.separator, self.tokens, self.encoding, self.errors)
        return fingerprint(files, *options, self.lower_case, self.nfc)

    def _texts(self, place: str) -> Iterator[str]:
        """Documents, or a stream in pieces that can be treated one by one."""
        if self.by == "stream":
            whole = self._stream(place)
            yield from map(self._treated, seamless(whole) if self._looks_around else whole)
            return
        for file in find(place):
            pieces = self._pieces(file)
            for text in records(pieces, self.separator or SEPARATORS[self.by], file):
                if text.strip():
                    yield self._treated(text.strip("\n"))

    def _pieces(self, file: str) -> Iterator[str]:
        return chunks(file, self.encoding, self.errors, nul=self.tokens == "bytes")

    def _stream(self, place: str) -> Iterator[str]:
        last = "\n"
        for file in find(place):
            if not last.endswith("\n"):
                yield (last := "\n")
            for last in self._pieces(file):
                yield last

    @property
    def _looks_around(self) -> bool:
        """Whether what becomes of a character depends on its neighbours."""
        return self.lower_case or self.nfc or self.tokens == "words"

    def _treated(self, text: str) -> str:
        text = text.lower() if self.lower_case else text
        return unicodedata.normalize("NFC", text) if self.nfc else text


def is_utf8(encoding: str) -> bool:
    """Whether this is one of its names; an unknown one is told about when a file is read."""
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False


def seamless(pieces: Iterable[str]) -> Iterator[str]:
    """The same text cut where no word and no composed character is cut in two: before the last white space of a piece,
    else before its last ASCII character, else as it was."""
    rest = ""
    for piece in pieces:
        text = rest + piece
        cuts = [match.start() for match in (seam.search(text) for seam in SEAMS) if match]
        cut = next((cut for cut in cuts if cut or len(text) < LONGEST_WORD), len(text))
        rest = text[cut:]
        yield text[:cut]
    if rest:
        yield rest

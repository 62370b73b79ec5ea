"""Texts with labels."""

from collections.abc import Iterable, Iterator
from typing import Literal

from ..data import TextDataset, files
from ..errors import UserError, did_you_mean
from ..types import Document, PositiveInt, Split
from ..vocabulary import words

LAST = -1
BREAK = "-DOCSTART-"
"""The token of a CoNLL file that says where an article begins: no token of a sentence."""


class Labelled(TextDataset):
    """Tab-separated files: a text and its label a row (classification), or a token and its label (tagging).

    Tagging reads CoNLL columns, a token a line, a blank line between sentences. Fields are taken as they stand: nothing
    is quoted, no line is a comment, and spaces are cut off a label alone. A longer text than ``data.window`` is read in
    windows, the state carried; of a classified one the last window alone is scored, and what it teaches reaches no
    further back: raise ``data.window`` above the longest text.

    Args:
        path: A file, folder, glob or URL; its documents are dealt to the splits.
        train_path: In place of ``path``: what to train on. Without a ``val_path`` it is dealt too, to the splits that
            have no file.
        val_path: What to validate on.
        test_path: What to test on.
        task: One label a text, or one a token.
        text_column: Where the text or token stands, counted from 1.
        label_column: Where the label stands; -1 is the last column.
        header: Whether a file's first line names the columns.
        tokens: What a classified text is cut into; a word has the space before it. A tagged token is one already.
        encoding: Of the files.
        errors: What to do about bytes that do not decode.

    Raises:
        UserError: Paths or columns that do not fit together; on reading, a row that lacks something, a file without
            rows, a label to validate or test on that is not among those to train on.
    """

    def __init__(
        self,
        path: str | None = None,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        task: Literal["classification", "tagging"] = "classification",
        text_column: PositiveInt = 1,
        label_column: int = 2,
        header: bool = False,
        tokens: Literal["characters", "words"] = "characters",
        encoding: str = "utf-8",
        errors: Literal["strict", "replace", "ignore"] = "strict",
    ) -> None:
        if (path is None) == (train_path is None):
            raise UserError("labelled data need path, which is dealt to the splits, or train_path, and not both")
        if path is not None and (val_path or test_path):
            raise UserError("path is dealt to all splits: with val_path or test_path it is train_path")
        if label_column < 1 and label_column != LAST:
            raise UserError(f"label_column {label_column}: columns are counted from 1, and {LAST} is the last")
        if label_column == text_column:
            raise UserError(f"text_column and label_column are both {text_column}")
        self.path, self.train_path, self.val_path, self.test_path = path, train_path, val_path, test_path
        self.task, self.text_column, self.label_column, self.header = task, text_column, label_column, header
        self.tokens, self.encoding, self.errors = tokens, encoding, errors

    def documents(self) -> Iterator[Document]:
        """The rows or sentences, in the order of the files: those to train on, to validate on, to test on."""
        known: set[str] = set()
        for file in self._files()[0]:
            for _, document in self._read(file, "train" if self.val_path else None):
                known.update(_labels(document))
                yield document
        held_out: list[tuple[Split, list[str]]] = list(zip(("val", "test"), self._files()[1:], strict=True))
        for split, paths in held_out:
            for file in paths:
                for numbers, document in self._read(file, split):
                    for number, label in zip(numbers, _labels(document), strict=True):
                        if label not in known:
                            raise UserError(
                                f"{file}, line {number}: the label {label!r} stands nowhere in {self.train_path}"
                                f"{did_you_mean(label, sorted(known))}"
                            )
                    yield document

    def fingerprint(self) -> str | None:
        """Of the files and of every option."""
        options = (self.task, self.text_column, self.label_column, self.header, self.tokens, self.encoding, self.errors)
        parts = self._files()
        return files.fingerprint([file for part in parts for file in part], [len(part) for part in parts], *options)

    def _files(self) -> tuple[list[str], list[str], list[str]]:
        """What to train on, or to deal; to validate on; to test on."""
        paths = (self.path or self.train_path, self.val_path, self.test_path)
        train, val, test = (files.find(path) if path else [] for path in paths)
        return train, val, test

    def _read(self, file: str, split: Split | None) -> Iterator[tuple[list[int], Document]]:
        """A file's documents, with the line of each label."""
        documents = self._sentences(file) if self.task == "tagging" else self._texts(file)
        found = False
        for numbers, document in documents:
            found = True
            yield numbers, document._replace(split=split)
        if not found:
            raise UserError(f"{file} has no rows")

    def _texts(self, file: str) -> Iterator[tuple[list[int], Document]]:
        for number, line in self._lines(file):
            if line:
                text, label = self._fields(file, number, line)
                yield [number], Document(words(text) if self.tokens == "words" else text, label)

    def _sentences(self, file: str) -> Iterator[tuple[list[int], Document]]:
        numbers, tokens, labels = list[int](), list[str](), list[str]()
        for number, line in self._lines(file):
            if not line.strip() or BREAK in line.split("\t"):
                if numbers:
                    yield numbers, Document(tokens, labels)
                    numbers, tokens, labels = [], [], []
                continue
            token, label = self._fields(file, number, line)
            numbers.append(number)
            tokens.append(token)
            labels.append(label)
        if numbers:
            yield numbers, Document(tokens, labels)

    def _lines(self, file: str) -> Iterator[tuple[int, str]]:
        for number, line in files.lines(file, self.encoding, self.errors):
            if number > 1 or not self.header:
                yield number, line

    def _fields(self, file: str, number: int, line: str) -> tuple[str, str]:
        """The text and the label of a row."""
        fields = line.split("\t")
        needed = self.text_column + 1 if self.label_column == LAST else max(self.text_column, self.label_column)
        unit = "token" if self.task == "tagging" else "text"
        if len(fields) < needed:
            columns = "1 column" if len(fields) == 1 else f"{len(fields)} columns"
            raise UserError(
                f"{file}, line {number}: {columns} where {needed} are needed (a tab stands between {unit} and label)"
            )
        text = fields[self.text_column - 1]
        label = fields[LAST if self.label_column == LAST else self.label_column - 1].strip()
        for what, field, column in ((unit, text, self.text_column), ("label", label, self.label_column)):
            if not field.strip():
                raise UserError(f"{file}, line {number}: the {what} is empty{_place(column)}")
        return text, label


def _place(column: int) -> str:
    return " (the last column)" if column == LAST else f" (column {column})"


def _labels(document: Document) -> Iterable[str]:
    return [document.labels] if isinstance(document.labels, str) else document.labels or ()

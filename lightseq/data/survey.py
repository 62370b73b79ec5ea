"""One look at all documents of a dataset: its alphabet, its labels, and the key of its content.

A dataset that has a ``fingerprint`` is not read again to learn that nothing has changed: the survey is kept in the
cache under the fingerprint, the class, and the source that the class is written in.
"""

import json
import sys
from hashlib import blake2b, sha256
from pathlib import Path
from typing import NamedTuple

from ..atomic import write_whole
from ..errors import UserError
from ..types import Document
from .blocks import Alphabet, blocks, note, pieces
from .cache import locked, place_of, unusable
from .dataset import TextDataset, blamed

FORMAT = 3
"""Raise it when surveys or stores change: older ones are then left alone and made anew."""


class Survey(NamedTuple):
    """What the documents are."""

    key: str
    """SHA-256 of all they say."""
    tokens: list[str]
    labels: list[str] | None
    tagged: bool
    documents: int


def survey(dataset: TextDataset, name: str) -> tuple[Survey, Path | None]:
    """The survey of a dataset, from the cache where nothing can have changed. Of several processes one looks.

    Returns:
        The survey, and the file it was read from; None where this process has just looked.

    Raises:
        UserError: As ``survey_documents``, or a cache folder that cannot be written.
    """
    with blamed(dataset, name, "fingerprint"):
        mark = dataset.fingerprint()
    source = _source(type(dataset))
    if mark is None or source is None:
        return survey_documents(dataset, name), None
    kind = [type(dataset).__module__, type(dataset).__qualname__, source]
    key = blake2b(json.dumps([FORMAT, *kind, dataset.layout, mark]).encode(), digest_size=16).hexdigest()
    place = place_of("surveys", key)
    if kept := _read(place):  # without a lock: the cache may be read-only
        return kept, place
    with locked("surveys", key):
        if kept := _read(place):
            return kept, place
        found = survey_documents(dataset, name)
        try:
            write_whole(place, json.dumps(found))
        except OSError as error:
            raise unusable(place.parent, error) from error
    return found, None


def _read(place: Path) -> Survey | None:
    """The survey at a place; None where there is none or it is damaged."""
    try:
        return Survey(*json.loads(place.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _source(kind: type) -> str | None:
    """A digest of the file that a class is written in; None where there is none, as in a notebook."""
    file = vars(sys.modules[kind.__module__]).get("__file__")
    try:
        return None if file is None else sha256(Path(file).read_bytes()).hexdigest()
    except OSError:
        return None


def survey_documents(dataset: TextDataset, name: str) -> Survey:
    """Look at every document once, without keeping any.

    Raises:
        UserError: No documents, no text in them, labels on some only, or labels of a stream.
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
                labels.update(label_list(document, name))
    tokens = alphabet.tokens()
    if not tokens:
        raise UserError(f"dataset {name!r} is empty: {count} documents and no text in them")
    if labelled and dataset.layout == "stream":
        raise UserError(f"dataset {name!r} is broken: a stream has no labels; documents have")
    if labelled not in (0, count) or tagged not in (0, labelled):
        raise UserError(f"dataset {name!r} mixes documents of different kinds: every one is labelled alike, or none is")
    return Survey(content.hexdigest(), tokens, sorted(labels) if labelled else None, bool(tagged), count)


def label_list(document: Document, name: str) -> list[str]:
    """A document's labels: one, or one a token.

    Raises:
        UserError: Another number of them than of tokens.
    """
    if isinstance(document.labels, str):
        return [document.labels]
    own = list(document.labels or ())
    if len(own) != len(document.tokens):
        raise UserError(f"a document of {name!r} has {len(document.tokens)} tokens and {len(own)} labels")
    return own

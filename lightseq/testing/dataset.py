"""The contract of a dataset."""

import os
import pickle
import random
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from multiprocessing import get_context
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from ..data import TextDataset
from ..data.store import SPLITS
from ..errors import UserError, quote
from ..signatures import parameters
from ..types import Document
from .corpus import check_corpus
from .hooks import check_hooks


def check_dataset(make: Callable[[], TextDataset]) -> None:
    """Hold a dataset to the interface of ``lightseq.data.TextDataset``.

    Its documents are plain and the same at every call, once fetched they need no network, and they come back from the
    store as they were. Its prompts are made of its own tokens. The splits are disjoint, hold every document and keep
    a group on one side. The batches depend on seed and epoch alone, and go on from a stored position. What the hooks
    return is as documented, whatever a model writes. A spawned process sees the same documents. No global generator
    is drawn from, and the environment and the cache are left as they were.

    Args:
        make: Builds the dataset, of a size that fits into memory; called twice. Its class is in a module that can be
            imported: a spawned process does.

    Raises:
        AssertionError: Where it does not hold.
        UserError: What the house refuses of any dataset, such as one that is too small to split.
    """
    before = _generators()
    dataset, other = make(), make()
    _check_class(dataset)
    dataset.download()
    with _no_network():
        documents = list(dataset.documents())
        _check_plain(documents)
        _check_same(documents, dataset.documents(), "at the second call")
        _check_same(documents, other.documents(), "of another instance")
        check_hooks(dataset, other, documents)
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder, patch.dict(os.environ, LIGHTSEQ_CACHE=folder):
        check_corpus(dataset, documents)
    after = _generators()
    for name in before:
        assert after[name] == before[name], f"the global generator of {name} was drawn from: make one of your own"
    _check_spawn(dataset, documents)


def _generators() -> dict[str, Any]:
    """The states of the generators that everybody shares."""
    state: Any = np.random.get_state()
    return {
        "torch": torch.get_rng_state().tolist(),
        "random": random.getstate(),
        "numpy": (state[1].tolist(), *state[2:]),
    }


@contextmanager
def _no_network() -> Iterator[None]:
    """Whoever reaches for the network is noticed, even one that is content without it."""
    reached = []

    def refuse(*words: Any, **_: Any) -> None:
        reached.append(words)
        raise OSError("there is no network here")

    try:
        with patch.object(socket.socket, "connect", refuse), patch.object(socket, "getaddrinfo", refuse):
            yield
    finally:
        assert not reached, "the network is reached for: download() fetches, and all else reads what is there"


def _check_class(dataset: TextDataset) -> None:
    name = type(dataset).__name__
    assert isinstance(dataset, TextDataset), f"{name} is no lightseq.data.TextDataset"
    assert dataset.layout in ("documents", "stream"), f"layout is documents or stream, not {dataset.layout!r}"
    prompts = dataset.prompts
    plain = type(prompts) in (list, tuple) and prompts and all(type(prompt) is str for prompt in prompts)
    assert plain, f"prompts is a list or a tuple of strings, one at least, not {prompts!r:.80}"
    try:
        parameters(type(dataset), name)
    except UserError as error:
        raise AssertionError(str(error)) from None


def _check_plain(documents: Sequence[str | Document]) -> None:
    for number, given in enumerate(documents):
        plain = type(given) in (str, Document)
        assert plain, f"document {number} is a string or a lightseq.types.Document, not {given!r:.80}"
        document = given if isinstance(given, Document) else Document(given)
        tokens, labels, split, group, augmented = document
        assert _is_text(tokens), f"the tokens of document {number} are a string, or a list of strings with none empty"
        assert labels is None or _is_text(labels), f"the labels of document {number} are a string or a list of strings"
        assert split in (None, *SPLITS[1:]), f"the split of document {number} is train, val or test, not {split!r}"
        assert group is None or type(group) is str, f"the group of document {number} is a string, not {group!r}"
        assert type(augmented) is bool, f"augmented of document {number} is True or False, not {augmented!r}"


def _is_text(value: Any) -> bool:
    """Whether these are Python's own strings: NumPy's do not go into a checkpoint."""
    words = value if type(value) in (list, tuple) else [value or " "]
    return all(type(word) is str and word for word in words)


def _check_same(documents: Sequence[str | Document], again: Iterable[str | Document], when: str) -> None:
    others = list(again)
    counts = f"documents() gives {len(others)} documents {when}, and {len(documents)} the first time"
    assert len(documents) == len(others), counts
    for number, (one, other) in enumerate(zip(documents, others, strict=True)):
        assert one == other, f"document {number} is another one {when}: {other!r:.60}, not {one!r:.60}"


def _check_spawn(dataset: TextDataset, documents: Sequence[str | Document]) -> None:
    name = type(dataset).__name__
    try:
        pickled = pickle.dumps(dataset)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            there = pool.submit(_digest_of_pickled, pickled).result()
    except Exception as error:  # whatever goes wrong in there is what is looked for
        raise AssertionError(f"{name} does not survive the way to a spawned process: {quote(error)}") from error
    assert there == _digest(documents), f"{name} has other documents in a spawned process"


def _digest_of_pickled(dataset: bytes) -> str:
    return _digest(pickle.loads(dataset).documents())


def _digest(documents: Iterable[str | Document]) -> str:
    digest = blake2b()
    for document in documents:
        digest.update(repr(document).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()

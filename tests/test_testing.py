"""The contract of a dataset: the built-in ones keep it, and every clause catches one that does not."""

import os
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightseq import registry
from lightseq.data.loader import SequenceLoader
from lightseq.testing import check_dataset, corpus
from lightseq.types import Batch

BUILT_IN = [p.name for p in registry.plugins(registry.DATASETS) if registry.distribution(p) == "lightseq-rnn"]
CORPORA = {"abc": "irish.abc", "names": "names.txt", "shakespeare": "tinyshakespeare.txt"}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "abc": {"transpose": ["2"]},
    "text": {"path": "own.txt", "by": "line", "tokens": "words"},
    "labelled": {"path": "own.txt"},
}
OWN = "".join(f"the {number} cats\t{'many' if number % 3 else 'few'}\n" for number in range(60))


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_keep_the_contract(name: str, own_folder: Path) -> None:
    if name in CORPORA and not Path(os.environ.get("LIGHTSEQ_DATA", ""), CORPORA[name]).is_file():
        pytest.skip(f"LIGHTSEQ_DATA has no {CORPORA[name]}")
    Path("own.txt").write_text(OWN)
    before = dict(os.environ)
    check_dataset(lambda: registry.build(registry.DATASETS, name, ARGUMENTS.get(name)))
    assert dict(os.environ) == before
    assert not (own_folder.parent / "cache" / "stores").exists()


MODULE = """
import random
import socket
from contextlib import suppress
from multiprocessing import parent_process
from typing import Any, NamedTuple

import numpy as np
import torch

from lightseq.data import TextDataset
from lightseq.types import Document, Rendering

WORDS = ["red", "green", "blue", "grey", "pink", "black", "white", "brown", "orange", "violet", "yellow", "beige"]


def reach():
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 9))


class Colours(TextDataset):
    '''Names of colours.'''

    prompts = ("", "gr")
    made = 0

    def __init__(self, times: int = 1) -> None:
        type(self).made += 1
        self.number, self.calls = self.made, -1

    def called(self):
        self.calls += 1
        return self.calls

    def documents(self):
        return list(WORDS)


class Spelt(NamedTuple):
    '''A grammar whose state is the text.'''

    allowed: Any
    first: Any = ""

    def start(self):
        return self.first

    def advance(self, state, token):
        return state + token


class Broken(Colours):
    '''Names of colours, and something is wrong.'''
"""

BROKEN = {
    "documents = lambda self: WORDS[self.called() :]": "gives 11 documents at the second call, and 12 the first time",
    "documents = lambda self: sorted(WORDS, reverse=self.called())": "another one at the second call: 'yellow'",
    "documents = lambda self: WORDS[:: self.number]": "gives 6 documents of another instance, and 12 the first time",
    "documents = lambda self: [*WORDS, 3]": "document 12 is a string or a lightseq.types.Document, not 3",
    "documents = lambda self: [*WORDS, np.str_('teal')]": "document 12 is a string .* not np.str_",
    "documents = lambda self: [*WORDS, Document(['te', ''])]": "the tokens of document 12 .* with none empty",
    "documents = lambda self: [Document(w, labels=[np.str_('x')] * len(w)) for w in WORDS]": "the labels of document 0",
    "documents = lambda self: [*WORDS, Document('teal', split='vali')]": "split of document 12 .* not 'vali'",
    "documents = lambda self: [*WORDS, Document('teal', group=3)]": "the group of document 12 is a string, not 3",
    "documents = lambda self: [*WORDS, Document('teal', augmented=1)]": "augmented of document 12 is True or False",
    "documents = lambda self: [Document(w, split=s) for w in WORDS for s in ('train', 'val')]": "0 and 1 have equal",
    "documents = lambda self: [Document(w, None, s, 'g') for w, s in zip(WORDS, ('train', 'val') * 6)]": "of the group",
    "documents = lambda self: socket.create_connection(('127.0.0.1', 9)) and WORDS": "the network is reached for",
    "documents = lambda self: reach() or WORDS": "the network is reached for",
    "judge = lambda self, texts: reach() or {}": "the network is reached for",
    "documents = lambda self: np.random.shuffle(list(WORDS)) or WORDS": "generator of numpy was drawn from",
    "documents = lambda self: random.random() and WORDS": "generator of random was drawn from",
    "documents = lambda self: torch.rand(()) is not None and WORDS": "generator of torch was drawn from",
    "prompts = ('', 'gräy')": "the prompt 'gräy' is of other tokens than the documents: character 'ä'",
    "prompts = 'gr'": "prompts is a list or a tuple of strings",
    "prompts = ()": "prompts is a list or a tuple of strings, one at least",
    "layout = 'lines'": "layout is documents or stream, not 'lines'",
    "def __init__(self, words: type = str) -> None: pass": "argument 'words' of 'Broken' is annotated with type",
    "def __init__(self, words=()) -> None: pass": "argument 'words' of 'Broken' has no annotation",
    "judge = lambda self, texts: {'long': sum(map(len, texts))}": "shares between 0 and 1, and 'long' is",
    "judge = lambda self, texts: {'n': float('nan')}": "shares between 0 and 1, and 'n' is nan",
    "judge = lambda self, texts: {'n': np.float64(0.5)}": r"shares between 0 and 1, and 'n' is np.float64\(0.5\)",
    "judge = lambda self, texts: [0.5]": r"judge\(\) gives shares by name, not \[0.5\]",
    "judge = lambda self, texts: {'vowel': sum(t[0] in 'aeiou' for t in texts) / len(texts)}": r"judge\(\) raises "
    "IndexError: string index out of range when it is given",
    "render = lambda self, text: text": r"render\(\) gives a lightseq.types.Rendering, not 'red'",
    "render = lambda self, text: Rendering(image=np.zeros((4, 5), np.uint8))": r"an image is .* not \(4, 5\) uint8",
    "render = lambda self, text: Rendering(image=torch.zeros(4, 5, 3))": r"an image is .* not \(4, 5, 3\) float32",
    "render = lambda self, text: Rendering(audio=np.full(9, 1.5, np.float32), sample_rate=8000)": "between -1 and 1",
    "render = lambda self, text: Rendering(audio=np.zeros(9), sample_rate=8000)": r"audio is .* not \(9,\) float64",
    "render = lambda self, text: Rendering(audio=np.zeros(9, np.float32))": "audio has a sample_rate .* not None",
    "render = lambda self, text: Rendering(files=[b'MThd'])": "files are bytes by the end of their name, not",
    "render = lambda self, text: Rendering(files={'mid': b'MThd'})": r"files are named by .* like .mid, not 'mid'",
    "render = lambda self, text: Rendering(files={'./a': b'MThd'})": r"files are named by .* like .mid, not './a'",
    "render = lambda self, text: Rendering(files={3: b'MThd'})": "files are named by .* not 3",
    "render = lambda self, text: Rendering(files={'.txt': text})": "the file .txt is bytes, not str",
    "render = lambda self, text: Rendering(remarks='long')": "remarks are a list or a tuple of strings .* not 'long'",
    "render = lambda self, text: Rendering(remarks=[len(text)])": "remarks are a list .* not ",
    "render = lambda self, text: Rendering(remarks=['one\\ntwo'])": "remarks are a list .* of one line each",
    "grammar = lambda self, tokens: tokens.index('?')": r"grammar\(\) raises ValueError: '\?' is not in list",
    "grammar = lambda self, tokens: Spelt(lambda s, left: ['~'])": r"grammar\(\) allows '~', which is none of",
    "grammar = lambda self, tokens: Spelt(lambda s, left: 'r')": "allows a token where none is left",
    "grammar = lambda self, tokens: Spelt(lambda s, left: 'r' * (len(s) < 2))": "allows nothing after 'rr', which it",
    "grammar = lambda self, tokens: Spelt(lambda s, left: 'r', [])": "raises TypeError: unhashable type: 'list'",
    "problems = lambda self: [('own.txt', 3)]": r"problems\(\) gives strings, not",
    "fingerprint = lambda self: 3": r"fingerprint\(\) gives a string or None, not \[3\]",
    "fingerprint = lambda self: str(id(self))": r"fingerprint\(\) changes while the documents do not",
    "def __init__(self) -> None: self.number = lambda: None": "does not survive the way to a spawned process",
    "documents = lambda self: WORDS[: 12 if parent_process() is None else 11]": "other documents in a spawned process",
}


@pytest.mark.parametrize("line", BROKEN)
def test_every_clause_catches_one_that_breaks_it(line: str, plugin: Callable[..., None]) -> None:
    plugin("broken", "lightseq.datasets", {"broken": "broken_plugin:Broken"}, f"{MODULE}\n    {line}\n")
    own = registry.load(registry.DATASETS, "broken")
    connect, lookup = socket.socket.connect, socket.getaddrinfo
    with pytest.raises(AssertionError, match=BROKEN[line]):
        check_dataset(own)
    assert (socket.socket.connect, socket.getaddrinfo) == (connect, lookup)


def test_a_stream_of_a_strangers_keeps_it(alphabet: str) -> None:
    check_dataset(lambda: registry.build(registry.DATASETS, alphabet, {"times": 20}))


def test_what_is_no_dataset(plugin: Callable[..., None]) -> None:
    with pytest.raises(AssertionError, match=r"dict is no lightseq\.data\.TextDataset"):
        check_dataset(dict)  # type: ignore[arg-type]


class Rows:
    """Batches that say which they are."""

    def __init__(self, number: Callable[[int, int], int]) -> None:
        self.number = number

    def __len__(self) -> int:
        return 5

    def batch(self, epoch: int, index: int) -> Batch:
        return Batch(*[torch.tensor([self.number(epoch, index)])] * 3)


class Forgetful(SequenceLoader):
    """Begins an epoch again, wherever it was stored."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({**state, "position": 0})


@pytest.mark.parametrize(
    ("loader", "number", "message"),
    [
        (
            SequenceLoader,
            lambda seed, epoch, index: random.getrandbits(60),
            "the same seed and epoch give other batches",
        ),
        (SequenceLoader, lambda seed, epoch, index: 10 * seed + index, "two epochs have the same order"),
        (SequenceLoader, lambda seed, epoch, index: 10 * epoch + index, "two seeds give the same order"),
        (Forgetful, lambda seed, epoch, index: 100 * seed + 10 * epoch + index, "after a stored position are others"),
    ],
)
def test_batches_that_break_it(loader: Any, number: Callable[..., int], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        corpus._check_batches(lambda seed: loader(Rows(lambda epoch, index: number(seed, epoch, index))), True)


def test_a_store_and_splits_that_break_it() -> None:
    store = corpus.open_store(corpus.Recorded(["abc", "cab"], "documents"), "two")
    with pytest.raises(AssertionError, match="document 1 comes back from the store as 'cab'"):
        corpus._check_stored(store, ["abc", "cba"])
    with pytest.raises(AssertionError, match="document 1 is in no split"):
        corpus._check_splits({"train": np.array([0]), "val": np.array([2])}, ["a", "b", "c"])
    with pytest.raises(AssertionError, match="document 1 is in train and in val"):
        corpus._check_splits({"train": np.array([0, 1]), "val": np.array([1])}, ["a", "b"])

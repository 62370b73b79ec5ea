"""Numbers of texts, by hand."""

import warnings

import pytest
from lightseq.callbacks import text_quality
from lightseq.callbacks.text_quality import Corpus, quality, warn_of_copying

from lightseq.data import SequenceData

WORDS = """
from lightseq.data import TextDataset
from lightseq.types import Document

class Words(TextDataset):
    def documents(self):
        for text in ("banana", "orange", "cherry"):
            yield Document(text, split="train")
        yield Document("bananas", split="train")
        yield Document("grape", split="val")
        yield Document("lemon", split="val")
"""


@pytest.fixture
def words(plugin) -> SequenceData:
    plugin("words", "lightseq.datasets", {"words": "words_plugin:Words"}, WORDS)
    return SequenceData("words", test_fraction=0.0)


def test_numbers_of_documents(words: SequenceData) -> None:
    corpus = Corpus(words, most=1000, length=9)
    texts = ["banana", "orangut", "orangut", "q"]
    assert quality(texts, [True, True, False, False], corpus) == {
        "length": 21 / 4,
        "unique": 3 / 4,
        "ended": 2 / 4,
        "distinct2": (3 + 5) / (5 + 6 + 6),  # ba an na; or ra ng gu ut, and an again
        "distinct3": (3 + 5) / (4 + 5 + 5),
        "novel": 3 / 4,
        "longest_copy": (6 + 5 + 5 + 0) / 4,
        "copied": (1 + 5 / 7 + 5 / 7 + 0) / 4,
        "overlap4": (3 + 2 + 2) / (3 + 4 + 4),
        "overlap8": 0.0,
    }


def test_notes_say_where_a_copy_stands(words: SequenceData) -> None:
    corpus = Corpus(words, most=1000, length=9)
    assert corpus.notes(["banana", "orangu", "orangut", "xyz", ""]) == [
        ["it is a training document"],
        ["5 of its 6 characters stand in training document 1: 'orang'"],
        [],
        [],
        [],
    ]


def test_a_long_copy_is_told_of_however_long_the_text_is(alphabet: str) -> None:
    corpus = Corpus(SequenceData(alphabet), most=5000, length=30)
    letters = "abcdefghijklmnopqrstuvwxyz"
    copied = (letters * 2)[3:38]
    (long,), short = corpus.notes(["".join("Z" * 60) + copied, "Z" * 60 + letters])
    assert long.startswith("35 of its 95 characters stand at character 3 of the training text: 'defghij")
    assert short == []


def test_a_training_text_that_is_too_large_is_not_compared_with(words: SequenceData) -> None:
    tokens = sum(map(len, ("banana", "orange", "cherry", "bananas"))) + 4
    assert Corpus(words, most=tokens, length=9).compare(["banana"]) is not None
    corpus = Corpus(words, most=tokens - 1, length=9)
    assert corpus.notes(["banana"]) == [[]]
    assert set(quality(["banana"], [True], corpus)) == {"length", "unique", "ended", "distinct2", "distinct3"}


def test_a_stream_has_no_documents_to_end_or_to_be_new(alphabet: str) -> None:
    corpus = Corpus(SequenceData(alphabet), most=5000, length=30)
    assert {len(text) for text in corpus.held_out} == {30}
    assert len(corpus.held_out) > 100
    found = quality(corpus.held_out, [True] * len(corpus.held_out), corpus)
    assert not {"novel", "ended"} & set(found)
    assert found["copied"] == found["overlap8"] == 1.0


def test_held_out_texts_are_those_of_validation(words: SequenceData, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Corpus(words, most=1000, length=9).held_out == ["grape", "lemon"]
    monkeypatch.setattr(text_quality, "HELD_OUT", 1)
    assert Corpus(words, most=1000, length=9).held_out == ["grape"]


@pytest.mark.parametrize(
    ("temperature", "values", "words"),
    [
        (0.8, {"novel": 0.49, "length": 6.0, "copied": 0.9}, "51% of the samples are training documents"),
        (0.8, {"novel": 0.5, "length": 6.0, "copied": 0.9}, None),
        (0.5, {"novel": 0.0, "length": 6.0, "copied": 1.0}, None),
        (1.0, {"novel": 1.0, "length": 100.0, "copied": 0.51}, "51% of a sample stands in the training text"),
        (1.0, {"length": 100.0, "copied": 0.5}, None),
        (1.0, {"length": 99.0, "copied": 1.0}, None),
        (1.0, {"length": 300.0}, None),
    ],
)
def test_a_warning_of_copying(temperature: float, values: dict[str, float], words: str | None) -> None:
    if words is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not warn_of_copying(temperature, values)
    else:
        with pytest.warns(UserWarning, match=words):
            assert warn_of_copying(temperature, values)

"""Labelled data out of tab-separated files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lightseq.datasets.labelled import Labelled

from lightseq.data import SequenceData
from lightseq.errors import UserError
from lightseq.types import Document

CONLL = """-DOCSTART-\t-X-\tO

Ada\tNNP\tPER
sleeps\tVBZ\tO


 \nin\tIN\tO
Paris\tNNP\tLOC
.\t.\tO
-DOCSTART-
Bo\tNNP\tPER"""


@pytest.fixture
def rows(plugin: Callable[..., None]) -> str:
    """The dataset under a name of its own."""
    plugin(
        "rows", "lightseq.datasets", {"rows": "rows_plugin:Labelled"}, "from lightseq.datasets.labelled import Labelled"
    )
    return "rows"


def written(text: str, name: str = "rows.tsv") -> str:
    Path(name).write_bytes(text.encode())
    return name


def read(text: str, **settings: object) -> list[Document]:
    return list(Labelled(written(text), **settings).documents())


def test_a_text_and_its_label_a_row() -> None:
    documents = read("red wine\tdrink\r\n\r\nrice \t food \tmore\r\n")
    assert documents == [Document("red wine", "drink"), Document("rice ", "food")]


def test_columns_are_counted_from_one() -> None:
    text = "id\tlabel\ttext\nx\tdrink\twine\ny\tfood\trice\n"
    expected = [Document("wine", "drink"), Document("rice", "food")]
    assert read(text, text_column=3, label_column=2, header=True) == expected
    ragged = "wine\t1\tdrink\nrice\tfood\nbread\t1\t2\tfood\n"
    assert [document.labels for document in read(ragged, label_column=-1)] == ["drink", "food", "food"]
    assert [document.labels for document in read("food\trice\n", text_column=2, label_column=1)] == ["food"]


def test_a_header_is_left_out_of_every_file() -> None:
    Path("many").mkdir()
    for name in ("b", "a"):
        written(f"text\tlabel\n{name}\tletter\n", f"many/{name}.tsv")
    documents = Labelled("many", header=True).documents()
    assert [document.tokens for document in documents] == ["a", "b"]


def test_words() -> None:
    assert read("a red wine\tdrink\n", tokens="words") == [Document(["a", " red", " wine"], "drink")]


def test_sentences_in_columns() -> None:
    expected = [
        Document(["Ada", "sleeps"], ["PER", "O"]),
        Document(["in", "Paris", "."], ["O", "LOC", "O"]),
        Document(["Bo"], ["PER"]),
    ]
    for text in (CONLL, f"{CONLL}\n"):
        assert read(text, task="tagging", label_column=3) == expected
        assert read(text, task="tagging", label_column=-1) == expected
    assert read(CONLL, task="tagging")[0].labels == ["NNP", "VBZ"]


def test_documents_come_one_by_one() -> None:
    documents = Labelled(written("wine\tdrink\nrice\n")).documents()
    assert next(documents).tokens == "wine"
    with pytest.raises(UserError, match="line 2"):
        next(documents)


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        (["path"], (16, 2, 2)),
        (["train_path"], (16, 2, 2)),
        (["train_path", "val_path"], (20, 3, 0)),
        (["train_path", "test_path"], (18, 2, 5)),
        (["train_path", "val_path", "test_path"], (20, 3, 5)),
    ],
)
def test_splits(files: list[str], sizes: tuple[int, int, int], rows: str) -> None:
    lines = [
        f"{letter * 3}\t{'vowel' if letter in 'aeiou' else 'other'}\n" for letter in "abcdefghijklmnopqrstuvwxyzäöü"
    ]
    texts = {"path": lines[:20], "train_path": lines[:20], "val_path": lines[20:23], "test_path": lines[23:28]}
    data = SequenceData(rows, {name: written("".join(texts[name]), f"{name}.tsv") for name in files})
    assert tuple(len(part) for part in data.parts.values()) == sizes
    assert data.labels == ["other", "vowel"]


def test_the_fingerprint_is_of_files_and_options() -> None:
    for name in ("a.tsv", "b.tsv"):
        os.utime(written("wine\tdrink\n", name), (1, 1))
    seen = [
        Labelled(**settings).fingerprint()
        for settings in (
            {"path": "a.tsv"},
            {"path": "a.tsv", "header": True},
            {"path": "a.tsv", "tokens": "words"},
            {"path": "a.tsv", "label_column": -1},
            {"path": "b.tsv"},
            {"path": "?.tsv"},
            {"train_path": "a.tsv", "val_path": "b.tsv"},
            {"train_path": "a.tsv", "test_path": "b.tsv"},
        )
    ]
    assert None not in seen
    assert len(set(seen)) == len(seen)
    assert Labelled("a.tsv").fingerprint() == seen[0]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("a\tb\nwine\n", {}, r"rows.tsv, line 2: 1 column where 2 are needed (a tab stands between text and label)"),
        ("a\tb\n", {"label_column": 3}, "line 1: 2 columns where 3 are needed"),
        ("a\tb\n", {"text_column": 2, "label_column": -1}, "line 1: 2 columns where 3 are needed"),
        (
            "a\tb\n\nc b\n",
            {"task": "tagging"},
            "line 3: 1 column where 2 are needed (a tab stands between token and label)",
        ),
        ("a\tb\nc\t \n", {}, "line 2: the label is empty (column 2)"),
        ("a\tb\nc\td\t\n", {"label_column": -1}, "line 2: the label is empty (the last column)"),
        ("a\tb\n \tb\n", {}, "line 2: the text is empty (column 1)"),
        ("a\tb\n\tb\n", {"task": "tagging"}, "line 2: the token is empty (column 1)"),
        ("", {}, "rows.tsv has no rows"),
        ("text\tlabel\n", {"header": True}, "rows.tsv has no rows"),
        ("-DOCSTART-\tO\n\n", {"task": "tagging"}, "rows.tsv has no rows"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read(text, **settings)
    assert message in str(caught.value)


def test_bytes_that_are_no_text() -> None:
    Path("rows.tsv").write_bytes("wine\tdrink\nbrûlée\tfood\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"rows\.tsv, line 2"):
        list(Labelled("rows.tsv").documents())
    assert list(Labelled("rows.tsv", encoding="latin-1").documents())[1] == Document("brûlée", "food")
    assert list(Labelled("rows.tsv", errors="ignore").documents())[1] == Document("brle", "food")


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    ("task", "held_out", "line"),
    [("classification", "rice\tfood\nwine\tdrinks\n", 2), ("tagging", "rice\tfood\n\nred\tfood\nwine\tdrinks\n", 4)],
)
def test_a_label_that_training_never_sees(split: str, task: str, held_out: str, line: int) -> None:
    train = written("wine\tdrink\nrice\tfood\n", "train.tsv")
    dataset = Labelled(train_path=train, task=task, **{f"{split}_path": written(held_out, "held.tsv")})
    message = f"held.tsv, line {line}: the label 'drinks' stands nowhere in train.tsv; did you mean 'drink'?"
    with pytest.raises(UserError) as caught:
        list(dataset.documents())
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "need path, which is dealt to the splits, or train_path, and not both"),
        ({"val_path": "a.tsv"}, "need path, which is dealt to the splits, or train_path, and not both"),
        ({"path": "a.tsv", "train_path": "a.tsv"}, "and not both"),
        ({"path": "a.tsv", "test_path": "b.tsv"}, "with val_path or test_path it is train_path"),
        ({"path": "a.tsv", "label_column": 0}, "label_column 0: columns are counted from 1, and -1 is the last"),
        ({"path": "a.tsv", "label_column": -2}, "label_column -2"),
        ({"path": "a.tsv", "text_column": 2}, "text_column and label_column are both 2"),
    ],
)
def test_settings_that_do_not_fit(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Labelled(**settings)
    assert message in str(caught.value)

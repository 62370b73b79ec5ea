from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from lightseq.datasets.text import Text, seamless

from lightseq.data import SequenceData, files
from lightseq.errors import UserError
from lightseq.types import Document
from lightseq.vocabulary import words

POEM = "Rose is a rose\nis a rose\n\nis a rose.\n \n\nEnd"


@pytest.fixture(params=[4, 1 << 20], autouse=True)
def piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that come in pieces, and such that come whole."""
    monkeypatch.setattr(files, "PIECE", request.param)


def written(content: str | bytes, name: str = "x.txt") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def documents(**settings: Any) -> list[str | Document]:
    return list(Text(**settings).documents())


def joined(parts: Iterable[str | Document]) -> str:
    return "".join(part if isinstance(part, str) else "".join(part.tokens) for part in parts)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"by": "line"}, ["Rose is a rose", "is a rose", "is a rose.", "End"]),
        ({"by": "blank_line"}, ["Rose is a rose\nis a rose", "is a rose.", "End"]),
        ({"by": "file"}, [POEM]),
        ({"separator": "is"}, ["Rose ", " a rose", " a rose", " a rose.\n \n\nEnd"]),
        ({"separator": r"\n\n"}, ["Rose is a rose\nis a rose", "is a rose.\n ", "End"]),
    ],
)
def test_what_a_document_is(settings: dict[str, str], expected: list[str]) -> None:
    assert documents(path=written(POEM), **settings) == expected
    assert Text(path="x.txt", **settings).layout == "documents"


def test_a_stream_is_the_whole_text() -> None:
    dataset = Text(path=written(POEM))
    assert dataset.layout == "stream"
    assert joined(dataset.documents()) == POEM


def test_several_files_follow_each_other() -> None:
    Path("texts").mkdir()
    written("one", "texts/a.txt")
    written("two\nthree", "texts/b.txt")
    written("", "texts/c.txt")
    written("four\n", "texts/d.txt")
    written("five", "texts/e.txt")
    assert joined(documents(path="texts")) == "one\ntwo\nthree\nfour\nfive"
    for name in "cde":
        Path(f"texts/{name}.txt").unlink()
    assert documents(path="texts/*.txt", by="line") == ["one", "two", "three"]
    assert documents(path="texts", by="file") == ["one", "two\nthree"]


def test_explicit_parts() -> None:
    written("a\nb", "t.txt")
    written("c", "v.txt")
    written("d", "e.txt")
    everything = {"train_path": "t.txt", "val_path": "v.txt", "test_path": "e.txt", "by": "line"}
    assert [(d.tokens, d.split) for d in documents(**everything) if isinstance(d, Document)] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "val"),
        ("d", "test"),
    ]
    assert documents(train_path="t.txt", test_path="e.txt", by="line") == ["a", "b", Document("d", split="test")]


@pytest.mark.parametrize("layout", ["line", "stream"])
def test_explicit_parts_are_kept_apart(layout: str) -> None:
    written("ab\nba\n" * 5, "t.txt")
    written("aab\n", "v.txt")
    data = SequenceData("text", {"train_path": "t.txt", "val_path": "v.txt", "by": layout})
    sizes = {split: len(part) for split, part in data.parts.items()}
    assert sizes == ({"train": 10, "val": 1, "test": 0} if layout == "line" else {"train": 30, "val": 4, "test": 0})


@pytest.mark.parametrize("content", ["naïve 漢字\n\U0001f600", "plain"])
def test_bytes(content: str) -> None:
    data = SequenceData("text", {"path": written(content * 9), "tokens": "bytes"})
    assert len(data.store.tokens) == len(content.encode()) * 9
    assert all(len(token) == 1 for token in data.vocabulary)
    assert len(data.vocabulary) == len(set(content.encode()))


def test_bytes_that_are_no_text() -> None:
    content = bytes(range(256)) * 3
    data = SequenceData("text", {"path": written(content.replace(b"\r", b"")), "tokens": "bytes"})
    assert len(data.vocabulary) == 255
    assert len(data.store.tokens) == 255 * 3


def test_words() -> None:
    text = "The cat  sat,\nthe cat's mat.  "
    dataset = Text(path=written(text), tokens="words")
    found = [token for document in dataset.documents() if isinstance(document, Document) for token in document.tokens]
    assert found == words(text)
    by_line = documents(path="x.txt", tokens="words", by="line")
    assert by_line[0] == Document(["The", " cat", " ", " sat", ","])


@pytest.mark.parametrize(
    ("content", "settings", "expected"),
    [
        ("ÀB ΟΔΟΣ ΟΔΟΣ", {"lower_case": True}, "àb οδος οδος"),
        ("e\u0301 ab e\u0301x\u0323\u0301", {"nfc": True}, "é ab éx\u0323\u0301"),
        ("E\u0301", {"nfc": True, "lower_case": True}, "é"),
        (b"a\xffb", {"errors": "replace"}, "a\ufffdb"),
        (b"a\xffb", {"errors": "ignore"}, "ab"),
        (b"caf\xe9", {"encoding": "latin-1"}, "café"),
        (b"\xef\xbb\xbfa\r\nb\r", {}, "a\nb\n"),
    ],
)
def test_how_it_is_read(content: str | bytes, settings: dict[str, Any], expected: str) -> None:
    assert joined(documents(path=written(content), **settings)) == expected


@pytest.mark.parametrize(
    "text", ["a bc def", "abc", "漢字漢字", "ea\u0301\u0302", " ", "a\n\n b", "漢a\u0301字 b", "\u0301\u0301"]
)
def test_seams_lose_nothing_and_cut_no_word(text: str) -> None:
    for size in range(1, 4):
        pieces = list(seamless(text[i : i + size] for i in range(0, len(text), size)))
        assert "".join(pieces) == text
        if text.isascii() and " " in text:
            assert [word for piece in pieces for word in words(piece)] == words(text)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs a text: dataset_args.path, or else train_path"),
        ({"path": "x", "train_path": "y"}, "takes path, or train_path with val_path and test_path, not both"),
        ({"val_path": "y"}, "needs a text: dataset_args.path, or else train_path"),
        ({"path": "x", "val_path": "y"}, "takes path, or train_path with val_path and test_path, not both"),
        ({"path": "x", "separator": ""}, "dataset_args.separator is empty"),
    ],
)
def test_arguments_that_contradict_each_other(settings: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Text(**settings)


@pytest.mark.parametrize("indent", ["", "  "])
def test_blank_lines_are_the_same_wherever_the_pieces_are_cut(indent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written(f"one\n \n\n{indent}two\nthree\n\n")
    for size in range(1, 20):
        monkeypatch.setattr(files, "PIECE", size)
        assert documents(path="x.txt", by="blank_line") == ["one", f"{indent}two\nthree"]


def test_a_long_line_is_not_gathered_to_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightseq.datasets.text.LONGEST_WORD", 300)
    pieces = ["\nab", *["acgt" * 100] * 50, "\u0301"]
    found = list(seamless(pieces))
    assert "".join(found) == "".join(pieces)
    assert max(map(len, found)) <= 403


def test_utf8_has_several_names() -> None:
    written(b"a\xff")
    assert joined(documents(path="x.txt", tokens="bytes", encoding="utf8")) == "a\udcff"


@pytest.mark.parametrize("separator", ["---", "# ", "~", "null", "2024"])
def test_a_separator_is_what_was_written(separator: str) -> None:
    written(f"one{separator}two{separator}three")
    data = SequenceData("text", {"path": "x.txt", "separator": separator})
    assert len(data.store.digests) == 3


def test_the_cache_notices_an_edit() -> None:
    written("ab\nba\n" * 9)
    assert len(SequenceData("text", {"path": "x.txt", "by": "line"}).store.digests) == 18
    written("ab\nba\n" * 9 + "c\n")
    data = SequenceData("text", {"path": "x.txt", "by": "line"})
    assert len(data.store.digests) == 19
    assert "c" in data.vocabulary


def test_the_path_2024_is_a_file() -> None:
    written("abc\n" * 9, "2024")
    assert len(SequenceData("text", {"path": "2024"}).store.tokens) == 36

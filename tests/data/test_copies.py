"""The exact index of the training text, against a search that tries everything."""

import random
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lightseq.data import SequenceData, copies
from lightseq.data.copies import SEPARATOR, CopyIndex, decoded, size
from lightseq.data.store import open_store
from lightseq.registry import DATASETS, build


def longest_by_trying(texts: list[str], text: str) -> int:
    best = 0
    for begin in range(len(text)):
        while begin + best < len(text) and any(text[begin : begin + best + 1] in other for other in texts):
            best += 1
    return best


ALPHABETS = {
    "two letters, so that most spans are long": "ab",
    "a key of twelve characters": "abcdefghijklmnopqrstuvwxyz",
    "a key of seven": "".join(map(chr, range(0x4E00, 0x4E00 + 300))),
    "one letter and two halves of a pair": "a\ud800\udc00",
}


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@pytest.mark.parametrize(("together", "around"), [(2, 2), (1 << 14, 5), (3, 64)])
def test_spans_and_overlaps_are_those_of_a_search_that_tries_everything(
    alphabet: str, together: int, around: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "TOGETHER", together)
    monkeypatch.setattr(copies, "AROUND", around)
    monkeypatch.setattr(copies, "FIRST", 2)
    monkeypatch.setattr(copies, "WINDOW", 3)
    draw = random.Random(len(alphabet))
    for _ in range(25):
        texts = ["".join(draw.choices(alphabet, k=draw.randrange(70))) for _ in range(4)]
        index = CopyIndex(texts)

        def made(texts: list[str] = texts) -> str:
            parts = ["".join(draw.choices(f"{alphabet}Z", k=draw.randrange(9)))]
            for _ in range(draw.randrange(4)):
                text = draw.choice(texts)
                begin = draw.randrange(len(text) + 1)
                parts.append(text[begin : begin + draw.randrange(60)])
            return "".join(parts)

        looked_up = [made() for _ in range(4)]
        for text, compared in zip(looked_up, index.compare(looked_up), strict=True):
            begin, length, document, offset = compared.longest
            assert length == longest_by_trying(texts, text)
            assert text[begin : begin + length] == texts[document][offset : offset + length]
            for n in range(1, min(8, index.gram) + 1):
                grams = [text[i : i + n] for i in range(len(text) - n + 1)]
                assert compared.overlap(n).tolist() == [any(gram in other for other in texts) for gram in grams]


@pytest.mark.parametrize("first", range(12, 20))
def test_a_span_that_overlaps_another_and_is_longer_by_one_is_found(first: int) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz" * 2
    for later in range(1, first - 11):
        text = letters[: later + first + 1]
        (compared,) = CopyIndex([text[:first] + "z", "z" + text[later:] + "z"]).compare(["Z" + text])
        assert compared.longest[:3] == (1 + later, first + 1, 1)


def test_a_span_ends_where_a_document_ends() -> None:
    index = CopyIndex(["abc", "def"])
    whole, across, joined = (each.longest for each in index.compare(["xdefx", "abcdef", f"abc{SEPARATOR}def"]))
    assert whole == (1, 3, 1, 0)
    assert across.length == joined.length == 3


def test_a_text_that_repeats_itself() -> None:
    index = CopyIndex(["ab" * 20_000])
    (compared,) = index.compare(["x" + "ab" * 700])
    assert compared.longest[:2] == (1, 1400)
    assert compared.overlap(8).tolist() == [False] + [True] * 1393


def test_texts_that_are_alike_around_a_key_and_differ_farther_away() -> None:
    text = "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz", k=300))
    found = [each.longest.length for each in CopyIndex([text]).compare([text[:200], text[:100], text[:150]])]
    assert found == [200, 100, 150]


def test_in_a_run_of_one_character_a_few_keys_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """All its keys are alike, and stand nearly everywhere."""
    compared = []
    own = CopyIndex._agreeing

    def counted(index: CopyIndex, places: npt.NDArray[np.int64], *rest: Any) -> npt.NDArray[np.int64]:
        compared.append(len(places))
        return own(index, places, *rest)

    monkeypatch.setattr(CopyIndex, "_agreeing", counted)
    monkeypatch.setattr(copies, "TOGETHER", 100)
    spans = {}
    for name, text in {"short": ("a" + " " * 40) * 200, "long": " " * 8_000}.items():
        index = CopyIndex([text])
        compared.clear()
        spans[name] = [each.longest.length for each in index.compare([" " * 1_000, f"a{' ' * 999}"] * 20)]
        assert sum(compared) < 12 * len(text), name
    assert spans == {"short": [40, 41] * 20, "long": [1_000, 999] * 20}


@pytest.mark.parametrize("texts", [[], [""], ["abc"]])
def test_nothing_to_look_up_in_and_nothing_to_look_up(texts: list[str]) -> None:
    index = CopyIndex(texts)
    assert index.compare([]) == []
    empty, strange = index.compare(["", "xyz"])
    assert empty.longest.length == strange.longest.length == 0
    assert empty.overlap(4).tolist() == []
    assert not strange.overlap(1).any()


def test_the_texts_of_a_split(alphabet: str) -> None:
    names = SequenceData("dinos")
    texts = decoded(names.store, names.parts["train"], stream=False)
    offsets, number = names.store.offsets, names.parts["train"][7]
    ids = names.store.tokens[offsets[number] : offsets[number + 1]]
    assert texts[7] == "".join(names.vocabulary[index] for index in ids)
    assert len(texts) == 1071
    assert size(names.store, names.parts["train"], stream=False) == sum(map(len, texts)) + 1071
    stream = SequenceData(alphabet)
    (text,) = decoded(stream.store, stream.parts["val"], stream=True)
    assert len(text) == size(stream.store, stream.parts["val"], stream=True) == 260
    assert text in "abcdefghijklmnopqrstuvwxyz" * 20


def test_bytes_are_the_characters_that_they_encode(own_folder) -> None:
    (own_folder / "x.txt").write_text("naïve\n漢字\n", encoding="utf-8")
    dataset = build(DATASETS, "text", {"path": "x.txt", "by": "line", "tokens": "bytes"})
    store = open_store(dataset, "text")
    assert decoded(store, np.arange(2), stream=False) == ["naïve", "漢字"]

import math
import os
import random
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightseq.data import SequenceData, characters, duplicates
from lightseq.data.characters import Odd, odd_characters, odd_kind, token_counts
from lightseq.data.doctor import examine
from lightseq.data.duplicates import (
    document_overlap,
    equal_texts,
    near_duplicates,
    text_hashes,
    window_overlap,
)
from lightseq.data.findings import headline, lines
from lightseq.data.ngram import Yardsticks
from lightseq.data.store import Store

NAMES = Path(os.environ.get("LIGHTSEQ_DATA", "")) / "names.txt"
Make = Callable[..., SequenceData]

CODE = """
from pathlib import Path

from lightseq.data import TextDataset
from lightseq.types import Document

class Given(TextDataset):
    '''What it is given.'''

    def __init__(
        self, texts: list[str], path: str = "", stream: bool = False, wrong: int = 0, augmented: bool = False
    ) -> None:
        self.texts = Path(path).read_text().split() if path else texts
        self.layout = "stream" if stream else "documents"
        self.wrong, self.augmented = wrong, augmented

    def documents(self):
        yield from self.texts
        if self.augmented:
            for text in self.texts:
                yield Document(text, group=text, augmented=True)

    def problems(self):
        return (f"given.txt:{i + 1}: no verb" for i in range(self.wrong))
"""


@pytest.fixture
def given(plugin: Callable[..., None]) -> Make:
    """``given(texts, stream=True, window=3)``: a dataset of these texts."""
    plugin("given", "lightseq.datasets", {"given": "given_plugin:Given"}, CODE)

    names = ("path", "stream", "wrong", "augmented")

    def make(texts: Sequence[str] = (), **settings: Any) -> SequenceData:
        arguments = {name: settings.pop(name) for name in names if name in settings}
        return SequenceData("given", {"texts": list(texts), **arguments}, **settings)

    return make


def words(n: int, length: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abcdef", k=length)) for _ in range(n)]


def odd_of(store: Store) -> list[Odd]:
    return odd_characters(store, token_counts(store.tokens, len(store.vocabulary)))


def section(data: SequenceData, name: str) -> list[str]:
    """The lines under a name, without it."""
    found, inside = [], False
    for line in lines(examine(data)):
        inside = line[:11].strip() == name or (inside and not line[:11].strip())
        found += [line[12:]] * inside
    return found


@pytest.mark.skipif(not NAMES.is_file(), reason="LIGHTSEQ_DATA has no names.txt")
def test_names(given: Make) -> None:
    texts = NAMES.read_text().split()
    data = given(path=str(NAMES), val_fraction=0.05, test_fraction=0.0)
    report = examine(data)
    assert report.own is not None
    assert report.own.overlap.dealt == 0
    assert 0.13 < report.own.overlap.random < 0.17
    assert report.own.equal.repeats == 32_033 - 29_494
    assert (report.documents, report.characters) == (32_033, sum(map(len, texts)))
    out = lines(report)
    assert len(out) <= 45
    assert max(map(len, out)) <= 120
    assert any("2,539 documents (7.9%) with the text of an earlier one" in line for line in out)


def test_sizes_and_batches_of_documents(given: Make) -> None:
    data = given([*words(70, 9), *words(30, 12, seed=1)], batch_size=7, window=10)
    corpus = section(data, "corpus")
    assert corpus == [f"given: 100 documents, {70 * 9 + 30 * 12} tokens, {70 * 9 + 30 * 12} characters"]
    report = examine(data)
    assert {split: documents for split, (documents, _) in report.sizes.items()} == {"train": 80, "val": 10, "test": 10}
    assert sum(tokens for _, tokens in report.sizes.values()) == report.tokens
    batches = report.batches
    longer = sum(len(data.dataset.texts[d]) == 12 for d in data.parts["train"])
    assert (batches.size, batches.window, batches.windows) == (7, 10, 1)
    assert batches.longer == longer / 80
    assert batches.updates == len(data.train_dataloader())


def test_sizes_and_batches_of_a_stream(given: Make) -> None:
    data = given(["abcab" * 200], stream=True, batch_size=3, window=16)
    report = examine(data)
    assert report.sizes == {"train": (0, 800), "val": (0, 100), "test": (0, 100)}
    batches = report.batches
    assert (batches.size, batches.lane, batches.updates, batches.windows) == (3, 267, 17, 17)
    assert report.own is None
    out = lines(report)
    assert not any(line.startswith(("lengths", "duplicates")) for line in out)
    assert "one stream, 1,000 tokens" in out[0]


def test_lengths_as_bars(given: Make) -> None:
    texts = [*words(40, 3), *words(80, 4), *words(6, 5)]
    own = section(given(texts), "lengths")
    assert own[0] == f"3 to 5 tokens a document, median 4, mean {sum(map(len, texts)) / 126:.1f}"
    assert [line.split() for line in own[1:]] == [["3", "#" * 20, "40"], ["4", "#" * 40, "80"], ["5", "#" * 3, "6"]]


def test_lengths_of_several_orders_of_magnitude(given: Make) -> None:
    texts = ["a" * length for length in (0, 1, 1, 7, 90, 900, 5_000)]
    rows = [line.split() for line in section(given(texts), "lengths")[1:]]
    assert sum(int(row[-1]) for row in rows) == 7
    assert rows[0] == ["0-1", "#" * 40, "3"]
    assert rows[-1][0].endswith("-5,000")
    assert len(rows) <= 11


def test_rare_and_odd_characters(given: Make) -> None:
    texts = [*words(40, 10), "abcz", "q\u00a0qa\n\t", "\ufeff\ufffd\x07b\ud800"]
    out = section(given(texts), "vocabulary")
    assert out[0] == f"{1 + 6 + 9} tokens, the boundary before and after a document among them"
    assert "rare, fewer than 10 times: 9: " in out[2]
    assert "'z' (U+007A) 1" in out[2]
    assert "'q' (U+0071) 2" in out[2]
    assert out[3] == "odd: 5"
    assert sorted(out[4:]) == [
        "  '\\ud800' (U+D800): lone surrogate, 1 time",
        "  '\\ufeff' (U+FEFF): byte-order mark, 1 time",
        "  '\\x07' (U+0007): control character, 1 time",
        "  '\\xa0' (U+00A0): non-breaking space, 1 time",
        "  '\ufffd' (U+FFFD): replacement of what could not be decoded, 1 time",
    ]


@pytest.mark.parametrize(
    ("character", "kind"),
    [
        *[("a", ""), ("\n", ""), ("\t", ""), (" ", ""), ("\u3000", ""), ("漢", ""), ("\r", "control character")],
        *[("\u200b", "zero-width space"), ("\u200e", "invisible character"), ("\ue000", "private-use character")],
        *[
            ("\u202f", "non-breaking space"),
            ("\u2028", "line separator"),
            ("\u0378", "character that"),
        ],
    ],
)
def test_what_is_odd(character: str, kind: str) -> None:
    assert odd_kind(character).startswith(kind)
    assert bool(odd_kind(character)) == bool(kind)


def test_what_is_not_in_the_normal_form(given: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(characters, "BLOCK", 3)
    texts = ["cafe\u0301", "e\u0301te\u0301", "\u025b\u0303", "\u00e9", "\u212b"]  # the tilde has no letter to join
    store = given(texts * 3).store
    assert {odd.text: odd.times for odd in odd_of(store)} == {"e\u0301": 9, "\u212b": 3}


def test_bytes_are_not_odd(given: Make) -> None:
    escaped = ["caf\udcc3\udca9", "abc", "b"]
    store = given(escaped).store
    assert odd_of(store) == []
    mixed = given([*escaped, "\u00e9"]).store
    assert {odd.kind for odd in odd_of(mixed)} == {"lone surrogate"}


def test_equal_texts(given: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*words(50, 6), "", "ab", "ba", "", "ab", "ab"]
    store = given(texts).store
    hashes = text_hashes(store)
    assert len(set(hashes.tolist())) == len(set(texts))
    found = equal_texts(hashes)
    assert (found.examined, found.repeats) == (56, 56 - len(set(texts)))
    assert found.most[:2] == [(texts.index("ab"), 3), (texts.index(""), 2)]
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert np.array_equal(text_hashes(store), hashes)
    monkeypatch.setattr(duplicates, "TEXT_LIMIT", 61)
    assert np.array_equal(text_hashes(store), hashes[:10])


def test_the_overlap_that_is_avoided(given: Make) -> None:
    texts = words(200, 12)
    texts += texts[:120]
    data = given(texts, split_seed=3, val_fraction=0.2, fold=1)
    overlap = document_overlap(data.store, text_hashes(data.store), data.parts, data.deal)
    order = np.random.default_rng(3).permutation(320)
    held_out, train = order[64:160], np.concatenate([order[160:], order[:64]])
    expected = np.mean([texts[i] in {texts[j] for j in train} for i in held_out])
    assert overlap == (0, expected, 240 / 320)
    mixed = {"train": np.arange(200), "val": np.arange(200, 210), "test": np.arange(180, 190)}
    assert document_overlap(data.store, text_hashes(data.store), mixed, data.deal).dealt == 1


def test_what_is_augmented_is_dealt_to_no_held_out_part(given: Make) -> None:
    data = given(words(100, 12), augmented=True)
    assert document_overlap(data.store, text_hashes(data.store), data.parts, data.deal).random == 0


def test_near_duplicates_against_all_pairs(given: Make) -> None:
    rng = random.Random(0)
    texts = words(40, 250)
    for text in texts[:12]:  # copies with one to four characters changed
        changed = list(text)
        for place in rng.sample(range(250), rng.randint(1, 4)):
            changed[place] = "x"
        texts.append("".join(changed))
    texts += [texts[0], "abc", texts[1][:60]]
    sets = [{text[i : i + 8] for i in range(len(text) - 7)} for text in texts]
    long = [i for i, text in enumerate(texts) if len(text) >= 50 and texts.index(text) == i]
    pairs = [(len(sets[a] & sets[b]) / len(sets[a] | sets[b]), a, b) for a, b in combinations(long, 2)]
    similar = sorted((pair for pair in pairs if pair[0] >= 0.8), key=lambda pair: (-pair[0], *pair[1:]))
    assert 3 < len(similar) < 12
    data = given(texts)
    found = near_duplicates(data.store, text_hashes(data.store))
    assert found.examined == len(long) == 53
    assert found.found == len({document for _, *pair in similar for document in pair})
    assert found.pairs == [(pytest.approx(value), a, b) for value, a, b in similar[:3]]
    out = section(data, "duplicates")
    assert out[0] == "equal: 1 document (1.8%) with the text of an earlier one"
    assert out[2].startswith(f"near: {found.found} of the 53 compared")
    assert texts[found.pairs[0][1]][:30] in out[3]


def test_documents_compared_are_bounded(given: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "NEAR_TOKENS", 1_000)
    store = given(words(40, 120)).store
    assert near_duplicates(store, text_hashes(store)).examined == 8


def test_windows_of_a_stream_in_training(given: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    train, fresh = words(1, 3_000)[0], words(1, 300, seed=1)[0]
    held_out = fresh[:150] + train[1_000:1_070] + fresh[150:]
    data = given([train + held_out], stream=True, val_fraction=370 / 3_370, test_fraction=0.0)
    parts = data.parts
    assert len(parts["val"]) == 370
    expected = sum(held_out[i : i + 32] in train for i in range(370 - 31)) / (370 - 31)
    assert expected == (70 - 31) / (370 - 31)
    assert window_overlap(parts["train"], parts["val"]) == expected
    monkeypatch.setattr(duplicates, "BLOCK", 41)
    assert window_overlap(parts["train"], parts["val"]) == expected
    assert section(data, "overlap") == ["11.5% of the validation windows of 32 tokens also stand in training"]
    monkeypatch.setattr("lightseq.data.duplicates.WINDOW_TRAIN", 1_500)
    assert window_overlap(parts["train"], parts["val"]) == 0
    assert window_overlap(parts["train"], parts["val"][:31]) == 0


def test_broken_records(given: Make) -> None:
    assert section(given(words(20, 5)), "broken") == ["none"]
    out = section(given(words(20, 5), wrong=13), "broken")
    assert out[:2] == ["13 records", "  given.txt:1: no verb"]
    assert out[10:] == ["  given.txt:10: no verb", "  and 3 more"]


def test_labels_by_split(vowels: str) -> None:
    data = SequenceData(vowels, {"tagged": False})
    report = examine(data)
    assert sum(report.labels["none"].values()) == 27
    assert {split: sum(own[split] for own in report.labels.values()) for split in data.parts} == {
        split: len(part) for split, part in data.parts.items()
    }
    out = section(data, "labels")
    assert out[0].split() == ["train", "val", "test"]
    assert out[1].split() == ["some", *(str(count) for count in report.labels["some"].values())]
    assert section(data, "yardsticks")[1:] == [
        f"  uniform   {math.log(2):.3f} nats a label",
        f"  frequency {report.yardsticks.unigram:.3f} nats a label",
    ]
    tags = examine(SequenceData(vowels)).labels
    assert sum(tags["vowel"].values()) == 125 * 3 * 2 // 5


def test_yardsticks_in_both_units(given: Make) -> None:
    data = given(["abcabd" * 3] * 30 + words(10, 9))
    report = examine(data)
    out = section(data, "yardsticks")
    found = report.yardsticks
    assert out[1] == f"  uniform   {math.log(7):.3f} nats a token, {math.log2(7):.3f} bits a character"
    assert out[3].startswith(f"  {found.order}-gram    {found.ngram:.3f} nats a token, {found.ngram / math.log(2):.3f}")
    assert headline(found) == (
        f"beat   uniform {math.log(7):.3f}, unigram {found.unigram:.3f}, {found.order}-gram {found.ngram:.3f} "
        f"nats a token (validation)"
    )


def test_the_headline_of_labels_and_of_a_sample() -> None:
    assert headline(Yardsticks(1.0986, 0.9, 0, 0.9, None, False)) == (
        "beat   uniform 1.099, frequency 0.900 nats a label (validation)"
    )
    assert headline(Yardsticks(2, 1, 1, 1, 1.0, True)) == (
        "beat   uniform 2.000, unigram 1.000 nats a token (validation, from a sample)"
    )

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from lightseq.data import SequenceData, TextDataset, ngram
from lightseq.data.cache import cache_folder
from lightseq.data.ngram import Text, choose, document_text, label_text, ngram_nats, stream_text, yardsticks
from lightseq.data.store import Store, open_store
from lightseq.types import Document, Layout

SHAKESPEARE = Path(os.environ.get("LIGHTSEQ_DATA", "")) / "tinyshakespeare.txt"


class NGram:
    """Interpolated Kneser-Ney of one order, gram by gram: the reference.

    Args:
        texts: Token ids, with the boundary at the end if there is one.
        order: n; the history is n - 1 tokens.
        size: V.
        padding: What stands before a text.
    """

    def __init__(self, texts: Iterable[Sequence[int]], order: int, size: int, padding: int) -> None:
        self.order, self.size, self.padding = order, size, padding
        self.counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(order)]
        for text in texts:
            for history, token in self.grams(text):
                self.counts[-1][history][token] += 1
        for length in range(order - 2, -1, -1):  # below the top: in how many longer histories a token was seen
            for history, followers in self.counts[length + 1].items():
                for token in followers:
                    self.counts[length][history[1:]][token] += 1
        self.discounts = [self.discount(counts) for counts in self.counts]

    def nats(self, text: Sequence[int]) -> list[float]:
        return [-math.log(self.probability(token, history)) for history, token in self.grams(text)]

    def probability(self, token: int, history: tuple[int, ...]) -> float:
        p = 1 / self.size
        for length, counts in enumerate(self.counts):
            followers = counts.get(history[len(history) - length :])
            if not followers:
                break
            discount, total = self.discounts[length], followers.total()
            p = max(followers[token] - discount, 0) / total + discount * len(followers) / total * p
        return p

    def grams(self, text: Sequence[int]) -> Iterable[tuple[tuple[int, ...], int]]:
        padded = [self.padding] * (self.order - 1) + list(text)
        for end in range(self.order - 1, len(padded)):
            yield tuple(padded[end - self.order + 1 : end]), padded[end]

    @staticmethod
    def discount(counts: dict[tuple[int, ...], Counter[int]]) -> float:
        seen = Counter(n for followers in counts.values() for n in followers.values())
        return seen[1] / (seen[1] + 2 * seen[2]) if seen[1] else 0.5


class Given(TextDataset):
    """Documents from a list."""

    def __init__(self, documents: Iterable[str | Document], layout: Layout = "documents") -> None:
        self.given, self.layout = list(documents), layout

    def documents(self) -> Iterable[str | Document]:
        return self.given


def store_of(documents: Iterable[str | Document], layout: Layout = "documents") -> Store:
    return open_store(Given(documents, layout), "given")


def texts(store: Store, documents: Iterable[int]) -> list[list[int]]:
    return [[*store.tokens[store.offsets[d] : store.offsets[d + 1]].tolist(), 0] for d in documents]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_documents_against_the_reference(order: int) -> None:
    data = SequenceData("dinos")
    parts = {split: part[:300] for split, part in data.parts.items()}
    train, val = (document_text(data.store, parts[split]) for split in ("train", "val"))
    nats = ngram_nats(train, val, 27, 5)
    reference = NGram(texts(data.store, parts["train"]), order, 27, padding=0)
    expected = [value for text in texts(data.store, parts["val"]) for value in reference.nats(text)]
    np.testing.assert_allclose(nats[order], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_stream_against_the_reference(order: int) -> None:
    tokens = np.random.default_rng(0).integers(0, 5, 900) ** 2 % 7
    nats = ngram_nats(stream_text(tokens[:700]), stream_text(tokens[700:]), 7, 4)
    reference = NGram([tokens[:700].tolist()], order, 7, padding=-1)
    np.testing.assert_allclose(nats[order], reference.nats(tokens[700:].tolist()), rtol=0, atol=1e-9)


def test_documents_without_text_and_tokens_never_seen() -> None:
    store = store_of(["ab", "", "abab", "", "cabd"])
    train, held_out = document_text(store, np.arange(4)), document_text(store, np.array([4, 1]))
    reference = NGram(texts(store, range(4)), 3, 5, padding=0)
    expected = [value for text in texts(store, [4, 1]) for value in reference.nats(text)]
    np.testing.assert_allclose(ngram_nats(train, held_out, 5, 3)[3], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_probabilities_of_all_next_tokens_sum_to_one(order: int) -> None:
    train = stream_text(np.array([0, 1, 2, 0, 1, 3, 0, 0, 1]))
    last = [
        ngram_nats(train, stream_text(np.array([0, 1, token])), 5, order)[order][-1]
        for token in range(5)  # 4 is never seen
    ]
    assert np.exp(-np.array(last)).sum() == pytest.approx(1, abs=1e-12)


def test_a_boundary_ends_each_document_and_histories_start_afresh() -> None:
    text = document_text(store_of(["ba", "", "a"]), np.array([0, 1, 2]))
    assert text.tokens.tolist() == [2, 1, 0, 0, 1, 0]
    assert text.starts.tolist() == [True, False, False, True, True, False]
    assert not text.cut


def test_a_limit_takes_whole_documents_and_the_beginning_of_one() -> None:
    store = store_of(["a" * 7, "b" * 8, "c" * 9, "d" * 10])
    text = document_text(store, np.arange(4), limit=20)
    assert text.cut
    assert len(text.tokens) == 20
    counts = np.bincount(text.tokens, minlength=5)
    assert counts[0] < np.count_nonzero(text.starts)  # the last one does not come to its end
    assert text.tokens.tolist() == document_text(store, np.arange(4), limit=20).tokens.tolist()


def test_what_is_chosen_is_no_beginning_of_the_corpus() -> None:
    places, take = choose(np.full(1000, 10), 500)
    assert len(set(places)) == 50
    assert take.tolist() == [10] * 50
    assert places.max() > 500
    places, take = choose(np.array([3, 4]), 7)
    assert (places.tolist(), take.tolist()) == ([0, 1], [3, 4])


@pytest.mark.parametrize("stream", [True, False])
def test_a_large_corpus_is_sampled_and_says_so(stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    letters = np.random.default_rng(0).choice(list("abcd"), (60, 20))
    store = store_of(["".join(row) for row in letters], "stream" if stream else "documents")
    parts = {"train": np.arange(40), "val": np.arange(40, 60)}
    if stream:
        parts = {"train": store.tokens[:800], "val": store.tokens[800:]}
    whole = yardsticks(store, parts, stream)
    monkeypatch.setattr(ngram, "TRAIN_LIMIT", 210)
    monkeypatch.setattr(ngram, "HELD_OUT_LIMIT", 105)
    cut = yardsticks(store, parts, stream)
    assert (whole.cut, cut.cut) == (False, True)
    assert whole.unigram != cut.unigram
    assert whole.uniform == cut.uniform == math.log(4 if stream else 5)
    if stream:  # the end of training, the beginning of what is held out
        train, val = stream_text(parts["train"][-210:]), stream_text(parts["val"][:105])
        assert cut.unigram == pytest.approx(ngram_nats(train, val, 4, 1)[1][1:].mean())


def test_a_streams_first_token_is_not_scored() -> None:
    store = store_of(["abab" * 50 + "c" + "ab" * 10], "stream")
    parts = {"train": store.tokens[:200], "val": store.tokens[200:]}
    found = yardsticks(store, parts, stream=True)
    nats = ngram_nats(stream_text(parts["train"]), stream_text(parts["val"]), 3, 2)
    assert found.unigram == pytest.approx(nats[1][1:].mean())
    assert nats[1][0] > 3  # the c, which training lacks
    store = store_of([Document(["a", "b"] * 9 + ["cde", "a", "b"])], "stream")
    found = yardsticks(store, {"train": store.tokens[:18], "val": store.tokens[18:]}, stream=True)
    assert found.characters == 1


def test_the_best_order_and_the_characters() -> None:
    words = ["the ", "cat ", "sat ", "on ", "mat "]
    given = [Document([words[i], words[(i + 1) % 5], words[(i + 2) % 5]]) for i in range(5)] * 6
    store = store_of(given)
    found = yardsticks(store, {"train": np.arange(20), "val": np.arange(20, 30)}, stream=False)
    assert found.order > 1
    assert found.ngram < found.unigram < found.uniform == math.log(6)
    assert list(found.rows) == ["uniform", "unigram", f"{found.order}-gram"]
    lengths = [len(token) for document in given[20:] for token in document.tokens]
    assert found.characters == pytest.approx((sum(lengths) + 10) / (len(lengths) + 10))
    assert found.bits_per_character(1.0) == pytest.approx(1 / math.log(2) / found.characters)


@pytest.mark.parametrize("tagged", [True, False])
def test_labels_have_frequencies_and_no_order(tagged: bool) -> None:
    def one(i: int) -> Document:
        kind = "rare" if i % 4 == 0 else "often"
        return Document("ab", [kind, "often"] if tagged else kind)

    store = store_of([one(i) for i in range(40)])
    found = yardsticks(store, {"train": np.arange(24), "val": np.arange(24, 40)}, stream=False)
    assert (found.order, found.characters, found.cut) == (0, None, False)
    assert found.uniform == math.log(2)
    share = 1 / 8 if tagged else 1 / 4
    assert found.unigram == pytest.approx(-share * math.log(share) - (1 - share) * math.log(1 - share), abs=0.03)
    assert list(found.rows) == ["uniform", "frequency"]
    assert found.bits_per_character(1.0) is None
    assert len(label_text(store, np.arange(3)).tokens) == (6 if tagged else 3)


def test_what_was_computed_once_is_kept_by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = store_of(["abab", "ba", "ab", "bb"]), store_of(["abab", "ba", "ab", "ba"])
    parts = {"train": np.array([0, 1]), "val": np.array([2, 3])}
    calls = []

    def counted(train: Text, held_out: Text, size: int, orders: int) -> dict[int, np.ndarray]:
        calls.append(size)
        return ngram_nats(train, held_out, size, orders)

    monkeypatch.setattr(ngram, "ngram_nats", counted)
    first = yardsticks(store, parts, stream=False)
    assert yardsticks(store, parts, stream=False) == first
    assert len(calls) == 1
    assert yardsticks(other, parts, stream=False) != first
    for kept in (cache_folder() / "yardsticks").iterdir():
        kept.write_text("{")
    assert yardsticks(store, parts, stream=False) == first
    assert len(calls) == 3


@pytest.mark.skipif(not SHAKESPEARE.is_file(), reason="LIGHTSEQ_DATA has no tinyshakespeare.txt")
def test_shakespeare() -> None:
    store = store_of([SHAKESPEARE.read_text()], "stream")
    found = yardsticks(store, {"train": store.tokens[:1_003_854], "val": store.tokens[1_003_854:]}, stream=True)
    assert found.uniform == pytest.approx(4.174, abs=5e-4)
    assert found.order == 6
    assert found.ngram == pytest.approx(1.558, abs=5e-4)

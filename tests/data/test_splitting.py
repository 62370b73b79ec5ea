import tracemalloc
from collections.abc import Callable, Sequence
from typing import TypeVar
from zlib import crc32

import numpy as np
import pytest

from lightseq.data import splitting
from lightseq.data.splitting import Deal, split_documents, split_stream
from lightseq.data.store import SPLITS, Store
from lightseq.errors import UserError

T = TypeVar("T")
DEAL = Deal(seed=0, val_fraction=0.1, test_fraction=0.1, fold=0)


def store_of(
    texts: Sequence[str],
    splits: Sequence[str] | None = None,
    groups: Sequence[int] | None = None,
    augmented: Sequence[int] | None = None,
) -> Store:
    tokens = np.frombuffer("".join(texts).encode(), np.uint8) - 97
    offsets = np.cumsum([0, *map(len, texts)])
    digests = np.array(groups or [crc32(text.encode()) for text in texts], np.int64)
    said = np.array([SPLITS.index(split) for split in splits or [""] * len(texts)], np.uint8)
    extra = np.array(augmented or [0] * len(texts), np.uint8)
    return Store("key", list("abcdefghij"), None, tokens, offsets, digests, said, extra, None, False)


def names(n: int) -> list[str]:
    return ["".join("abcdefghij"[int(digit)] for digit in str(i)) for i in range(n)]


def measured(call: Callable[[], T]) -> tuple[T, int]:
    """What a call returns, and the bytes that it held at the most."""
    tracemalloc.start()
    try:
        return call(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_parts_are_all_and_apart() -> None:
    parts = split_documents(store_of(names(100)), DEAL, "given")
    assert {split: len(part) for split, part in parts.items()} == {"train": 80, "val": 10, "test": 10}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))


def test_equal_texts_fall_on_one_side_every_copy() -> None:
    texts = names(60) * 3
    parts = split_documents(store_of(texts), DEAL, "given")
    sides = {split: {texts[i] for i in part} for split, part in parts.items()}
    assert not sides["train"] & sides["val"]
    assert not sides["train"] & sides["test"]
    assert not sides["val"] & sides["test"]
    assert len(parts["val"]) == 3 * len(sides["val"])
    assert sum(map(len, parts.values())) == 180


def test_a_group_falls_on_one_side_and_what_is_augmented_trains_alone() -> None:
    groups = [1 + i // 3 for i in range(90)]
    parts = split_documents(store_of(names(90), groups=groups, augmented=[0, 0, 1] * 30), DEAL, "given")
    assert {split: len(part) for split, part in parts.items()} == {"train": 72, "val": 6, "test": 6}
    sides = [{groups[i] for i in part} for part in parts.values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 30
    assert not {i for split in ("val", "test") for i in parts[split] if i % 3 == 2}


def test_what_is_augmented_follows_the_declared_split_of_its_group() -> None:
    store = store_of(names(4), ["val", "", "train", "train"], [1, 1, 2, 2], [0, 1, 0, 1])
    parts = split_documents(store, DEAL._replace(test_fraction=0.0), "given")
    assert {split: list(part) for split, part in parts.items()} == {"train": [2, 3], "val": [0], "test": []}


def test_of_a_group_that_says_two_splits_the_rest_is_held_out() -> None:
    store = store_of(names(8), ["val", "", "train", "", "train", "val", "", ""], [1, 1, 1, 1, 2, 3, 4, 5])
    parts = split_documents(store, DEAL._replace(test_fraction=0.0), "given")
    assert {1, 3} <= set(parts["val"].tolist())


def test_the_deal_is_a_function_of_its_seed() -> None:
    store = store_of(names(100))

    def val(seed: int) -> list[int]:
        return list(split_documents(store, DEAL._replace(seed=seed), "given")["val"])

    np.random.seed(3)
    assert val(0) == val(0)
    assert val(0) != val(1)
    assert val(0) != list(range(10))


@pytest.mark.parametrize("n", [100, 103, 37])
def test_the_folds_validate_on_everything_once(n: int) -> None:
    store = store_of(names(n))
    folds = [split_documents(store, DEAL._replace(fold=fold), "given") for fold in range(10)]
    assert sorted(np.concatenate([parts["val"] for parts in folds])) == list(range(n))
    for parts in folds:
        assert sorted(np.concatenate(list(parts.values()))) == list(range(n))


def test_a_declared_split_is_kept_and_nothing_dealt_to_it() -> None:
    parts = split_documents(store_of(names(5), ["val", "", "train", "test", "val"]), DEAL, "given")
    assert {split: list(part) for split, part in parts.items()} == {"train": [1, 2], "val": [0, 4], "test": [3]}


def test_where_only_a_test_split_is_declared_validation_is_dealt() -> None:
    texts = names(100)
    parts = split_documents(store_of([*texts, *texts[:20]], [""] * 100 + ["test"] * 20), DEAL, "given")
    assert list(parts["test"]) == [*range(20), *range(100, 120)]  # copies of a test document too
    assert {split: len(part) for split, part in parts.items()} == {"train": 72, "val": 8, "test": 40}


def test_a_small_dataset_still_has_one_document_to_validate_on() -> None:
    parts = split_documents(store_of(names(3)), DEAL, "given")
    assert {split: len(part) for split, part in parts.items()} == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize("texts", [["a"], ["a", "b"], ["a", "a", "a", "b"]])
def test_too_few_distinct_documents(texts: list[str]) -> None:
    with pytest.raises(UserError, match=r"'given' is too small to split: of its [0-9] documents none is left to train"):
        split_documents(store_of(texts), DEAL, "given")


def test_many_documents_take_little_memory_each() -> None:
    digests = np.random.default_rng(0).integers(0, 1 << 62, n := 100_000)
    store = store_of([""])._replace(
        offsets=np.arange(n + 1), digests=digests, splits=np.zeros(n, np.uint8), augmented=np.zeros(n, np.uint8)
    )
    parts, peak = measured(lambda: split_documents(store, DEAL, "given"))
    assert peak < 40 * n  # 29 when this was written; np.unique and the sorts of its answers take 58
    assert sum(map(len, parts.values())) == n


def test_a_stream_is_cut_by_position() -> None:
    store = store_of(["abcdefghij" * 10])
    parts = split_stream(store, DEAL, "given")
    assert [len(parts[split]) for split in ("train", "val", "test")] == [80, 10, 10]
    assert np.array_equal(np.concatenate([parts[split] for split in ("train", "val", "test")]), store.tokens)


def test_a_stream_of_declared_documents() -> None:
    store = store_of(["abcd", "efg", "hij"], ["train", "val", "train"])
    parts = split_stream(store, DEAL, "given")
    assert parts["train"].tolist() == [0, 1, 2, 3, 7, 8, 9]
    assert parts["val"].tolist() == [4, 5, 6]
    assert not len(parts["test"])
    assert np.shares_memory(parts["val"], store.tokens)


def test_of_a_stream_what_says_nothing_is_cut_for_the_splits_that_nothing_claims() -> None:
    store = store_of(["abcdefghij" * 3, "cd" * 5, "ee"], ["", "", "test"])
    parts = split_stream(store, DEAL, "given")
    assert parts["test"].tolist() == [4, 4]
    assert (len(parts["train"]), len(parts["val"])) == (36, 4)
    assert parts["val"].tolist() == [2, 3, 2, 3]
    mixed = split_stream(store_of(["abc" * 10, "ff", "de"], ["", "train", "val"]), DEAL, "given")
    assert mixed["train"].tolist() == [5, 5, *[0, 1, 2] * 9]
    assert mixed["test"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("splits", [None, ["train", "val"]])
def test_a_stream_has_no_folds(splits: list[str] | None) -> None:
    with pytest.raises(UserError, match=r"data\.fold 1: a stream is cut by position"):
        split_stream(store_of(["abcd", "efgh"], splits), DEAL._replace(fold=1), "given")


@pytest.mark.parametrize("block", [1, 1 << 16])
@pytest.mark.parametrize("tagged", [True, False])
def test_a_label_that_training_never_shows(tagged: bool, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "LABELLED", block)
    store = store_of(["ab", "ba", "abc", "cab"], ["train", "train", "val", "test"])
    ids = [0, 1, 0, 1, 0, 1, 1, 1, 2, 0] if tagged else [0, 1, 0, 2]
    store = store._replace(labels=["x", "y", "z"], label_ids=np.array(ids, np.int32), tagged=tagged)
    with pytest.raises(UserError, match="'given': label 'z' of test document 'cab' stands in no training document"):
        split_documents(store, DEAL, "given")
    assert store.label_ids is not None
    split_documents(store._replace(label_ids=store.label_ids % 2), DEAL, "given")


def test_labels_are_looked_at_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "LABELLED", 1000)
    store, n = store_of(names(10_000)), 10_000
    tokens, offsets = np.zeros(30 * n, np.uint8), np.arange(n + 1) * 30
    ids = np.random.default_rng(0).integers(0, 3, 30 * n).astype(np.int32)
    store = store._replace(labels=["x", "y", "z"], label_ids=ids, tagged=True, tokens=tokens, offsets=offsets)
    _, peak = measured(lambda: split_documents(store, DEAL, "given"))
    assert peak < 8 * len(tokens)  # less than the document of each token


def test_a_stream_without_anything_to_predict() -> None:
    with pytest.raises(UserError, match="of its 3 tokens none is left"):
        split_stream(store_of(["abc"]), DEAL, "given")

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pytest

from lightseq.data.splitting import Deal, split_documents, split_stream
from lightseq.data.store import SPLITS, Store
from lightseq.errors import UserError

DEAL = Deal(seed=0, val_fraction=0.1, test_fraction=0.1, fold=0)


def store_of(texts: Sequence[str], splits: Sequence[str] | None = None) -> Store:
    tokens = np.frombuffer("".join(texts).encode(), np.uint8) - 97
    offsets = np.cumsum([0, *map(len, texts)])
    digests = np.array([crc32(text.encode()) for text in texts], np.uint64)
    said = np.array([SPLITS.index(split) for split in splits or [""] * len(texts)], np.uint8)
    return Store(list("abcdefghij"), None, tokens, offsets, digests, said, None, False)


def names(n: int) -> list[str]:
    return ["".join("abcdefghij"[int(digit)] for digit in str(i)) for i in range(n)]


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


def test_a_stream_without_anything_to_predict() -> None:
    with pytest.raises(UserError, match="of its 3 tokens none is left"):
        split_stream(store_of(["abc"]), DEAL, "given")

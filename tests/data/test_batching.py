from collections import Counter
from itertools import chain, product

import numpy as np
import pytest
import torch

from lightseq.data import batching
from lightseq.data import loader as loader_module
from lightseq.data.batching import DocumentBatches, StreamBatches
from lightseq.data.loader import SequenceLoader
from lightseq.data.store import Store
from lightseq.types import IGNORE_INDEX, Batch

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def store_of(texts: list[str], labels: list[int] | None = None, tagged: bool = False) -> Store:
    """``_`` is the boundary, id 26."""
    tokens = np.array([LETTERS.index(c) for text in texts for c in text], np.uint8)
    offsets = np.cumsum([0, *map(len, texts)])
    label_ids = None if labels is None else np.array(labels, np.int32)
    names = None if labels is None else list("0123456789")
    none = np.zeros(len(texts), np.uint8)
    return Store("key", [*LETTERS, ""], names, tokens, offsets, none.astype(np.int64), none, none, label_ids, tagged)


def documents(texts: list[str], **settings: object) -> DocumentBatches:
    own = {"rows": 2, "window": 4, "boundary": 26, **settings}
    return DocumentBatches(store_of(texts), np.arange(len(texts)), **own)


def drawn(batch: Batch) -> list[tuple[str, str]]:
    """Each row's inputs and targets in letters; a dot where nothing is scored."""
    letters = LETTERS + "_"
    rows = []
    for tokens, targets in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True):
        scored = [t != IGNORE_INDEX for t in targets]
        inputs = "".join(letters[i] if s else "." for i, s in zip(tokens, scored, strict=True))
        rows.append((inputs, "".join(letters[t] if t != IGNORE_INDEX else "." for t in targets)))
    return rows


def picture(windows: list[list[tuple[str, str]]], names: list[str]) -> list[str]:
    lines = []
    for row, name in enumerate(names):
        inputs = "      ".join(" ".join(window[row][0].ljust(4, "?")) for window in windows)
        targets = "    > ".join(" ".join(window[row][1].ljust(4, "?")) for window in windows)
        lines += [f"{name:9}{inputs}", f"{'':7}> {targets}"]
    return [line.replace("?", " ").rstrip() for line in lines]


def in_the_docstring(lines: list[str]) -> bool:
    shown = [" ".join(line.split()) for line in (batching.__doc__ or "").splitlines()]
    wanted = [" ".join(line.split()) for line in lines]
    return any(shown[i : i + len(wanted)] == wanted for i in range(len(shown)))


def test_the_picture_of_a_stream() -> None:
    source = StreamBatches(np.arange(26, dtype=np.uint8), lanes=4, window=4)
    windows = [drawn(source.batch(0, i)) for i in range(len(source))]
    assert in_the_docstring(picture(windows, [f"lane {i}" for i in range(4)]))
    assert [source.batch(0, i).reset.all().item() for i in range(2)] == [True, False]


def test_the_picture_of_documents() -> None:
    source = documents(["cab", "zebra"])
    windows = [drawn(source.batch(0, i)) for i in range(len(source))]
    order = [0, 1] if windows[0][0][0].startswith("_c") else [1, 0]
    windows = [[window[i] for i in order] for window in windows]
    assert in_the_docstring(picture(windows, ['"cab"', '"zebra"']))


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("lanes", [1, 4, 7])
@pytest.mark.parametrize("window", [3, 5, 100])
@pytest.mark.parametrize("carry", [True, False])
def test_a_stream_scores_every_token_but_the_first_once(world: int, lanes: int, window: int, carry: bool) -> None:
    tokens = np.arange(101, dtype=np.uint8)
    sources = [
        StreamBatches(tokens, lanes=lanes, window=window, rank=rank, world=world, carry=carry) for rank in range(world)
    ]
    assert len({len(source) for source in sources}) == 1
    targets: list[int] = []
    for source in sources:
        for i in range(len(source)):
            batch = source.batch(0, i)
            scored = batch.targets != IGNORE_INDEX
            assert torch.equal(batch.tokens[scored] + 1, batch.targets[scored])
            assert batch.reset.all() == (i == 0 or not carry)
            targets += batch.targets[scored].tolist()
    assert sorted(targets) == list(range(1, 101))


def test_lanes_go_on_where_they_stopped() -> None:
    source = StreamBatches(np.arange(101, dtype=np.uint8), lanes=4, window=7)
    first, second = source.batch(0, 0), source.batch(0, 1)
    assert torch.equal(first.targets[:, -1], second.tokens[:, 0])


def test_cold_windows_begin_at_multiples_whatever_the_lanes() -> None:
    def starts(lanes: int) -> set[int]:
        source = StreamBatches(np.arange(101, dtype=np.uint8), lanes=lanes, window=8, carry=False)
        batches = [source.batch(0, i) for i in range(len(source))]
        return {
            int(row[0])
            for b in batches
            for row, target in zip(b.tokens, b.targets, strict=True)
            if target[0] != IGNORE_INDEX
        }

    assert starts(3) == starts(5) == set(range(0, 100, 8))


@pytest.mark.parametrize("world", [1, 3])
@pytest.mark.parametrize(("lanes", "window"), [(1, 5), (4, 7), (7, 3)])
def test_with_a_seed_every_epoch_begins_elsewhere_and_misses_less_than_a_window(
    world: int, lanes: int, window: int
) -> None:
    tokens = np.arange(101, dtype=np.uint8)
    sources = [
        StreamBatches(tokens, lanes=lanes, window=window, rank=rank, world=world, seed=3) for rank in range(world)
    ]
    begins = set()
    for epoch in range(30):
        targets: list[int] = []
        for source in sources:
            for i in range(len(source)):
                batch = source.batch(epoch, i)
                scored = batch.targets != IGNORE_INDEX
                assert torch.equal(batch.tokens[scored] + 1, batch.targets[scored])
                targets += batch.targets[scored].tolist()
        assert sorted(targets) == list(range(min(targets), max(targets) + 1))
        assert 100 - window < len(targets) <= 100
        begins.add(min(targets) - 1)
    assert begins == set(range(window))


def test_a_seed_gives_the_same_epochs_in_any_order() -> None:
    sources = [StreamBatches(np.arange(101, dtype=np.uint8), lanes=4, window=7, seed=5) for _ in range(2)]
    forth = [sources[0].batch(epoch, 1).tokens for epoch in range(6)]
    back = [sources[1].batch(epoch, 1).tokens for epoch in range(5, -1, -1)]
    assert all(torch.equal(a, b) for a, b in zip(forth, reversed(back), strict=True))


def test_of_a_tiny_text_little_is_missed() -> None:
    source = StreamBatches(np.arange(21, dtype=np.uint8), lanes=1, window=20, seed=0)
    assert len(source) == 1
    assert {source.batch(epoch, 0).tokens.shape[1] for epoch in range(9)} == {18}


def test_cold_starts_are_as_frequent_as_asked_and_the_same_on_any_number_of_ranks() -> None:
    tokens = np.zeros(40_001, dtype=np.uint8)

    def resets(seed: int | None, rank: int = 0, world: int = 1) -> torch.Tensor:
        own = {"rank": rank, "world": world, "cold_starts": 0.25}
        source = StreamBatches(tokens, lanes=8, window=10, seed=seed, **own)
        return torch.stack([source.batch(1, i).reset for i in range(len(source))], 1)

    alone = resets(seed=3)
    assert alone[:, 0].all()
    assert alone[:, 1:].float().mean() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(alone, torch.cat([resets(3, rank, 2) for rank in range(2)]))
    assert not torch.equal(alone, resets(seed=4))
    assert not resets(seed=None)[:, 1:].any()


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("lanes", [12, 7, 1])
def test_ranks_and_accumulated_batches_divide_the_lanes_of_one_larger_batch(
    world: int, accumulate: int, lanes: int
) -> None:
    """Where the lanes do not divide, the rows that fill the ranks read nothing of what the last lane leaves."""

    def sources(world: int, accumulate: int) -> list[StreamBatches]:
        own = {"lanes": lanes, "window": 5, "seed": 3, "cold_starts": 0.25, "world": world, "accumulate": accumulate}
        return [StreamBatches(np.arange(101, dtype=np.uint8), rank=rank, **own) for rank in range(world)]

    whole, divided = sources(1, 1)[0], sources(world, accumulate)
    assert [len(source) for source in divided] == [len(whole) * accumulate] * world
    for epoch, index in product(range(4), range(len(whole))):
        parts = [source.batch(epoch, index * accumulate + part) for source in divided for part in range(accumulate)]
        assert [part.part for part in parts] == [*range(accumulate)] * world
        for name in ("tokens", "targets", "reset"):
            rows = torch.cat([getattr(part, name) for part in parts])
            assert torch.equal(rows[:lanes], getattr(whole.batch(epoch, index), name))
            assert name != "targets" or (rows[lanes:] == IGNORE_INDEX).all()


TEXTS = ["a" * n for n in (1, 2, 3, 9, 4, 30, 2, 2, 17, 5, 1, 1, 8, 3, 0, 12)]


def scored_by_document(source: DocumentBatches, epoch: int) -> Counter[str]:
    """Rejoin the windows of each row into documents, and count them."""
    rows: dict[int, str] = {}
    done: Counter[str] = Counter()
    for i in range(len(source)):
        batch = source.batch(epoch, i)
        for row, ((_, targets), reset) in enumerate(zip(drawn(batch), batch.reset.tolist(), strict=True)):
            if reset:
                done[rows.pop(row, "")] += 1
            rows[row] = rows.get(row, "") + targets.replace(".", "")
    done.update(rows.values())
    del done[""]
    return done


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("seed", [None, 5])
@pytest.mark.parametrize("window", [4, 100])
def test_every_document_once_on_one_rank_whole(world: int, seed: int | None, window: int) -> None:
    ranks = [documents(TEXTS, world=world, rank=r, seed=seed, window=window) for r in range(world)]
    for epoch in (0, 3):
        total = sum((scored_by_document(source, epoch) for source in ranks), Counter())
        assert total == Counter(f"{text}_" for text in TEXTS)
    assert len({len(source) for source in ranks}) == 1


@pytest.mark.parametrize(("world", "accumulate"), [(2, 1), (1, 2), (2, 3)])
@pytest.mark.parametrize("window", [4, 100])
def test_ranks_and_accumulated_batches_divide_the_documents_of_one_larger_batch(
    world: int, accumulate: int, window: int
) -> None:
    def targets(world: int, accumulate: int, epoch: int) -> list[list[str]]:
        """By update, what its rows score."""
        own = {"window": window, "rows": 12 // world // accumulate, "world": world, "accumulate": accumulate, "seed": 3}
        ranks = [documents(TEXTS, rank=rank, **own) for rank in range(world)]
        rows = [[row for source in ranks for row in drawn(source.batch(epoch, i))] for i in range(len(ranks[0]))]
        updates = [chain.from_iterable(rows[i : i + accumulate]) for i in range(0, len(rows), accumulate)]
        return [sorted(own for _, row in update if (own := row.rstrip("."))) for update in updates]

    for epoch in range(4):
        assert targets(world, accumulate, epoch) == targets(1, 1, epoch)


def test_the_number_of_batches_is_the_same_in_every_epoch() -> None:
    source = documents(TEXTS, seed=1)
    for epoch in range(20):
        assert len(source._plan(epoch)) == len(source)


def test_documents_that_fill_no_batch_are_shuffled_too() -> None:
    source = documents(["a" * n for n in range(0, 80, 4)], rows=4, seed=1)
    first, later = ([source.batch(epoch, i).reset.tolist() for i in range(len(source))] for epoch in (0, 5))
    assert first != later


def test_the_order_is_a_function_of_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[object]:
        source = documents(TEXTS, seed=seed)
        return [source.batch(epoch, i).tokens.tolist() for i in range(len(source))]

    torch.manual_seed(7)
    np.random.seed(7)
    assert order(1, 4) == order(1, 4)
    assert order(1, 4) != order(1, 5)
    assert order(1, 4) != order(2, 4)


def test_tagging_scores_every_token_against_its_own_label() -> None:
    store = store_of(["abc", "de"], labels=[1, 2, 3, 4, 5], tagged=True)
    batch = DocumentBatches(store, np.arange(2), rows=2, window=9, boundary=26).batch(0, 0)
    rows = {tuple(t): y for t, y in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)}
    assert rows[26, 0, 1, 2] == [IGNORE_INDEX, 1, 2, 3]
    assert rows[26, 3, 4, 26] == [IGNORE_INDEX, 4, 5, IGNORE_INDEX]


def test_classification_scores_the_last_token_alone() -> None:
    store = store_of(["abc", "de"], labels=[7, 8])
    batch = DocumentBatches(store, np.arange(2), rows=2, window=9, boundary=26).batch(0, 0)
    rows = {tuple(t): y for t, y in zip(batch.tokens.tolist(), batch.targets.tolist(), strict=True)}
    assert rows[26, 0, 1, 2] == [IGNORE_INDEX] * 3 + [7]
    assert rows[26, 3, 4, 26] == [IGNORE_INDEX] * 2 + [8, IGNORE_INDEX]


def test_the_loader_goes_on_from_its_state() -> None:
    def loader() -> SequenceLoader:
        return SequenceLoader(documents(TEXTS, seed=1))

    def tokens(batches: object) -> list[object]:
        return [batch.tokens.tolist() for batch in batches]

    straight = loader()
    epochs = [tokens(straight) for _ in range(3)]
    assert epochs[0] != epochs[1]
    for stop in (0, 1, len(straight) - 1, len(straight)):
        stopped = loader()
        list(stopped)
        iterator = iter(stopped)
        for _ in range(stop):
            next(iterator)
        resumed = loader()
        resumed.load_state_dict(stopped.state_dict())
        assert tokens(resumed) == (epochs[1][stop:] or epochs[2])
    resumed = loader()
    resumed.load_state_dict(loader().state_dict())
    assert tokens(resumed) == epochs[0]


def test_the_loader_is_no_more_than_some_time_steps_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "AHEAD", 10)
    made, source = [], documents(TEXTS, seed=1)

    class Counted:
        def __len__(self) -> int:
            return len(source)

        def batch(self, epoch: int, index: int) -> Batch:
            made.append(source.batch(epoch, index).tokens.numel())
            return source.batch(epoch, index)

    taken = 0
    for batch in SequenceLoader(Counted()):
        taken += batch.tokens.numel()
        ahead = sum(made) - taken
        assert ahead < 10 + max(made)
    assert sum(made) == taken
    assert len(made) == len(source) > 3

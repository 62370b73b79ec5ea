"""Windows of rows. The order is a pure function of (seed, epoch, rank, world size); a position is a counter.

A **stream** is cut into as many lanes as there are rows, and every row reads its own lane, window after window, the
state carried along. The alphabet in 4 lanes and windows of 4 time steps, the target of each step the token after it:

             window 0       window 1
    lane 0   a b c d        e f g
             > b c d e      > f g h
    lane 1   h i j k        l m n
             > i j k l      > m n o
    lane 2   o p q r        s t u
             > p q r s      > t u v
    lane 3   v w x y        . . .
             > w x y z      > . . .

Only window 0 resets the state. Every letter but the first is a target once; a dot is a step that is not scored.

**Documents** start afresh, one a row, a boundary before and after them (drawn as an underline), and rows that end
early are padded. One that is longer than a window goes on in the next window of its row, without a reset:

             window 0       window 1
    "cab"    _ c a b        . .
             > c a b _      > . .
    "zebra"  _ z e b        r a
             > z e b r      > a _
"""

import heapq
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import as_strided

from ..types import IGNORE_INDEX, Batch
from .store import Store

Array = npt.NDArray[Any]


class BatchSource(Protocol):
    """Batches by number."""

    def __len__(self) -> int:
        """Batches of an epoch: the same in every epoch and on every rank."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """One batch of an epoch."""


class StreamBatches:
    """One long text in lanes, every token but the first a target exactly once.

    With a seed, to train on: every epoch begins at another of the first tokens, so that the same windows do not come
    again, and leaves out fewer than a window of the text's.

    Args:
        tokens: (N,) ids.
        lanes: Rows of an update, over all ranks and batches.
        window: T. The last window of a lane may be shorter.
        rank: Whose lanes: each rank owns neighbouring ones.
        world: Number of ranks.
        accumulate: Batches that make an update: each has lanes of its own, as one larger batch would.
        carry: Whether the state goes on from window to window; False is cold windows, cut from the text's beginning.
        seed: Of where each epoch begins, and of the cold starts; None begins at the first token.
        cold_starts: The chance of a row's window to start from the initial state although its text goes on.
    """

    def __init__(
        self,
        tokens: Array,
        *,
        lanes: int,
        window: int,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        carry: bool = True,
        seed: int | None = None,
        cold_starts: float = 0.0,
    ) -> None:
        self.tokens, self.window, self.carry, self.seed, self.cold_starts = tokens, window, carry, seed, cold_starts
        self.offsets = 1 if seed is None else min(window, 1 + (len(tokens) - 1) // 10)  # of a tiny text a tenth
        self.lane_length = -(-(len(tokens) - self.offsets) // lanes)
        if not carry:  # whole windows, so that the number of lanes does not change where they begin
            self.lane_length = -(-self.lane_length // window) * window
        self.length = lanes * self.lane_length
        self.accumulate, self.per_batch = accumulate, -(-lanes // (world * accumulate))
        per_rank = self.per_batch * accumulate
        self.rows = slice(rank * per_rank, (rank + 1) * per_rank)
        self.starts = np.arange(self.rows.start, self.rows.stop) * self.lane_length
        plain = np.asarray(tokens)[self.starts[0] :]  # a slice of a memory map takes longer than to copy a window
        # rows that reach beyond the text's end: batch() takes from here what lies before it alone
        shape, strides = (per_rank, self.lane_length + self.offsets), (self.lane_length, 1)
        self._lanes = as_strided(plain, shape, [stride * plain.itemsize for stride in strides], writeable=False)
        self._epoch, self._offset = -1, 0

    def __len__(self) -> int:
        return -(-self.lane_length // self.window) * self.accumulate

    def batch(self, epoch: int, index: int) -> Batch:
        """The next window of this rank's lanes, part after part; without a seed every epoch is alike."""
        number, part = divmod(index, self.accumulate)
        own = slice(part * self.per_batch, (part + 1) * self.per_batch)
        starts = self.starts[own]
        steps = min(self.window, self.lane_length - number * self.window)
        offset = self._offset_of(epoch)
        begin = number * self.window + offset
        # a row that only fills up a rank reads nothing of what the last lane leaves
        end = min(len(self.tokens), self.length + offset + 1)
        reset = torch.full((len(starts),), number == 0 or not self.carry)
        if self.cold_starts and self.seed is not None:
            chances = np.random.default_rng([self.seed, epoch, number]).random(self.rows.stop)
            reset |= torch.from_numpy(chances[self.rows][own] < self.cold_starts)
        if starts[-1] + begin + steps < end:
            ids, targets = (self._lanes[own, at : at + steps].astype(np.int64) for at in (begin, begin + 1))
            return Batch(torch.from_numpy(ids), torch.from_numpy(targets), reset, part)
        places = (starts + begin)[:, None] + np.arange(steps + 1)
        ids = self.tokens[np.minimum(places, len(self.tokens) - 1)].astype(np.int64)
        targets = np.where(places[:, 1:] < end, ids[:, 1:], IGNORE_INDEX)
        return Batch(torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets), reset, part)

    def _offset_of(self, epoch: int) -> int:
        """The token that an epoch begins at."""
        if self.seed is not None and epoch != self._epoch:
            self._epoch, self._offset = epoch, int(np.random.default_rng([self.seed, epoch]).integers(self.offsets))
        return self._offset


class DocumentBatches:
    """Documents in rows.

    Documents of equally many windows fill whole batches; what is left over is dealt to rows that each read one
    document after another, so that the number of batches is the same in every epoch whatever the order. Nothing is
    dropped, and nothing counted twice: a rank that has fewer documents gets rows in which nothing is scored.

    Args:
        store: The encoded corpus.
        documents: The numbers of those to read.
        rows: B, of each batch on each rank.
        window: T.
        boundary: The id of the boundary token.
        rank: Whose rows.
        world: Number of ranks.
        accumulate: Batches that make an update: together they hold the rows that one larger batch would.
        seed: Of the order; None keeps one order, sorted by length.
    """

    def __init__(
        self,
        store: Store,
        documents: Array,
        *,
        rows: int,
        window: int,
        boundary: int,
        rank: int = 0,
        world: int = 1,
        accumulate: int = 1,
        seed: int | None = None,
    ) -> None:
        self.store, self.documents, self.boundary = store, documents, boundary
        self.accumulate, self.shares, self.rank = accumulate, world * accumulate, rank
        self.rows, self.window, self.seed = rows * self.shares, window, seed
        self._tokens, self._offsets = np.asarray(store.tokens), np.asarray(store.offsets)  # memory maps are slower
        self.steps = np.diff(store.offsets)[documents] + 1
        self.windows = -(-self.steps // window)
        self._epoch, self._columns = 0, self._plan(0)

    def __len__(self) -> int:
        return len(self._columns) * self.accumulate

    def batch(self, epoch: int, index: int) -> Batch:
        """One window of this rank's rows, part after part."""
        if epoch != self._epoch:
            self._epoch, self._columns = epoch, self._plan(epoch)
        number, part = divmod(index, self.accumulate)
        documents, piece = self._columns[number]
        own = slice(self.rank * self.accumulate + part, None, self.shares)
        return self._gather(documents[own], piece[own], part)

    def begun(self) -> list[int]:
        """The numbers of the documents in the order in which the rows of the first epoch's batches begin them, on all
        ranks; -1 for a row that has none."""
        return [
            int(self.documents[document]) if document >= 0 else -1
            for documents, pieces in self._plan(0)
            for document, piece in zip(documents, pieces, strict=True)
            if piece == 0
        ]

    def _plan(self, epoch: int) -> list[tuple[Array, Array]]:
        """For each update the documents of all ranks' rows (-1: none) and which window of them."""
        n = len(self.documents)
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch])
        order = np.argsort(self.steps, kind="stable") if rng is None else rng.permutation(n)
        blocks: list[list[tuple[Array, Array]]] = []
        left: list[Array] = []
        for windows in np.unique(self.windows)[::-1]:
            own = order[self.windows[order] == windows]
            full = len(own) // self.rows * self.rows
            left.append(own[full:])
            for group in np.split(own[:full], full // self.rows) if full else []:
                blocks.append([(group, np.full(len(group), piece)) for piece in range(int(windows))])
        blocks.append(self._dealt(np.concatenate(left), rng))
        turns = range(len(blocks)) if rng is None else rng.permutation(len(blocks))
        return [column for turn in turns for column in blocks[turn]]

    def _dealt(self, documents: Array, rng: np.random.Generator | None) -> list[tuple[Array, Array]]:
        """The documents that fill no whole update, the longest first, each to the row that is free first; then every
        row reads its own in random order."""
        if not len(documents):
            return []
        rows = -(-min(self.rows, len(documents)) // self.shares) * self.shares
        free = [(0, row) for row in range(rows)]
        queues: list[list[int]] = [[] for _ in range(rows)]
        for document in documents:
            column, row = heapq.heappop(free)
            queues[row].append(int(document))
            heapq.heappush(free, (column + int(self.windows[document]), row))
        length = max(column for column, _ in free)
        who, piece = np.full((length, rows), -1), np.zeros((length, rows), int)
        for row, queue in enumerate(queues):
            turns = queue if rng is None else rng.permutation(queue)
            pieces = [(document, p) for document in turns for p in range(int(self.windows[document]))]
            if pieces:
                who[: len(pieces), row], piece[: len(pieces), row] = zip(*pieces, strict=True)
        return list(zip(who, piece, strict=True))

    def _gather(self, documents: Array, piece: Array, part: int) -> Batch:
        """Time step p of a document of n tokens reads the boundary (p = 0) or token p - 1, for p from 0 to n."""
        begin, own = piece * self.window, self.documents[documents]
        steps = np.where(documents < 0, 0, self.steps[documents])[:, None]
        length = max(1, min(self.window, int((steps[:, 0] - begin).max())))
        p = begin[:, None] + np.arange(length + 1)
        places = p + (self._offsets[own] - 1)[:, None]
        inside = p < steps
        ids = np.full(p.shape, self.boundary)
        np.copyto(ids, self._tokens.take(places, mode="clip"), where=inside)
        ids[piece == 0, 0] = self.boundary
        scored, labels = inside[:, :-1], self.store.label_ids
        if labels is None:
            targets = ids[:, 1:]
        elif self.store.tagged:  # every token against its own label
            targets, scored = labels.take(places[:, :-1], mode="clip").astype(np.int64), scored & (p[:, :-1] > 0)
        else:  # the document's one label at its last token
            targets, scored = labels[own][:, None].astype(np.int64), p[:, :-1] == steps - 1
        targets = np.where(scored, targets, IGNORE_INDEX)
        reset = piece == 0
        return Batch(torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets), torch.from_numpy(reset), part)

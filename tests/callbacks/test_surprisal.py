"""The picture of what each token cost."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from lightseq.callbacks import surprisal
from lightseq.callbacks.drawing import RED
from lightseq.callbacks.excerpts import Reading


def reading(names: Sequence[str], bits: Sequence[float], candidates: Any = ()) -> Reading:
    return Reading(list(names), np.array(bits), list(candidates))


def test_what_surprises_is_red_and_what_does_not_is_white() -> None:
    calm, struck = (surprisal.picture([reading("abc", bits)]) for bits in ([0, 0, 0], [0, 9, 0]))
    assert calm.size == struck.size
    changed = np.argwhere((np.asarray(calm) != np.asarray(struck)).any(-1))
    (top, left), (bottom, right) = changed.min(0).tolist(), changed.max(0).tolist()
    assert bottom - top + 1 == surprisal.CELL
    cell = np.asarray(struck)[top : bottom + 1, left : right + 1]
    assert (cell[0] == RED).all()
    assert left == surprisal.GAP + cell.shape[1] + 1  # the second of three


def test_the_more_bits_the_redder() -> None:
    image = surprisal.picture([reading("aaaa", [1, 2, 4, 6])])
    bottom = np.asarray(image)[image.height - 3 * surprisal.GAP]  # of the cells, below the letters
    greens = list(dict.fromkeys(green for red, green, blue in bottom.tolist() if red > blue))
    assert len(greens) == 4
    assert greens == sorted(greens, reverse=True)


def test_below_it_what_came_is_blue() -> None:
    wrong, right = ([("a", 0.6, came), ("z", 0.3, False), ("y", 0.1, False)] for came in (False, True))
    nowhere, there = (np.asarray(surprisal.picture([reading("a", [1], [step])])).astype(int) for step in (wrong, right))
    assert not (nowhere[..., 2] > nowhere[..., 0] + 40).any()
    assert (there[..., 2] > there[..., 0] + 40).any()


def test_lines_end_at_line_breaks_and_where_they_are_full() -> None:
    def height(names: Sequence[str]) -> int:
        return surprisal.picture([reading(names, [0.0] * len(names))]).height

    one = height("ab")
    line_height = height(["a", "\\n", "b"]) - one
    assert line_height > surprisal.CELL
    assert height(["a", "\\n", "\\n", "b"]) == one + line_height
    assert height(["a", "\\n"]) == one
    assert height("a" * 500) > one + 5 * line_height


@pytest.mark.parametrize("names", [["#1234567"] * 9, ["end"], ["\N{MIDDLE DOT}"] * 3])
def test_any_names_fit(names: list[str]) -> None:
    image = surprisal.picture([reading(names, [np.nan] * len(names))] * 4)
    edges = np.asarray(image)
    assert (edges[-1] == 255).all()
    assert (edges[:, -1] == 255).all()

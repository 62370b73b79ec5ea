import numpy as np
import pytest
from lightseq.datasets.abc.piano_roll import (
    BARS,
    HEIGHT,
    INK,
    LEFT,
    RIGHT_NOTE,
    TOP,
    WHOLE,
    WIDTH,
    WRONG_BAR,
    WRONG_NOTE,
    draw,
    stacked,
)
from lightseq.datasets.abc.reader import read

HEADER = "X:1\nT:a\nM:4/4\nL:1/4\nK:C\n"


def roll(music: str, *wrong: tuple[int, int]) -> np.ndarray:
    return draw(read(HEADER + music).bars, wrong)


def places(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(height, width) bool, where a colour is."""
    return (image == colour).all(2)


def spans(line: np.ndarray) -> list[tuple[int, int]]:
    """Where runs of True begin and end."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def test_notes_go_to_the_right_with_time_and_up_with_pitch() -> None:
    notes = places(roll("C D2 z|[EG]4|"), RIGHT_NOTE)
    rows = spans(notes.any(1))
    assert len(rows) == 4
    heights = [first for first, _ in rows][::-1]
    assert [heights[0] - height for height in heights] == [0, 2 * 12, 4 * 12, 7 * 12]
    quarter = WHOLE // 4
    wanted = [(0, 1), (1, 3), (4, 8), (4, 8)]
    for (first, last), (top, _) in zip(wanted, rows[::-1], strict=True):
        (found,) = spans(notes[top])
        assert found[0] - LEFT == pytest.approx(first * quarter, abs=2)
        assert found[1] - LEFT == pytest.approx(last * quarter, abs=3)


def test_a_note_that_is_struck_again_is_seen_and_a_tie_is_nearly_one() -> None:
    (struck,) = {len(spans(row)) for row in places(roll("CCCC|"), RIGHT_NOTE) if row.any()}
    assert struck == 4
    again, tied = (places(roll(music), RIGHT_NOTE).sum() for music in ("C C z2|", "C-C z2|"))
    assert tied > again


def test_wrong_bars_are_red_and_only_they() -> None:
    right = roll("CCCC|CCC|CCCC|")
    assert not places(right, WRONG_NOTE).any()
    assert not places(right, WRONG_BAR).any()
    image = roll("CCCC|CCC|CCCC|", (6, 6))
    first, last = LEFT + WHOLE, LEFT + WHOLE * 7 // 4
    for colour in (WRONG_BAR, WRONG_NOTE):
        columns = np.flatnonzero(places(image[TOP:340], colour).any(0))
        assert first <= columns.min() < first + 4
        assert last - 8 < columns.max() <= last
    blue = np.flatnonzero(places(image, RIGHT_NOTE).any(0))
    assert not ((first < blue) & (blue < last)).any()
    assert places(image[:TOP], WRONG_NOTE).any()  # the legend


def test_double_bars_and_repeats_stand_out() -> None:
    def dark(music: str) -> np.ndarray:
        return places(roll(music), INK)[TOP : TOP + 200].all(0)

    def dots(music: str) -> list[int]:
        image = places(roll(music), INK)[TOP + 10 : TOP + 200]
        return [first for first, _ in spans((image.any(0) & ~image.all(0))[LEFT + 1 :])]

    assert not dark("C4|D4|").any()
    assert spans(dark("C4||D4|")) == [(LEFT + WHOLE - 1, LEFT + WHOLE + 2)]
    assert len(dots("C4:|D4|")) == len(dots("C4|:D4|")) == 1
    assert dots("C4:|D4|")[0] < WHOLE < dots("C4|:D4|")[0]
    assert len(dots("C4::D4|")) == 2
    assert not dots("C4||D4|")


def test_endings_have_their_brackets() -> None:
    def bracket(music: str) -> list[tuple[int, int]]:
        return spans(places(roll(music), INK)[TOP - 3])

    assert bracket("C4|D4|") == []
    assert [first for first, _ in bracket("C4|1 D4:|2 E4|]")] == [LEFT + WHOLE, LEFT + 2 * WHOLE]


@pytest.mark.parametrize(
    "music",
    [
        "",
        "z4|",
        "C4|",
        "C,,,,,,,,,2 g'''''''''2|",
        "C/64|" * 40,
        "C999|D|",
        "CDEF|" * 300,
        "[CEGc]4|" * BARS,
        "[M:none]C",
    ],
)
def test_the_picture_has_a_sensible_size_whatever_is_in_it(music: str) -> None:
    image = roll(music)
    assert image.dtype == np.uint8
    height, width, channels = image.shape
    assert channels == 3
    assert 100 < height <= HEIGHT
    assert 300 < width <= WIDTH + 2
    assert image.flags.writeable  # a tensor can be made of it


def test_of_a_long_tune_the_beginning_is_shown() -> None:
    bars = read(HEADER + "C4|" * BARS + "c4|" * 5).bars
    columns = places(draw(bars), RIGHT_NOTE)
    assert np.array_equal(columns[60:], places(draw(bars[:BARS]), RIGHT_NOTE)[60:])


def test_pictures_are_put_one_above_the_other() -> None:
    above, below = np.full((3, 5, 3), 7, np.uint8), np.full((4, 6, 3), 9, np.uint8)
    for first, second in ((above, below), (below, above)):
        image = stacked(first, second)
        assert image.shape == (7, 6, 3)
        assert (image[: len(first), : first.shape[1]] == first).all()
        assert (image[len(first) :, : second.shape[1]] == second).all()
        assert (image == 255).sum() == 3 * 3

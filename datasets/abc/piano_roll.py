"""A tune to look at: time to the right, pitch upwards, as it is written, without its repeats."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from .reader import Bar

WIDTH, HEIGHT = 1000, 400
"""Pixels, of the picture at the most."""
BARS = 48
"""Bars in it; more could not be told apart."""
WHOLE = 200
"""Pixels of a whole note at the most, so that a tune of two bars is no wall."""

LEFT, RIGHT, TOP, BOTTOM = 34, 12, 32, 20
"""Margins: the names of the notes, the legend and the endings, the numbers of the bars."""
GRID = HEIGHT - TOP - BOTTOM
ROW = 12
"""Pixels of a semitone at the most."""

NAMES = ("C", "", "D", "", "E", "F", "", "G", "", "A", "", "B")
INK, FAINT, LINE, OCTAVE = (40, 44, 52), (243, 245, 248), (176, 182, 192), (214, 218, 226)
RIGHT_NOTE, WRONG_NOTE, WRONG_BAR = (24, 90, 166), (206, 30, 28), (253, 226, 222)

Array = npt.NDArray[np.uint8]


class Roll(NamedTuple):
    """Where a pitch is."""

    low: int
    high: int
    row: int
    """Pixels of a semitone."""
    foot: int
    """Below the lowest pitch, pixels from the top."""

    def top(self, pitch: int) -> int:
        """The upper edge of a pitch's row, pixels from the top."""
        return self.foot - (pitch - self.low + 1) * self.row


def draw(bars: Sequence[Bar], wrong: Collection[tuple[int, int]] = ()) -> Array:
    """A piano roll. The rows of black keys are grey, the octaves are parted by lines, and repeats have their dots.

    Args:
        bars: The tune.
        wrong: Line and column of the bars that do not add up: these are red.

    Returns:
        (height, width, 3) uint8, at most ``HEIGHT`` by ``WIDTH``, narrower where the tune is short.
    """
    shown = bars[:BARS]
    ends = [sum((bar.length for bar in shown[:number]), Fraction(0)) for number in range(len(shown) + 1)]
    scale = min(Fraction(WHOLE), Fraction(WIDTH - LEFT - RIGHT) / max(ends[-1], Fraction(1)))
    edges = [LEFT + round(end * scale) for end in ends]
    low, high = _range(shown)
    row = min(ROW, GRID // (high - low + 1))
    roll = Roll(low, high, row, TOP + row * (high - low + 1))
    image = Image.new("RGB", (max(edges[-1] + RIGHT, 360), roll.foot + BOTTOM), "white")
    pen = ImageDraw.Draw(image)
    red = [(bar.line, bar.column) in wrong for bar in shown]
    _draw_keys(pen, roll, edges, red)
    for bar, left, is_red in zip(shown, edges, red, strict=False):
        _draw_notes(pen, roll, bar, left, float(scale), WRONG_NOTE if is_red else RIGHT_NOTE)
    _draw_lines(pen, roll, shown, edges, red)
    _draw_legend(pen, len(bars), any(red))
    return np.asarray(image).copy()


def stacked(above: Array, below: Array) -> Array:
    """Two pictures in one, white beside the narrower one: (height, width, 3) uint8 each."""
    width = max(above.shape[1], below.shape[1])
    wide = [np.pad(part, ((0, 0), (0, width - part.shape[1]), (0, 0)), constant_values=255) for part in (above, below)]
    return np.concatenate(wide)


def _range(bars: Sequence[Bar]) -> tuple[int, int]:
    """The lowest and the highest pitch shown: all that occur and one beside them, an octave and a half at least."""
    pitches = [pitch for bar in bars for note in bar.notes for pitch in note.pitches] or [60, 77]
    low, high = max(min(pitches) - 1, 0), min(max(pitches) + 1, 127)
    return min(low, max(high - 17, 0)), max(high, min(low + 17, 127))


def _draw_keys(pen: ImageDraw.ImageDraw, roll: Roll, edges: Sequence[int], red: Sequence[bool]) -> None:
    """What lies below the notes: rows, octaves, wrong bars, and the names at the left."""
    font = ImageFont.load_default(min(11, max(roll.row, 9)))
    for pitch in range(roll.low, roll.high + 1):
        if not NAMES[pitch % 12]:
            pen.rectangle((LEFT, roll.top(pitch), edges[-1], roll.top(pitch - 1) - 1), FAINT)
    for left, right, is_red in zip(edges, edges[1:], red, strict=False):
        if is_red:
            pen.rectangle((left, TOP, right, roll.foot - 1), WRONG_BAR)
    for pitch in range(roll.low, roll.high + 1):
        name = NAMES[pitch % 12]
        middle = roll.top(pitch) + roll.row / 2
        if name == "C":
            pen.line((LEFT, roll.top(pitch - 1), edges[-1], roll.top(pitch - 1)), OCTAVE)
            pen.text((LEFT - 6, middle), f"C{pitch // 12 - 1}", INK, font, anchor="rm")
        elif name and roll.row >= 10:
            pen.text((LEFT - 6, middle), name, LINE, font, anchor="rm")


def _draw_notes(
    pen: ImageDraw.ImageDraw, roll: Roll, bar: Bar, left: int, scale: float, colour: tuple[int, int, int]
) -> None:
    for note in bar.notes:
        first = left + round(float(note.start) * scale)
        last = left + round(float(note.start + note.length) * scale)
        last -= 1 if note.tied else 2 if last - first < 8 else 3  # what is repeated is not one long note
        for pitch in note.pitches:
            if roll.low <= pitch <= roll.high:
                top = roll.top(pitch)
                pen.rectangle((first, top, max(first, last), top + max(roll.row - 2, 0)), colour)


def _draw_lines(
    pen: ImageDraw.ImageDraw, roll: Roll, bars: Sequence[Bar], edges: Sequence[int], red: Sequence[bool]
) -> None:
    """Bar lines, repeats, endings, and the numbers of the bars."""
    small = ImageFont.load_default(11)
    lines = [*(bar.left for bar in bars[:1]), *(bar.right for bar in bars)]
    middle = (TOP + roll.foot) // 2
    for number, (x, line) in enumerate(zip(edges, lines, strict=False)):
        double = any(sign in line for sign in ("||", "|]", "[|", ":"))
        if line or number:
            pen.line((x, TOP, x, roll.foot), INK if double else LINE, 3 if double else 1)
        for side, sign in ((-5, line.startswith(":")), (5, line.endswith(":"))):
            for y in (middle - 6, middle + 6) if sign else ():
                pen.ellipse((x + side - 2, y - 2, x + side + 2, y + 2), INK)
    shown = -100
    endings = ["", *(bar.ending for bar in bars)]
    for number, (x, right, is_red) in enumerate(zip(edges, edges[1:], red, strict=False), 1):
        if x - shown >= 18 or (is_red and x - shown >= 9):
            pen.text(((x + right) / 2, roll.foot + 4), str(number), WRONG_NOTE if is_red else INK, small, anchor="mt")
            shown = x
        if endings[number] and endings[number] != endings[number - 1]:
            pen.line((x, TOP - 3, right - 4, TOP - 3), INK)
            pen.text((x + 3, TOP - 5), f"{endings[number]}.", INK, small, anchor="ls")


def _draw_legend(pen: ImageDraw.ImageDraw, bars: int, any_red: bool) -> None:
    words = ["time to the right, without repeats"]
    words += [f"the first {BARS} of {bars:,} bars"] if bars > BARS else []
    words += ["red: the bar does not add up"] if any_red else []
    pen.text((LEFT, 2), "; ".join(words), WRONG_NOTE if any_red else INK, ImageFont.load_default(11))

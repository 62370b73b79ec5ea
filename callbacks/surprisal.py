"""How a text surprises a model, character by character, as a picture."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from .drawing import BLUE, GAP, INK, PALE, RED, WHITE, Colour, lettering, mixed
from .excerpts import CANDIDATES, Reading

MOST_BITS = 8.0
"""From here on a cell is as red as can be."""

WIDTH = 1_000
"""Pixels of a line at the most, about."""

LARGE, SMALL = 16, 11
"""Sizes of a character, and of a longer token and what might have come."""

CELL, LINE_HEIGHT = 21, 13
"""Heights, in pixels, of a character's cell and of a line below it."""


def picture(readings: Sequence[Reading]) -> Image.Image:
    """Each token on a ground that is the redder, the more bits it cost; below it the likeliest tokens at its place, the
    darker, the likelier, in blue the one that came. A line ends
    at a line break, after the last of several, and where it is full.

    Args:
        readings: At least one.
    """
    below = CANDIDATES if any(reading.candidates for reading in readings) else 0
    pitch, height = _pitch(readings), CELL + below * LINE_HEIGHT + 2 * GAP
    places = _places(readings, max(1, WIDTH // pitch))
    lines, columns = places[-1][-1][0] + 1, 1 + max(column for own in places for _, column in own)
    legend = _legend(bool(below))
    size = (max(columns * pitch, legend.width) + 2 * GAP, legend.height + lines * height + 2 * GAP)
    image = Image.new("RGB", size, "white")
    image.paste(legend, (GAP, GAP))
    for reading, own in zip(readings, places, strict=True):
        for step, (line, column) in enumerate(own):
            corner = GAP + column * pitch, 2 * GAP + legend.height + line * height
            _cell(image, corner, pitch, reading, step)
    return image


def _pitch(readings: Sequence[Reading]) -> int:
    """The width of a cell: of the widest word in any."""
    names = {name for reading in readings for name in reading.names}
    others = {name for reading in readings for step in reading.candidates for name, *_ in step}
    return 2 + max(*(_letters(name).width for name in names), *(lettering(name, SMALL).width for name in others), 12)


def _places(readings: Sequence[Reading], columns: int) -> list[list[tuple[int, int]]]:
    """The line and column of every token; a text goes on in the line of the one before it if it fits there whole."""
    places, line, column = list[list[tuple[int, int]]](), 0, 0
    for reading in readings:
        if column and (column + 1 + len(reading.names) > columns or "\\n" in reading.names):
            line, column = line + 1, 0
        column += bool(column)
        own = []
        for name, before in zip(reading.names, ["", *reading.names], strict=False):
            if column >= columns or (before == "\\n" and name != "\\n"):  # empty lines would be most of the picture
                line, column = line + 1, 0
            own.append((line, column))
            column += 1
        places.append(own)
    return places


def _cell(image: Image.Image, corner: tuple[int, int], pitch: int, reading: Reading, step: int) -> None:
    left, top = corner
    name, share = reading.names[step], _share(reading.bits[step])
    image.paste(mixed(WHITE, RED, share), (left, top, left + pitch - 1, top + CELL))
    _centred(image, _letters(name), WHITE if share > 0.6 else INK, left, top, pitch, CELL)
    for number, (other, chance, came) in enumerate(reading.candidates[step] if reading.candidates else ()):
        ink = BLUE if came else mixed(PALE, INK, chance**0.5)
        low = top + CELL + number * LINE_HEIGHT
        _centred(image, lettering(other, SMALL), ink, left, low, pitch, LINE_HEIGHT)


def _share(bits: float) -> float:
    """Of the reddest; of what is not scored none."""
    return 0.0 if np.isnan(bits) else min(1.0, float(bits) / MOST_BITS)


def _letters(name: str) -> Image.Image:
    return lettering(name, LARGE if len(name) == 1 else SMALL)


def _centred(image: Image.Image, mask: Image.Image, ink: Colour, left: int, top: int, width: int, height: int) -> None:
    image.paste(ink, (left + (width - mask.width) // 2, top + (height - mask.height) // 2), mask)


def _legend(alternatives: bool) -> Image.Image:
    """The scale, and what stands below a character."""
    words = "bits that each token cost" if alternatives else "bits that the right label cost, after each token"
    if alternatives:
        words += "; below it the likeliest ones at its place, the likelier the darker, in blue the one that came"
    marks = [f"{bits:.0f}" for bits in np.linspace(0, MOST_BITS, 5)]
    marks[-1] += "+"
    note, wide = lettering(words, SMALL + 1), 34
    image = Image.new("RGB", (len(marks) * wide + 2 * GAP + note.width, CELL), "white")
    for number, mark in enumerate(marks):
        share = number / (len(marks) - 1)
        image.paste(mixed(WHITE, RED, share), (number * wide, 0, (number + 1) * wide, CELL))
        _centred(image, lettering(mark, SMALL + 1), WHITE if share > 0.6 else INK, number * wide, 0, wide, CELL)
    image.paste(INK, (len(marks) * wide + 2 * GAP, (CELL - note.height) // 2), note)
    return image

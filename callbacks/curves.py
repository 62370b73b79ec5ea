"""Losses over a number of time steps, as a picture."""

from collections.abc import Mapping
from math import ceil, floor, isfinite, log2

from PIL import Image, ImageDraw

from .drawing import BLUE, GAP, INK, LINE, PALE, RED, Colour, lettering

WIDTH, HEIGHT = 560, 300
"""Pixels of the plot."""

FINER = 2
"""The plot is drawn so much larger and then made small, for smooth lines."""

COLOURS: tuple[Colour, ...] = (BLUE, RED)
LEVELS: tuple[Colour, ...] = (INK, (120, 126, 136))

SMALL = 12
"""Of all letters."""


def picture(curves: Mapping[str, Mapping[int, float]], levels: Mapping[str, float]) -> Image.Image:
    """Up to two curves over a logarithmic axis of time steps, and up to two level lines.

    Args:
        curves: By name, nats a token by time steps.
        levels: By name, nats a token.

    Raises:
        ValueError: A number that is not finite.
    """
    values = [nats for curve in curves.values() for nats in curve.values()] + list(levels.values())
    if not all(map(isfinite, values)):
        raise ValueError("a loss is not a finite number")
    last = max(2, *(steps for curve in curves.values() for steps in curve))
    tick = next(size for size in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if (max(values) - min(values)) / size <= 8)
    low, high = floor(min(values) / tick) * tick, ceil(max(values) / tick + 1e-9) * tick
    axis = _Axis(log2(last), low, high)
    plot = _plot(curves, levels, axis)
    rows = [_key(name, colour) for name, colour in zip(curves, COLOURS, strict=False)]
    rows += [_key(f"{name} {nats:.3f}", colour) for (name, nats), colour in zip(levels.items(), LEVELS, strict=False)]
    left, top = 5 * GAP + lettering("0.00", SMALL).width, 2 * GAP + sum(row.height for row in rows)
    image = Image.new("RGB", (left + WIDTH + 4 * GAP, top + HEIGHT + 8 * GAP), "white")
    for number, row in enumerate(rows):
        image.paste(row, (left, GAP + number * row.height))
    image.paste(plot, (left, top))
    for number in range(round((high - low) / tick) + 1):
        word = lettering(f"{low + number * tick:.2f}", SMALL)
        image.paste(INK, (left - GAP - word.width, top + axis.down(low + number * tick) - word.height // 2), word)
    for octave in range(floor(log2(last)) + 1):
        word = lettering(str(2**octave), SMALL)
        image.paste(INK, (left + axis.across(2**octave) - word.width // 2, top + HEIGHT + GAP), word)
    name = lettering("time steps; upwards nats a token", SMALL)
    image.paste(INK, (left + (WIDTH - name.width) // 2, top + HEIGHT + 4 * GAP), name)
    return image


class _Axis:
    """Where numbers stand, in pixels of the plot."""

    def __init__(self, octaves: float, low: float, high: float) -> None:
        self.octaves, self.low, self.high = octaves, low, high

    def across(self, steps: int, finer: int = 1) -> int:
        return round(log2(steps) / self.octaves * (WIDTH - 1) * finer)

    def down(self, nats: float, finer: int = 1) -> int:
        return round((self.high - nats) / (self.high - self.low) * (HEIGHT - 1) * finer)


def _plot(curves: Mapping[str, Mapping[int, float]], levels: Mapping[str, float], axis: _Axis) -> Image.Image:
    image = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), "white")
    draw = ImageDraw.Draw(image)
    for octave in range(floor(axis.octaves) + 1):
        x = axis.across(2**octave, FINER)
        draw.line([(x, 0), (x, image.height)], LINE, FINER)
    draw.line([(0, image.height - 1), (image.width, image.height - 1)], PALE, FINER)
    for nats, colour in zip(levels.values(), LEVELS, strict=False):
        y = axis.down(nats, FINER)
        for x in range(0, image.width, 12 * FINER):
            draw.line([(x, y), (x + 6 * FINER, y)], colour, FINER)
    for curve, colour in zip(curves.values(), COLOURS, strict=False):
        points = [(axis.across(steps, FINER), axis.down(nats, FINER)) for steps, nats in curve.items()]
        draw.line(points, colour, 2 * FINER, joint="curve")
        for x, y in points:
            draw.ellipse([x - 3 * FINER, y - 3 * FINER, x + 3 * FINER, y + 3 * FINER], colour)
    return image.reduce(FINER)


def _key(name: str, colour: Colour) -> Image.Image:
    """A line of the legend."""
    word = lettering(name, SMALL)
    image = Image.new("RGB", (24 + GAP + word.width, word.height + 4), "white")
    image.paste(colour, (0, image.height // 2 - 1, 24, image.height // 2 + 1))
    image.paste(INK, (24 + GAP, 2), word)
    return image

"""A backbone's gates as heat maps: units by time steps."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from .drawing import BLUE, GAP, INK, RED, WHITE, lettering, mixed

MOST_UNITS = 128
"""Rows of a heat map; of more units as many, evenly spread among the sorted ones."""

HEIGHT, FEW = 128, 12
"""Pixels of a heat map, about; half of it where there are more than so many."""

SMALL = 11
"""Of the letters along the axis and in the titles."""

SHADES, DIVERGING, LETTERS = 101, 101, 202
"""Of the 256 colours: 101 from white to blue; from the index 101 on as many from red over white to blue; from 202 on
white to ink, for letters."""

SHADES_OF_LETTERS = [LETTERS + value * (255 - LETTERS) // 255 for value in range(256)]
"""By how much of a pixel a letter covers, of 255."""

Array = npt.NDArray[Any]


class Panel(NamedTuple):
    """One heat map."""

    title: str
    values: Array
    """(units, T), NaN between two texts."""
    low: float
    """0, or below it the negative of ``high``."""
    high: float


def picture(traces: Sequence[Mapping[str, Array]], names: Sequence[Sequence[str]]) -> Image.Image:
    """Every gate of every layer over the same texts, the units sorted by their mean, the largest above.

    What lies between 0 and 1 is drawn from white to blue; anything else from red over white, 0, to blue, up to the
    largest size, of which the hundredth part of the values is left out.

    Args:
        traces: Of each text the internals by name, (T, L, units); one text and one name at least.
        names: Of each text its T time steps.

    Returns:
        An image with a palette.
    """
    panels = [panel for name in traces[0] for panel in _panels(name, [trace[name] for trace in traces])]
    axis = list(names[0])
    for own in names[1:]:
        axis += ["", *own]
    column = max(10, min(24, 900 // len(axis)))
    tall = HEIGHT if len(panels) <= FEW else HEIGHT // 2
    below = _axis(axis, column)
    parts = [part for panel in panels for part in (_title(panel), _heat(panel, column, tall), below)]
    height = sum(part.height + GAP // 2 for part in parts) + 2 * GAP
    image = Image.new("L", (max(part.width for part in parts) + 2 * GAP, height), LETTERS)
    top = GAP
    for part in parts:
        image.paste(part, (GAP, top))
        top += part.height + GAP // 2
    image.putpalette(_palette())
    return image


def _panels(name: str, texts: Sequence[Array]) -> list[Panel]:
    """A panel a layer."""
    gap = np.full((1, *texts[0].shape[1:]), np.nan)
    pieces = [piece for text in texts for piece in (gap, text)][1:]
    joined = np.concatenate(pieces).astype(np.float64)  # (T, L, units)
    panels = []
    for layer in range(joined.shape[1]):
        values = joined[:, layer].T
        order = np.argsort(-np.nanmean(values, 1), kind="stable")
        kept = order[np.arange(min(len(order), MOST_UNITS)) * len(order) // min(len(order), MOST_UNITS)]
        known = values[~np.isnan(values)]
        gate = known.min() >= 0 and known.max() <= 1
        high = 1.0 if gate else max(float(np.quantile(np.abs(known), 0.99)), 1e-6)
        units = f"{len(order)} units" if len(kept) == len(order) else f"{len(kept)} of {len(order)} units"
        title = f"{name}{f', layer {layer + 1}' if joined.shape[1] > 1 else ''}: {units}, mean {known.mean():.2f}"
        panels.append(Panel(title, values[kept], 0.0 if gate else -high, high))
    return panels


def _heat(panel: Panel, column: int, tall: int) -> Image.Image:
    shares = np.clip((panel.values - panel.low) / (panel.high - panel.low), 0, 1)
    base = 0 if panel.low == 0 else DIVERGING
    indices = np.where(np.isnan(shares), LETTERS, base + np.nan_to_num(shares * (SHADES - 1)).round()).astype(np.uint8)
    return Image.fromarray(indices.repeat(max(1, tall // len(indices)), 0).repeat(column, 1))


def _title(panel: Panel) -> Image.Image:
    """Its name, and its scale."""
    base = 0 if panel.low == 0 else DIVERGING
    ramp = Image.fromarray((base + np.arange(SHADES, dtype=np.uint8))[None].repeat(10, 0))
    name, low, high = (_written(words) for words in (panel.title, f"{panel.low:.3g}", f"{panel.high:.3g}"))
    parts = [name, low, ramp, high]
    image = Image.new("L", (sum(part.width + 2 * GAP for part in parts), name.height + GAP), LETTERS)
    left = 0
    for part in parts:
        image.paste(part, (left, GAP + (name.height - part.height) // 2))
        left += part.width + (2 * GAP if part is name else GAP)
    return image


def _axis(names: Sequence[str], column: int) -> Image.Image:
    """What is read or predicted, below its column; a long word is turned."""
    words = [_written(name) for name in names]
    words = [word if word.width <= column + 1 else word.transpose(Image.Transpose.ROTATE_90) for word in words]
    image = Image.new("L", (len(names) * column, max(word.height for word in words)), LETTERS)
    for number, word in enumerate(words):
        image.paste(word, (number * column + (column - word.width) // 2, 0))
    return image


def _written(words: str) -> Image.Image:
    """Letters in the palette's own shades."""
    return lettering(words, SMALL).point(SHADES_OF_LETTERS)


def _palette() -> list[int]:
    shades = [mixed(WHITE, BLUE, i / (SHADES - 1)) for i in range(SHADES)]
    half = SHADES // 2
    shades += [mixed(WHITE, RED if i < half else BLUE, abs(i - half) / half) for i in range(SHADES)]
    shades += [mixed(WHITE, INK, i / (255 - LETTERS)) for i in range(256 - LETTERS)]
    return [part for shade in shades for part in shade]

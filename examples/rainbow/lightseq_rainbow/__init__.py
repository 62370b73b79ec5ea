"""Names of colours, each with its colour: a dataset for lightseq that can tell whether a model knows what it says."""

import colorsys
import os
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from lightseq.data import TextDataset
from lightseq.data.files import fingerprint, lines
from lightseq.types import Rendering

OWN = os.path.join(os.path.dirname(__file__), "rainbow.txt")

COLOUR = re.compile(r"[a-z]+(?: [a-z]+)* ([a-z]+) #([0-9a-f]{6})")

HUES = {
    "red": (340, 375),
    "orange": (10, 45),
    "yellow": (40, 68),
    "green": (66, 170),
    "blue": (170, 260),
    "violet": (250, 320),
    "pink": (300, 375),
    "brown": (5, 45),
}
"""From and to, in degrees around the colour wheel; 375 is 15, one turn further."""

GREY = 0.11
"""A colour whose parts differ by less, of 1, is grey, and no other is."""


class Rainbow(TextDataset):
    """Invented names of paints with the colour of each in hexadecimal: moss green #6f7f3b.

    Args:
        path: A text file with a colour a line; the package brings 177 of its own.
        hexadecimal: Whether the colour stands behind its name.
    """

    prompts = ("", "moss ", "sea ")

    def __init__(self, path: str = OWN, hexadecimal: bool = True) -> None:
        self.path, self.hexadecimal = path, hexadecimal

    def documents(self) -> Iterator[str]:
        """One colour after another."""
        for _, line in lines(self.path):
            if line.strip():
                yield line if self.hexadecimal else line.partition(" #")[0]

    def fingerprint(self) -> str | None:
        """Of the file and the option."""
        return fingerprint([self.path], self.hexadecimal)

    def problems(self) -> Iterator[str]:
        """Lines that are no colours, or not the one they say."""
        for number, line in lines(self.path):
            if line.strip() and not is_true(line):
                yield f"{self.path}, line {number}: {line!r:.60} is not the colour it says"

    def judge(self, texts: Sequence[str]) -> Mapping[str, float]:
        """How many texts are a name with a colour, and how many of all name the colour that they give."""
        if not self.hexadecimal:
            return {}
        total = max(1, len(texts))
        return {
            "well_formed": sum(COLOUR.fullmatch(text) is not None for text in texts) / total,
            "true": sum(map(is_true, texts)) / total,
        }

    def render(self, text: str) -> Rendering:
        """A card in the colour; nothing where the text gives none."""
        match = COLOUR.fullmatch(text)
        if match is None:
            return Rendering()
        return Rendering(image=np.full((48, 96, 3), list(bytes.fromhex(match[2])), np.uint8))


def is_true(text: str) -> bool:
    """Whether the last word of the name is what the colour is called."""
    match = COLOUR.fullmatch(text)
    if match is None:
        return False
    parts = [part / 255 for part in bytes.fromhex(match[2])]
    hue, light, _ = colorsys.rgb_to_hls(*parts)
    grey = max(parts) - min(parts) < GREY
    if grey or match[1] not in HUES:
        return grey and match[1] == "grey"
    if (match[1] == "pink" and light < 0.5) or (match[1] == "brown" and light > 0.55):
        return False
    start, end = HUES[match[1]]
    return any(start <= degrees <= end for degrees in (hue * 360, hue * 360 + 360))

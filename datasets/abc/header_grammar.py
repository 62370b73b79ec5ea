"""What may follow in the header of a tune, a character at a time, so that it is complete and can be read.

Each required field stands once, in any order, ``X:`` first and ``K:`` last, with fields of free text among them (the
ABC music standard 2.1, section 3). The other values are those that the collections have, and a few like them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from .header import read_metre, read_unit
from .notation import signature

WHOLE = 1536
"""Ticks of a whole note: a quarter of a sixteenth, and two thirds of that, are whole numbers."""

METRES = ("C", "C|", *(f"{beats}/{part}" for part, most in ((2, 3), (4, 7), (8, 12)) for beats in range(2, most + 1)))
UNITS = ("1/4", "1/8", "1/16")
MODES = ("Major", "Minor", "Dorian", "Mixolydian", "Lydian", "Phrygian")
SHORT_MODES = ("", "m", "maj", "min", "dor", "mix", "lyd", "phr", "Maj", "Min", "Dor", "Mix", "Lyd", "Phr")
TEXTS = frozenset("ABCDFGHNORSTZ")
"""Fields of free text."""


class Header(NamedTuple):
    """Where a tune stands in its header."""

    lacks: str
    """Letters of the required fields that are still to come, that of this line too."""
    text: str = ""
    """What stands of the line; free text is ``x``, and a number 1."""
    metre: int = 0
    """Ticks; 0 is free."""
    unit: int = 0
    """Ticks; 0 where no field said it."""


class HeaderGrammar:
    """What may follow in a header.

    Args:
        tokens: The characters there are.
        required: Letters of the fields that a header must have, in the order in which ``X`` is first and ``K`` last.
        dropped: Letters of those that it must not have.
        fields: What the fields M, L and K may be, and the ticks of those of M and L: see ``fields``.
    """

    def __init__(
        self, tokens: Collection[str], required: str, dropped: Collection[str], fields: Mapping[str, int]
    ) -> None:
        self._required, self._ticks, self._lacks = required, fields, shortest(fields)
        self._texts = TEXTS.difference(dropped) & frozenset(tokens)
        self._lines = {letter: self._lacks[letter] + 2 for letter in "MLK" if letter in self._lacks} | {"T": 4, "X": 4}

    def follow(self, state: Header, token: str) -> Header:
        """The state after one more character, which lacks nothing once the header is over.

        Raises:
            ValueError: It may not stand there; the message says what may.
        """
        after = self._follow(state, token)
        if after is None:
            raise ValueError(self._reason(state, token))
        return after

    def _follow(self, state: Header, token: str) -> Header | None:
        text = state.text
        if not text:
            return state._replace(text=token) if token in self._letters(state) else None
        if text in self._lacks:
            return self._value(state, token)
        if len(text) == 1:
            return state._replace(text=text + token) if token == ":" else None
        if token == "\n":
            ended = state._replace(lacks=state.lacks.replace(text[0], ""), text="")
            return ended if len(text) == 3 or text[0] not in "XT" else None
        return _free(state, token)

    def needed(self, state: Header) -> int:
        """Characters that suffice to end the header."""
        text = state.text
        lines = sum(self._lines[letter] for letter in state.lacks if letter != text[:1])
        if not text:
            return lines
        return lines + (self._lacks[text] + 1 if text in self._lacks else 4 - len(text))

    def _reason(self, state: Header, token: str) -> str:
        """Why a character may not stand there."""
        if not state.text:
            lines = ", ".join(f"{letter}:" for letter in sorted(self._letters(state)))
            return f"{token!r} begins a line of the header; it begins with one of {lines}"
        if len(state.text) == 1:
            return f"{token!r} follows {state.text!r} where a header has a colon"
        return f"{token!r} does not fit the value of {state.text[:2]}"

    def _letters(self, state: Header) -> Collection[str]:
        """The letters that a line may begin with."""
        if state.lacks == self._required and "X" in state.lacks:
            return "X"
        return self._texts.union(state.lacks) - (set() if state.lacks == "K" else {"K"})

    def _value(self, state: Header, token: str) -> Header | None:
        """Within a field that has one of some values."""
        text = state.text
        if token != "\n":
            return state._replace(text=text + token) if text + token in self._lacks else None
        if self._lacks[text]:
            return None
        ended = state._replace(lacks=state.lacks.replace(text[0], ""), text="")
        if text[0] == "K":
            return ended
        return ended._replace(metre=self._ticks[text]) if text[0] == "M" else ended._replace(unit=self._ticks[text])


def fields(tokens: Collection[str], dropped: Collection[str]) -> dict[str, int]:
    """What the fields M, L and K may be in some characters, and the ticks of those of M and L."""
    values = {f"M:{metre}": read_metre(metre) for metre in METRES} | {f"L:{unit}": read_unit(unit) for unit in UNITS}
    ticks = {field: int(WHOLE * length) for field, length in values.items() if length}
    modes = [f" {mode}" for name in MODES for mode in (name, name.lower())]
    keys = (f"{tonic}{sign}{mode}" for tonic in "ABCDEFG" for sign in ("", "#", "b") for mode in (*SHORT_MODES, *modes))
    ticks |= {f"K:{key}": 0 for key in keys if signature(key) is not None}
    ticks |= {f"{field[:2]} {field[2:]}": length for field, length in ticks.items()}
    return {field: n for field, n in ticks.items() if field[0] not in dropped and set(field) <= set(tokens)}


def shortest(values: Iterable[str]) -> dict[str, int]:
    """For each beginning of some values, the characters that the shortest with it has more."""
    lacks: dict[str, int] = {}
    for value in values:
        for end in range(1, len(value) + 1):
            lacks[value[:end]] = min(lacks.get(value[:end], len(value)), len(value) - end)
    return lacks


def _free(state: Header, token: str) -> Header | None:
    """Within free text, or within the number of a tune. What begins with | or : would read as music."""
    begun = len(state.text) == 3
    if token == " " and not begun:
        return state
    if state.text[0] == "X":
        return state._replace(text="X:1") if token.isascii() and token.isdigit() else None
    free = token.isprintable() and token != "%" and (begun or token not in "|:")
    return state._replace(text=f"{state.text[:2]}x") if free else None

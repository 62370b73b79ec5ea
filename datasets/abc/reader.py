"""Music out of the text of a tune, whatever the text is.

Source: the ABC music standard 2.1 (December 2011), sections 4.1 to 4.5 (pitch, accidentals, lengths, broken rhythm,
rests), 4.8 and 4.9 (bar lines, endings), 4.11 to 4.19 (ties, slurs, grace notes, tuplets, decorations, chords, chord
symbols, annotations) and 11.3 (an accidental holds to the bar line, in every octave).
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .bars import Bar, BarMaker, Note, Problem
from .header import COMPOUND, default_unit, header_lines, read_beats, read_key, read_metre, read_unit, value_of
from .notation import ACCIDENTALS, FIELD, SEMITONES, alteration, place

__all__ = ["Bar", "Music", "Note", "Problem", "read"]

MIDDLE_C = 60
MOST_RESTS = 8
"""Bars that one ``Z`` may stand for: a bound on what a few characters can ask for."""

DIVISORS = (1, 2, 4, 8, 16, 32, 64)

NOTE = r"(?P<mark>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']{0,9})"
LENGTH = "(?P<{0}times>[0-9]{{0,3}})(?P<{0}slashes>/{{0,4}})(?P<{0}part>(?:(?<=/)[0-9]{{1,3}})?)"
ITEM = re.compile(
    rf"""
    (?P<nothing>[\s`y]+ | %.* | [\\*$!]\s*(?=%|$))        # a line may end with ! or a backslash
    | (?P<inline>\[(?P<name>[A-Za-z]):(?P<value>[^\[\]]*)\])
    | (?P<line>(?P<bar>:{{0,2}}\[?\|[|\]]{{0,3}}(?::{{1,2}}(?!\|))? | ::)(?P<first>[1-9][0-9,-]{{0,7}})?)
    | (?P<ending>\[\s?(?P<second>[1-9][0-9,-]{{0,7}}))
    | (?P<tuplet>\((?P<p>[2-9])(?::(?P<q>[0-9]?)(?::(?P<r>[0-9]?))?)?)
    | (?P<single>(?:{NOTE}|[zx]){LENGTH.format("")})
    | (?P<chord>\[(?P<inner>[^\[\]|:]+)\]{LENGTH.format("chord_")})
    | (?P<rests>[ZX](?P<count>[0-9]{{0,3}}))
    | (?P<tie>-)
    | (?P<broken>>{{1,3}}|<{{1,3}})
    | (?P<dress>"[^"]*" | ![^!|\s]+! | \{{[^{{}}|]*\}} | [().~])
    | (?P<symbol>[H-Wh-w])
    | (?P<stray>[0-9]+|.)
    """,
    re.VERBOSE,
)
INNER = re.compile(
    rf"(?P<single>{NOTE}{LENGTH.format('')})|(?P<tie>-)|(?P<dress>\"[^\"]*\"|![^!\s]+!|[\s().~uvHLMOPSTy])|(?P<stray>.)"
)

DECORATIONS = "HLMOPSTuv"
"""Letters that stand for a decoration; a field ``U:`` makes others so (section 4.16)."""

STRAY = {
    "[": "the chord that begins with [ does not end",
    "]": "] closes nothing",
    "{": "the grace notes that begin with { do not end",
    "}": "} closes nothing",
    '"': 'the text that begins with " does not end',
    "!": "the decoration that begins with ! does not end",
    "&": "voices within a bar (&) are not read",
    ":": "a colon that belongs to no bar line",
    "/": "a length that belongs to no note",
}


class Music(NamedTuple):
    """A tune as it sounds."""

    fields: Mapping[str, str]
    """The first value of each letter in the header."""
    beats: float
    """Quarter notes a minute."""
    bars: tuple[Bar, ...]
    problems: tuple[Problem, ...]
    """What could not be read, in the order of the text; all are of the kind ``parse``."""


def read(text: str) -> Music:
    """Everything in a text that is music, in time linear in its length; nothing is raised.

    The header reaches to the first ``K:``, or to the first line that is no field.
    """
    lines = text.split("\n")
    header = header_lines(lines)
    fields = {line[0]: value_of(line) for line in reversed(header)}
    reader = _Reader(fields)
    blank = 0
    for number, line in enumerate(lines[len(header) :], len(header) + 1):
        if not line.strip():
            blank = blank or number
        elif blank:
            reader.problem(blank, 1, "an empty line ends a tune, and this one goes on")
            blank = 0
        reader.read_line(number, line)
    reader.maker.end(len(lines), len(lines[-1]) + 1)
    problems = tuple(sorted(reader.problems))
    return Music(MappingProxyType(fields), read_beats(fields), tuple(reader.maker.bars), problems)


class _Reader:
    """What holds while a tune is read, and what has been read of it."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.maker = BarMaker(self.problems)
        self.metre: Fraction | None = None
        self.compound = False
        self.key = 0
        self.marks: dict[int, int] = {}
        self.decorations = set(DECORATIONS)
        for letter in "MKU":
            with suppress(ValueError):
                self.hold(letter, fields.get(letter, ""))
        self.unit = default_unit(self.metre)
        with suppress(ValueError):
            self.hold("L", fields.get("L", ""))

    def problem(self, line: int, column: int, reason: str) -> None:
        self.problems.append(Problem(line, column, "parse", reason))

    def hold(self, letter: str, value: str) -> None:
        """A field, from here on.

        Raises:
            ValueError: Its value is not understood.
        """
        if letter == "M":
            self.metre = read_metre(value)
            self.compound = value in COMPOUND  # as it is written: 3/4 is as long as 6/8
        elif letter == "L":
            self.unit = read_unit(value)
        elif letter == "K":
            self.key = read_key(value)
        elif letter == "U":
            self.decorations.add(value[:1])
        elif letter == "X":
            raise ValueError("a second tune begins")

    def read_line(self, line: int, text: str) -> None:
        """A line of music, or a field."""
        if FIELD.match(text):
            self._field(line, 1, text[0], value_of(text))
            return
        for item in ITEM.finditer(text):
            kind, column = item.lastgroup, item.start() + 1
            if kind == "single":
                self._add(line, column, self._pitch(line, column, item), self._length(line, column, item))
            elif kind == "chord":
                self._chord(line, column, item)
            elif kind in ("line", "ending"):
                self.maker.bar_line(line, column, item["bar"] or "", item["first"] or item["second"] or "")
                self.marks = {}
            elif kind == "tuplet":
                self.maker.tuplet(line, column, (item["p"], item["q"] or "", item["r"] or ""), self.compound)
            elif kind == "broken":
                self.maker.breaks(line, column, item["broken"])
            elif kind == "tie":
                self.maker.tie(line, column)
            elif kind == "rests":
                self._rests(line, column, int(item["count"] or 1))
            elif kind == "inline":
                self._field(line, column, item["name"], item["value"].strip())
            elif kind == "stray" or (kind == "symbol" and item[0] not in self.decorations):
                self.problem(line, column, STRAY.get(item[0], f"{item[0][:10]!r} means nothing here"))

    def _field(self, line: int, column: int, letter: str, value: str) -> None:
        try:
            self.hold(letter, value)
        except ValueError as reason:
            self.problem(line, column, str(reason))

    def _chord(self, line: int, column: int, item: re.Match[str]) -> None:
        """A chord, as long as its first note."""
        pitches: list[int] = []
        length = Fraction(0)
        for part in INNER.finditer(item["inner"]):
            at = column + 1 + part.start()
            if part.lastgroup == "single":
                length = length or self._length(line, at, part)
                pitches += self._pitch(line, at, part)
            elif part.lastgroup == "stray":
                self.problem(line, at, f"{part[0]!r} means nothing in a chord")
        if not length:
            self.problem(line, column, "the chord has no note")
            return
        length *= self._length(line, column, item, "chord_") / self.unit
        self._add(line, column, tuple(pitches), length)
        if "-" in item["inner"]:
            self.maker.tie(line, column)

    def _rests(self, line: int, column: int, bars: int) -> None:
        """A rest of whole bars."""
        if not 0 < bars <= MOST_RESTS:
            self.problem(line, column, f"a rest of {bars} bars; 1 to {MOST_RESTS} are read")
            bars = 1
        for i in range(bars):
            if i:
                self.maker.bar_line(line, column, "|", "")
            self._add(line, column, (), self.metre or Fraction(1))

    def _add(self, line: int, column: int, pitches: tuple[int, ...], length: Fraction) -> None:
        note = Note(Fraction(0), length, pitches, False, line, column)
        self.maker.add(line, column, note, self.metre, self.key)

    def _pitch(self, line: int, column: int, item: re.Match[str]) -> tuple[int, ...]:
        """The MIDI number of a note; a rest has none, nor has what is too high or too low."""
        if not item["letter"]:
            return ()
        letters = place(item["letter"], item["octave"])
        if item["mark"]:
            self.marks[letters % 7] = ACCIDENTALS[item["mark"]]
        altered = self.marks.get(letters % 7, alteration(letters, self.key))
        pitch = MIDDLE_C + 12 * (letters // 7) + SEMITONES[letters % 7] + altered
        if not 0 <= pitch <= 127:
            self.problem(line, column, f"{item['letter'] + item['octave']!r} is too high or too low")
            return ()
        return (pitch,)

    def _length(self, line: int, column: int, item: re.Match[str], prefix: str = "") -> Fraction:
        """A length as written, before tuplets and broken rhythm."""
        times, part = int(item[f"{prefix}times"] or 1), item[f"{prefix}part"]
        divisor = int(part) if part else 2 ** len(item[f"{prefix}slashes"])
        if not times or divisor not in DIVISORS:
            self.problem(line, column, f"no note has the length {times}/{divisor}")
            return self.unit
        return _scaled(self.unit, times, divisor)


@lru_cache(256)
def _scaled(unit: Fraction, times: int, divisor: int) -> Fraction:
    """Remembered: a tune has few lengths, and fractions are slow."""
    return unit * times / divisor

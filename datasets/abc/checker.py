"""Whether a tune is valid: what is wrong with it, where, in words.

Sources: the ABC music standard 2.1 (December 2011), sections 2.2.1 and 3 (the header), 4.8 (bar lines). That bars
add up to the metre, save where a section opens or closes, is common notation; the standard leaves it to the programs.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from math import lcm

from .header import header_lines, read_key, read_metre, read_unit, value_of
from .notation import SEMITONES, alteration
from .reader import Bar, Music, Problem, read

REQUIRED = ("X", "T", "M", "L", "K")
"""The fields of a complete header."""

NAMES = {"header": "header", "parse": "parses", "bar": "bars", "end": "ends", "key": "in_key"}
"""The kinds of problems, and what is said of the tunes that have none of it."""

MEANINGS = {"X": "its number", "T": "its title", "M": "the metre", "L": "the unit note length", "K": "the key"}

SCALES = {
    sharps: {(semitones + alteration(letter, sharps)) % 12 for letter, semitones in enumerate(SEMITONES)}
    for sharps in range(-7, 8)
}
"""Pitch classes of the key signatures."""

FEWEST = 2
"""Bars of a tune."""

FOREIGN = Fraction(1, 10)
"""Of the notes, how many may be foreign to the key; one human tune in a hundred has more, two in some collections."""


def check(text: str, required: Collection[str] = REQUIRED) -> tuple[Problem, ...]:
    """What is wrong with a tune; nothing, where it is valid.

    Args:
        text: Anything.
        required: Letters of the fields that the header must have.

    Returns:
        In the order of the text. By kind: ``header``, a field is missing, out of its place or not understood;
        ``parse``, signs that mean nothing or are left open; ``bar``, a bar that is longer than the metre, or shorter
        where no section opens or closes, or fewer than two bars; ``end``, no bar line at the end, a repeat left open;
        ``key``, more than a tenth of the notes are foreign to the key.
    """
    music = read(text)
    lines = text.split("\n")
    end = (len(lines), len(lines[-1]) + 1)
    found = [*music.problems, *_bars(music, end), *_end(music.bars, end), *_key(music.bars)]
    return tuple(sorted([*_header(lines, required), *found]))


def shares(texts: Sequence[str], required: Collection[str]) -> dict[str, float]:
    """Of many tunes, the share without each kind of problem, and the share of those that are ``valid``."""
    found = [{problem.kind for problem in check(text, required)} for text in texts]
    if not found:
        return {}
    right = {name: sum(kind not in kinds for kinds in found) / len(found) for kind, name in NAMES.items()}
    return {**right, "valid": sum(not kinds for kinds in found) / len(found)}


def may_be_short(bars: Sequence[Bar], i: int) -> bool:
    """Whether a section opens or closes at a bar: the tune begins or ends, a bar line beside it is no simple one, or an
    ending begins or ends."""
    bar = bars[i]
    if i in (0, len(bars) - 1) or {*bar.left.split(), *bar.right.split()} != {"|"}:
        return True
    return not bars[i - 1].ending == bar.ending == bars[i + 1].ending


def _header(tune: Sequence[str], required: Collection[str]) -> Iterator[Problem]:
    lines = header_lines(tune)
    letters = [line[0] for line in lines]
    for letter in REQUIRED:
        if letter in required and letter not in letters:
            yield Problem(len(lines) + 1, 1, "header", f"the header has no {letter}:, {MEANINGS[letter]}")
    if "X" in letters[1:]:
        yield Problem(letters.index("X", 1) + 1, 1, "header", "X: stands in the first line, and nowhere else")
    for number, line in enumerate(lines, 1):
        try:
            _read_field(line[0], value_of(line))
        except ValueError as reason:
            yield Problem(number, 3, "header", str(reason))


def _read_field(letter: str, value: str) -> None:
    if letter == "M":
        read_metre(value)
    elif letter == "L":
        read_unit(value)
    elif letter == "K":
        read_key(value)
    elif letter == "X" and not (value.isascii() and value.isdigit()):
        raise ValueError(f"{value[:20]!r} is no number of a tune")


def _bars(music: Music, end: tuple[int, int]) -> Iterator[Problem]:
    if len(music.bars) < FEWEST:
        yield Problem(*end, "bar", f"a tune has {FEWEST} bars at least, and this one has {len(music.bars)}")
    for i, bar in enumerate(music.bars):
        if bar.metre is None or bar.length == bar.metre or (bar.length < bar.metre and may_be_short(music.bars, i)):
            continue
        metre = _named(bar.metre, music.fields.get("M", ""))
        part = lcm(bar.length.denominator, int(metre.partition("/")[2]))
        reason = f"the bar has {bar.length * part}/{part}, and the metre is {metre}"
        yield Problem(bar.line, bar.column, "bar", reason)


def _named(metre: Fraction, written: str) -> str:
    """A metre as the header has it, ``6/8`` and not ``3/4``, if it is that; else in quarters or smaller."""
    if re.fullmatch("[0-9]{1,2}/[1-9][0-9]?", written) and Fraction(written) == metre:
        return written
    part = max(4, metre.denominator)
    return f"{metre * part}/{part}"


def _end(bars: Sequence[Bar], end: tuple[int, int]) -> Iterator[Problem]:
    if bars and not bars[-1].right:
        yield Problem(*end, "end", "the tune ends within a bar: no bar line closes it")
    lines = [(line, (bar.line, bar.column)) for bar in bars for line in bar.left.split()]
    lines += [(line, end) for bar in bars[-1:] for line in bar.right.split()]
    opened: tuple[int, int] | None = None
    for line, place in lines:
        if opened and line.endswith(":") and not line.startswith(":"):
            yield Problem(
                *opened, "end", "the repeat that opens before this note is not closed before the next one opens"
            )
        if line.startswith(":"):
            opened = None
        if line.endswith(":"):
            opened = place
    if opened:
        yield Problem(*opened, "end", "the repeat that opens here is not closed")


def _key(bars: Sequence[Bar]) -> Iterator[Problem]:
    notes = [(note, pitch % 12 in SCALES[bar.key]) for bar in bars for note in bar.notes for pitch in note.pitches]
    foreign = [note for note, within in notes if not within]
    if len(foreign) > FOREIGN * len(notes):
        share = f"{100 * len(foreign) / len(notes):.1f} % of the notes are foreign to the key"
        yield Problem(foreign[0].line, foreign[0].column, "key", f"{share}; up to {float(100 * FOREIGN):g} % is usual")

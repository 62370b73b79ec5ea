"""What the fields of a tune say: metre, unit note length, key and tempo.

Source: the ABC music standard 2.1 (December 2011), sections 3.1.6 to 3.1.8, and 3.1.14.
"""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from .notation import FIELD, signature

METRES = {"C": Fraction(1), "C|": Fraction(1), "none": None, "": None}
POWER = "(?:1|2|4|8|16|32|64|128|256|512)"
METRE = re.compile(rf"\(?(?P<counts>[0-9]{{1,2}}(?:\+[0-9]{{1,2}}){{0,7}})\)?/(?P<part>{POWER})")
UNIT = re.compile(rf"1(?:/(?P<part>{POWER}))?")
TEMPO = re.compile(
    r"(?P<count>[0-9]{1,2})/(?P<part>[1-9][0-9]?) ?= ?(?P<times>[0-9]{1,3})|(?:C=)?(?P<quarters>[0-9]{1,3})"
)

DANCES = {"hornpipe": 160.0, "jig": 170.0, "reel": 200.0, "polka": 130.0, "march": 110.0, "waltz": 140.0, "air": 90.0}
"""Quarter notes a minute, where a tune names its dance and no tempo."""

COMPOUND = ("6/8", "9/8", "12/8")
SLOWEST, FASTEST = 20, 500


def header_lines(lines: Sequence[str]) -> Sequence[str]:
    """Those of the header: to the first ``K:``, or to the first line that is no field."""
    for i, line in enumerate(lines):
        if not FIELD.match(line):
            return lines[:i]
        if line.startswith("K:"):
            return lines[: i + 1]
    return lines


def value_of(line: str) -> str:
    """What a field says after its letter and colon, without a comment."""
    return re.split(r"(?<!\\)%", line[2:], maxsplit=1)[0].strip()


def read_metre(value: str) -> Fraction | None:
    """The length of a bar in whole notes; None is free.

    Raises:
        ValueError: The value of ``M:`` is not understood.
    """
    if value in METRES:
        return METRES[value]
    match = METRE.fullmatch(value)
    length = Fraction(sum(map(int, match["counts"].split("+"))), int(match["part"])) if match else None
    if not length:
        raise ValueError(f"the metre {value[:20]!r} is not understood; it would be like 4/4 or 6/8")
    return length


def read_unit(value: str) -> Fraction:
    """The unit note length in whole notes.

    Raises:
        ValueError: The value of ``L:`` is not understood.
    """
    match = UNIT.fullmatch(value)
    if match is None:
        raise ValueError(f"the unit note length {value[:20]!r} is not understood; it would be like 1/8")
    return Fraction(1, int(match["part"] or 1))


def default_unit(metre: Fraction | None) -> Fraction:
    """The unit note length of a tune that has no ``L:``."""
    return Fraction(1, 16 if metre is not None and metre < Fraction(3, 4) else 8)


def read_key(value: str) -> int:
    """Sharps of a key signature; flats are negative.

    Raises:
        ValueError: The value of ``K:`` is not understood.
    """
    sharps = signature(value)
    if sharps is None:
        raise ValueError(f"the key {value[:20]!r} is not understood; it would be like G, Em or D dorian")
    return sharps


def read_beats(fields: Mapping[str, str]) -> float:
    """Quarter notes a minute: what ``Q:`` says, or what is usual for the dance or the metre.

    A bare number counts quarter notes, as most programs take it.
    """
    tempo = TEMPO.search(fields.get("Q", ""))
    if tempo:
        beat = Fraction(int(tempo["count"]), int(tempo["part"])) if tempo["times"] else Fraction(1, 4)
        beats = float(4 * beat * int(tempo["times"] or tempo["quarters"]))
        if SLOWEST <= beats <= FASTEST:
            return beats
    code = fields.get("Z", "")  # the Irish tunes name the dance there: id:dc-hornpipe-1
    dance = fields.get("R") or (code if code.startswith("id:") else "")
    for name, usual in DANCES.items():
        if name in dance.lower():
            return usual
    metre = fields.get("M")
    return DANCES["jig"] if metre in COMPOUND else DANCES["reel"] if metre == "C|" else 120.0

"""Keys and pitches of ABC: a tune in another key, and its music without its dress.

Source: the ABC music standard 2.1 (December 2011), sections 3.1.14 (keys), 4.1 (pitch), 4.2 (accidentals), 4.14
(decorations), 4.18 (chord symbols) and 4.19 (annotations).
"""

import re
from typing import NamedTuple

LETTERS = "CDEFGAB"
SEMITONES = (0, 2, 4, 5, 7, 9, 11)
FIFTHS = "FCGDAEB"
"""The order in which a key signature sharpens; from the end, in which it flattens."""

MODES = {"lyd": 1, "maj": 0, "ion": 0, "mix": -1, "dor": -2, "min": -3, "aeo": -3, "m": -3, "phr": -4, "loc": -5}
"""Sharps more than the major key on the same tonic. Three letters of a mode are read, in either case."""

ACCIDENTALS = {"__": -2, "_": -1, "=": 0, "^": 1, "^^": 2}
MARKS = {alteration: mark for mark, alteration in ACCIDENTALS.items()}
SIGNS = {"b": -1, "": 0, "#": 1}
ROOTS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

FIELD = re.compile(r"[H-Zh-w+]:|[A-G]:(?![|:])")
"""How a line begins that is no music: ``T:The Blackbird``; music may begin with ``A:|`` or ``z:|``."""

KEY = re.compile(
    r"\s*(?P<tonic>[A-G])(?P<sign>[#b]?)\s*(?i:(?P<mode>maj|min|ion|aeo|mix|dor|phr|lyd|loc|m(?![a-z]))[a-z]*)?"
    r"(?:\s+[a-z]+=\S+|\s+(?:treble|alto|tenor|bass)\S*)*\s*"
)
CHORD = re.compile(
    r"(?P<root>[A-G][#b]?)(?P<kind>(?:maj|min|m|M|dim|aug|sus|add|\+|-|[#b]?\d+)*)(?:/(?P<bass>[A-Ga-g][#b]?))?"
)
TOKEN = re.compile(
    r"""
    \[K:(?P<key>[^\]]*)\] | \[[A-Za-z]:[^\]]*\]          # a field within the line
    | "(?P<text>[^"]*)"                                   # a chord symbol or an annotation
    | ![^!|\s]+! | \+(?:f+|[^+|\s]*[^\d/,'^_=A-Ga-g+|\s][^+|\s]*)\+       # a decoration; +E3A3+ is an old chord
    | %.*
    | (?P<note>(?P<mark>[\^_=]*)(?P<letter>[A-Ga-g])(?P<octave>[,']*))
    | (?P<stray>[\^_="])
    | .
    """,
    re.VERBOSE,
)


class TransposeError(ValueError):
    """Why a tune has no other key: what in it cannot be read, or cannot be written."""


class Shift(NamedTuple):
    """From one key to another: every note moves by equally many letters, and keeps what it is in its key."""

    old: int
    """Sharps of the key signature; flats are negative."""
    new: int
    letters: int
    """Upwards."""


def transpose(tune: str, semitones: int) -> str:
    """A tune in another key: notes, keys and chord symbols moved, all else as it was.

    The new key is the one with the fewest sharps or flats. Accidentals stay what they are to their key signature, so
    those that hold until the bar line follow by themselves.

    Args:
        tune: One tune, from its first line on, its music after its first ``K:``.
        semitones: How far up.

    Raises:
        TransposeError: A key that cannot be read, a triple accidental, an accidental without a note, a quotation mark
            without its end, fields that may hold notes, voices that change key.
    """
    if re.search(r"^[ms]:", tune, re.MULTILINE):
        raise TransposeError("a field m: or s: may hold notes")
    if re.search(r"^V:|\[V:", tune, re.MULTILINE) and len(re.findall(r"^K:|\[K:", tune, re.MULTILINE)) > 1:
        raise TransposeError("which of its voices changes key is not followed")
    shift = None
    lines = []
    for line in tune.split("\n"):
        moved = line
        if line.startswith("K:"):
            value, shift = _move_key(line[2:], semitones)
            moved = f"K:{value}"
        elif shift is not None and not FIELD.match(line):
            moved, shift = _move_line(line, shift, semitones)
        lines.append(moved)
    return "\n".join(lines)


def music(tune: str) -> str:
    """The music of a tune, equal for tunes that differ in title, typography, key, ornaments or accidentals alone.

    Notes are counted in letters from the first one, with their lengths, and all bar lines are alike. Fields, chord
    symbols, decorations, grace notes, slurs and ties are left out.
    """
    parts: list[str] = []
    first = None
    body = tune[re.search(r"^K:.*", tune, re.MULTILINE).end() :]  # type: ignore[union-attr]  # every tune has one
    for line in body.split("\n"):
        if FIELD.match(line):
            continue
        for match in TOKEN.finditer(re.sub(r"\{[^}]*\}", "", line)):
            token = match[0]
            if match.lastgroup == "note":
                letters = place(match["letter"], match["octave"])
                first = letters if first is None else first
                parts.append(f" {letters - first} ")
            elif token in "|:":
                parts.append("|")
            elif token in "0123456789/<>z":
                parts.append(token)
    return re.sub(r"/2(?!\d)", "/", re.sub(r"\|+", "|", "".join(parts))).strip("|")


def signature(key: str) -> int | None:
    """Sharps of a key signature, flats being negative: ``D dorian`` has 0; None where the key is not understood, or
    has more than seven."""
    match = KEY.fullmatch(" ".join(key.split()))  # a long run of spaces would cost its square
    if match is None:
        return None
    sharps = FIFTHS.index(match["tonic"]) - 1 + 7 * SIGNS[match["sign"]] + MODES[(match["mode"] or "maj").lower()]
    return sharps if abs(sharps) <= 7 else None


def place(letter: str, octave: str) -> int:
    """Letters above the C below the treble staff, which ABC writes ``C``."""
    return LETTERS.index(letter.upper()) + 7 * (letter.islower() + octave.count("'") - octave.count(","))


def alteration(place: int, sharps: int) -> int:
    """Semitones by which a key signature alters a letter."""
    return (sharps - FIFTHS.index(LETTERS[place % 7]) + 6) // 7


def _move_line(line: str, shift: Shift, semitones: int) -> tuple[str, Shift]:
    """A line of music in another key, and what holds after it."""
    moved = []
    for match in TOKEN.finditer(line):
        token = match[0]
        if match.lastgroup == "note":
            token = _move_note(match["mark"], place(match["letter"], match["octave"]), shift)
        elif match.lastgroup == "text":
            token = f'"{_move_chords(match["text"], shift)}"'
        elif match.lastgroup == "key":
            value, shift = _move_key(match["key"], semitones)
            token = f"[K:{value}]"
        elif match.lastgroup == "stray":
            alone = "a quotation mark without its end" if token == '"' else f"an accidental {token!r} without a note"
            raise TransposeError(alone)
        moved.append(token)
    return "".join(moved), shift


def _move_key(value: str, semitones: int) -> tuple[str, Shift]:
    """The value of a field ``K:`` in another key, and the way there.

    Up by one fifth is seven semitones, four letters, and one sharp more.
    """
    key, sharps = KEY.fullmatch(value), signature(value)
    if key is None:
        raise TransposeError(f"the key {value.strip()!r} is not understood")
    if sharps is None:
        raise TransposeError(f"the key {value.strip()!r} has more than seven sharps or flats")
    tonic, sign = LETTERS.index(key["tonic"]), SIGNS[key["sign"]]
    ways = (fifths for fifths in range(-13, 14) if (semitones - 7 * fifths) % 12 == 0)
    fifths = min(ways, key=lambda fifths: (abs(sharps + fifths), abs(fifths)))
    shift = Shift(sharps, sharps + fifths, 4 * fifths + 7 * ((semitones - 7 * fifths) // 12))
    root = _move_root(tonic, sign, shift)
    return value[: key.start("tonic")] + root + value[key.end("sign") :], shift


def _move_note(mark: str, place: int, shift: Shift) -> str:
    moved = place + shift.letters
    if mark:
        if mark not in ACCIDENTALS:
            raise TransposeError(f"an accidental {mark!r}")
        altered = ACCIDENTALS[mark] - alteration(place, shift.old) + alteration(moved, shift.new)
        if altered not in MARKS:
            raise TransposeError("a note would need a triple accidental")
        mark = MARKS[altered]
    octave, letter = divmod(moved, 7)
    name = LETTERS[letter].lower() + "'" * (octave - 1) if octave > 0 else LETTERS[letter] + "," * -octave
    return mark + name


def _move_chords(text: str, shift: Shift) -> str:
    """What stands between quotation marks: ``G``, ``Am7/E``, ``G(Em)`` moved, and any other text left alone."""
    parts = re.split(r"([\s()]+)", text)
    if not all(CHORD.fullmatch(part) for part in parts[::2] if part):
        return text
    return "".join([CHORD.sub(lambda chord: _move_chord(chord, shift), part) for part in parts])


def _move_chord(chord: re.Match[str], shift: Shift) -> str:
    bass = chord["bass"]
    return _move_name(chord["root"], shift) + chord["kind"] + (f"/{_move_name(bass, shift)}" if bass else "")


def _move_name(name: str, shift: Shift) -> str:
    root = _move_root(LETTERS.index(name[0].upper()), SIGNS[name[1:]], shift)
    return root.lower() if name[0].islower() else root


def _move_root(letter: int, sign: int, shift: Shift) -> str:
    """A tonic or the root of a chord; one that would need a double accidental gets its plain name."""
    moved = letter + shift.letters
    altered = sign + alteration(moved, shift.new) - alteration(letter, shift.old)
    if abs(altered) > 1:
        return ROOTS[(SEMITONES[moved % 7] + altered) % 12]
    return LETTERS[moved % 7] + {-1: "b", 0: "", 1: "#"}[altered]

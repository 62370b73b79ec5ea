"""Tunes out of ABC files: where each begins and ends, and what was mended on the way.

Source: the ABC music standard 2.1, section 2.2. A tune begins with its line ``X:``, whatever stands before it, and ends
with the first blank line after music.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...data import files
from .notation import FIELD

MENDED = (
    (r"\s*(?<!\\)%.*", "", "a comment or directive was left out"),
    (r"=20$", "", "'=20' at the end, a space as mail writes it, was left out"),
    (r"\t+", " ", "a tab is now a space"),
    (r"=3D", "=", "'=3D', an equals sign as mail writes it, is now '='"),
    (r"(?:^|(?<=\|) )(M: ?(?:\d+/\d+|C\|?)) +(?=\S.*\|)", r"\n\1\n", "music on a line M: has a line of its own now"),
)
"""A pattern within a line, what takes its place, and how it is told."""


class Tune(NamedTuple):
    """A tune and where it stands."""

    file: str
    line: int
    """That of its ``X:``."""
    text: str
    """Its lines from ``X:`` on, without spaces at their ends, comments, blank lines, and a final line feed."""


def read_tunes(file: str, encoding: str, notes: list[str]) -> Iterator[Tune]:
    """The tunes of a file, in its order; those that lack a key or music are left out.

    Args:
        file: One of those that ``files.find`` gives.
        encoding: Its encoding.
        notes: What was mended or left out is appended, while the tunes are read.

    Raises:
        UserError: A file that cannot be read, or bytes that do not decode.
    """
    own: list[tuple[int, str]] = []
    for number, line in _lines(file, encoding, notes):
        if line.startswith("X:"):
            yield from _tune(file, own, notes)
            own = []
        own.append((number, line))
    yield from _tune(file, own, notes)


def without(tune: str, letters: frozenset[str]) -> str:
    """A tune without the fields of some letters, wherever they stand as lines, and without what continues them."""
    kept = []
    dropped = False
    for line in tune.split("\n"):
        if not line.startswith("+:"):
            dropped = FIELD.match(line) is not None and line[0] in letters
        if not dropped:
            kept.append(line)
    return "\n".join(kept)


def _lines(file: str, encoding: str, notes: list[str]) -> Iterator[tuple[int, str]]:
    """A file's lines, each mended by itself, without spaces at their ends. A line that mail cut in two is one again."""
    held = ""
    for number, piece in files.lines(file, encoding):
        line, held = held + piece.strip(), ""
        if line.endswith("=") and not FIELD.match(line):
            notes.append(f"{file}, line {number}: '=' at the end, where mail cut the line: joined to the next one")
            held = line[:-1]
            continue
        mended = line
        for pattern, replacement, what in MENDED:
            mended, times = re.subn(pattern, replacement, mended)
            if times:
                notes.append(f"{file}, line {number}: {what}")
        if mended or not line:
            yield from ((number, part.strip()) for part in mended.removeprefix("\n").split("\n"))
    if held:
        yield number, held.strip()


def _tune(file: str, numbered: list[tuple[int, str]], notes: list[str]) -> Iterator[Tune]:
    """The tune in the lines from one ``X:`` to the next, if there is one."""
    kept: list[str] = []
    outside: list[int] = []
    blank = early = 0
    keyed = music = False
    for number, line in numbered:
        if not line:
            blank = number
        elif (blank and music) or not numbered[0][1].startswith("X:"):
            outside.append(number)
        else:
            if blank:
                notes.append(f"{file}, line {blank}: a blank line before the music was left out")
                blank = 0
            kept.append(line)
            keyed = keyed or line.startswith("K:")
            if not FIELD.match(line):
                music = music or keyed
                early = early or (0 if keyed else number)
    if outside:
        notes.append(f"{file}, line {outside[0]}: text outside tunes was left out, lines: {len(outside)}")
    if not kept:
        return
    begin = numbered[0][0]
    if not keyed or early or not music:
        wrong = "has no line K:" if not keyed else "has text before its K:" if early else "has no music"
        notes.append(f"{file}, line {early if keyed and early else begin}: the tune {wrong}, and was left out")
    else:
        yield Tune(file, begin, "\n".join(kept))

"""Notes, and how they make bars.

Source: the ABC music standard 2.1 (December 2011), sections 4.4 (broken rhythm), 4.8 and 4.9 (bar lines, endings), 4.11
(ties) and 4.13 (tuplets).
"""

from fractions import Fraction
from typing import NamedTuple

TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""Notes, and in the time of how many; any other number is in the time of two, or of three in a compound metre."""


class Note(NamedTuple):
    """A note, a chord or a rest."""

    start: Fraction
    """From the start of its bar, in whole notes."""
    length: Fraction
    """In whole notes, after tuplets and broken rhythm."""
    pitches: tuple[int, ...]
    """MIDI numbers, 60 the C that ABC writes ``C``, with the accidentals of key and bar; none: a rest."""
    tied: bool
    """To the note that follows."""
    line: int
    """Of its first character in the text, from 1, as the column is."""
    column: int


class Bar(NamedTuple):
    """The notes from one bar line, or the beginning of an ending, to the next; it has one at least."""

    notes: tuple[Note, ...]
    length: Fraction
    """The sum of its notes, in whole notes."""
    metre: Fraction | None
    """In whole notes; None: free."""
    left: str
    """The bar lines as written, ``|:``; where several stand with no note between them, a space parts them."""
    right: str
    ending: str
    """``1``, ``2`` in every bar of a first or second ending, which a repeat or a double bar line ends."""
    line: int
    """Of its first note, as the column is."""
    column: int
    key: int
    """Sharps of the key signature at its start; flats are negative."""


class Problem(NamedTuple):
    """What is wrong, and where."""

    line: int
    column: int
    kind: str
    """``header``, ``parse``, ``bar``, ``end`` or ``key``."""
    reason: str


class BarMaker:
    """Puts notes together to bars, as they are read. What goes wrong is added to a list of problems.

    Every method takes the line and the column of what is read.
    """

    def __init__(self, problems: list[Problem]) -> None:
        self.bars: list[Bar] = []
        self._problems = problems
        self._open: Bar | None = None
        self._notes: list[Note] = []
        self._lines: list[str] = []
        self._ending = ""
        self._tuplet = (Fraction(1), 0)
        self._broken: Fraction | None = None

    def add(self, line: int, column: int, note: Note, metre: Fraction | None, key: int) -> None:
        """A note of the length that is written; the metre and the key count where it opens a bar."""
        if self._open is None:
            left = self._settle()
            self._open = Bar((), Fraction(0), metre, left, "", self._ending, line, column, key)
            self._lines = []
        scale, more = self._tuplet
        if more:
            self._tuplet = scale, more - 1
            note = note._replace(length=note.length * scale)
        if self._broken:
            note, self._broken = note._replace(length=note.length * self._broken), None
        self._notes.append(note)

    def tie(self, line: int, column: int) -> None:
        """The last note is tied to the next."""
        if self._notes and self._notes[-1].pitches:
            self._notes[-1] = self._notes[-1]._replace(tied=True)
        else:
            self._wrong(line, column, "a tie (-) that follows no note")

    def breaks(self, line: int, column: int, sign: str) -> None:
        """``a>b``: the first note longer by half, the second shorter by as much; ``>>`` by three quarters."""
        if not self._notes or self._broken:
            self._wrong(line, column, f"{sign} stands between no two notes")
            return
        short = Fraction(1, 2 ** len(sign))
        first, self._broken = (2 - short, short) if sign[0] == ">" else (short, 2 - short)
        self._notes[-1] = self._notes[-1]._replace(length=self._notes[-1].length * first)

    def tuplet(self, line: int, column: int, numbers: tuple[str, str, str], compound: bool) -> None:
        """``(p:q:r``: p notes in the time of q, for the next r notes; q and r may be empty."""
        notes = int(numbers[0])
        time = int(numbers[1] or TUPLETS.get(notes, 3 if compound else 2))
        count = int(numbers[2] or notes)
        if self._tuplet[1]:
            self._wrong(line, column, f"a tuplet begins before the last one has its notes, {self._tuplet[1]} more")
        if not time or not count:
            self._wrong(line, column, "a tuplet of no notes, or in no time")
        else:
            self._tuplet = Fraction(time, notes), count

    def bar_line(self, line: int, column: int, drawn: str, ending: str) -> None:
        """A bar line, the number of an ending, or both."""
        self._close(line, column)
        if drawn:
            self._lines.append(drawn)
            if drawn != "|":
                self._ending = ""
        self._ending = ending or self._ending

    def end(self, line: int, column: int) -> None:
        """The end of the text."""
        self._close(line, column)
        self._settle()

    def _close(self, line: int, column: int) -> None:
        if self._tuplet[1]:
            self._wrong(line, column, f"a tuplet has too few notes, {self._tuplet[1]} more")
        if self._broken:
            self._wrong(line, column, "> or < before it stands between no two notes")
        self._tuplet, self._broken = (Fraction(1), 0), None
        if self._open is not None:
            start = Fraction(0)
            for i, note in enumerate(self._notes):
                self._notes[i] = note._replace(start=start)
                start += note.length
            self.bars.append(self._open._replace(notes=tuple(self._notes), length=start))
            self._open, self._notes = None, []

    def _settle(self) -> str:
        """The last bar has all of its bar lines, once a note or the end follows them."""
        lines = " ".join(self._lines)
        if self.bars:
            self.bars[-1] = self.bars[-1]._replace(right=lines)
        return lines

    def _wrong(self, line: int, column: int, reason: str) -> None:
        self._problems.append(Problem(line, column, "parse", reason))

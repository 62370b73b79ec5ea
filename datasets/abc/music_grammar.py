"""What may follow in the music of a tune, a character at a time, so that every bar adds up.

What can be written is a part of the ABC music standard 2.1 (December 2011): notes and rests of up to 16 units, or of
odd halves and quarters (sections 4.1 to 4.5), broken rhythm of one step between notes of one length (4.4), bar lines,
repeats, first and second endings (4.8, 4.9), ties, slurs (4.11), grace notes (4.12), triplets (4.13), decorations of
one character (4.14), chord symbols and other quoted text (4.18, 4.19), the ends of lines (6.1), and fields K, M and L
on lines of their own between two bars. Chords, other tuplets, voices, and fields within a line are not among it.
"""

from collections.abc import Collection, Mapping
from math import inf

from .header_grammar import shortest
from .music_state import (
    INSIDE,
    LETTERS,
    NOTE,
    SECTION,
    Music,
    barred,
    inside,
    is_over,
    left,
    named,
    new_line,
    numbered,
    played,
    slurred,
    triplet,
)
from .notation import ACCIDENTALS

NAMES = ("C", "C,", "C,,", "c", "c'", "c''", "z")
"""Notes and the rest. Which letter it is makes no difference to what may follow."""

LENGTHS = {"": 4, "/": 2, "/2": 2, "//": 1, "/4": 1}
"""Quarters of the unit, by how a length ends; a number may stand before it."""

BARS = ("|", "||", "|]", ":|", ":||", "|:", "::")
DECORATIONS = frozenset(".~THuv")
SIGNS = DECORATIONS | frozenset("^_=({")
"""What stands before a note."""

KEPT = 100_000
"""States of which is remembered how far from an end they are, about 0.4 kB each."""


class MusicGrammar:
    """What may follow in music.

    Args:
        tokens: The characters there are.
        fields: What the fields K, M and L may be, ``M:6/8``, and the ticks of those of M and L.
    """

    def __init__(self, tokens: Collection[str], fields: Mapping[str, int]) -> None:
        self._tokens, self._ticks = frozenset(tokens), fields
        self._fields = shortest(fields)
        self._numbers = self._tokens.issuperset("[12")
        bars = [bar for bar in BARS if self._tokens.issuperset(bar)]
        self._bars = {bar[:end]: [b for b in bars if b.startswith(bar[:end])] for bar in bars for end in (1, 2, 3)}
        self._notes = {note: quarters for note, quarters in _notes().items() if self._tokens.issuperset(note[1:])}
        self._grain = min(self._notes.values())
        self._lengths: dict[str, dict[int, int]] = {}
        for note, quarters in self._notes.items():
            for end in range(1, len(note) + 1):
                lacks = self._lengths.setdefault(note[:end], {})
                lacks[quarters] = min(lacks.get(quarters, len(note)), len(note) - end)
        self._name = "C" if any(letter.isupper() for letter in LETTERS & self._tokens) else "c"
        self._needed: dict[Music, float] = {}

    def follow(self, state: Music, token: str) -> Music:
        """The state after one more character.

        Raises:
            ValueError: It may not follow; the message says why.
        """
        if len(self._needed) > KEPT:
            self._needed.clear()
        after = self._follow(state, token)
        if after is None:
            raise ValueError(f"{token!r} may not stand there")
        if self.needed(after) == inf:
            raise ValueError("a bar would be too short" if token in "|:" else "a bar would be too long")
        return after

    def needed(self, state: Music) -> float:
        """Characters that suffice to end the tune: 0 where it may end, infinite where it never can."""
        if state not in self._needed:
            self._needed[state] = self._count(state)
        return self._needed[state]

    def _count(self, state: Music) -> float:
        """Of what a state may become, the quickest; each way is one that ``follow`` can go."""
        text = state.text
        if text in ("", "!") and is_over(state):
            return 0
        ways: list[tuple[int, Music | None]]
        if text in self._lengths:
            ways = [(lacks, played(state, quarters, self._grain)) for quarters, lacks in self._lengths[text].items()]
        elif text in self._bars:
            ways = [(len(bar) - len(text), barred(state, bar, self._numbers)) for bar in self._bars[text]]
        elif text in self._fields:
            ways = [(self._fields[text] + 1, new_line(state))]
        elif text in INSIDE:
            ways = [(2 if text == "{" else 1, left(state))]
        elif text == "(":
            ways = [(1, triplet(state)), (0, slurred(state) if ")" in self._tokens else None)]
        elif text == "." or text in ACCIDENTALS:
            ways = [(1, named(state, self._name))]
        else:
            ways = self._ways(state)
        return min((lacks + self.needed(after) for lacks, after in ways if after), default=inf)

    def _ways(self, state: Music) -> list[tuple[int, Music | None]]:
        """To go on where nothing is being written, and how many characters each takes."""
        if state.due == SECTION:
            return [(2, numbered(state)), (2, barred(state, "|:", self._numbers))]
        if state.ending == 2:
            return [(2, numbered(state))]
        if state.empty or state.tuplet:
            return [(1, named(state, self._name))]
        shut = state._replace(slurs=0)
        after = barred(shut, "|", self._numbers)
        if after and is_over(after):
            return [(state.slurs + 1, after)]
        return [(state.slurs + 2, barred(shut, ":|", self._numbers))]

    def _follow(self, state: Music, token: str) -> Music | None:
        """The state after one more character; None where it means nothing there."""
        text = state.text
        if text in self._fields:
            return self._field(state, token)
        if text in INSIDE:
            return inside(state, token)
        if text == "(":
            slur = slurred(state) if ")" in self._tokens else None
            return triplet(state) if token == "3" else self._begin(slur, token) if slur else None
        if any(text in known and text + token in known for known in (self._lengths, self._bars, ACCIDENTALS)):
            return state._replace(text=text + token)
        if text in ACCIDENTALS:
            return named(state, token) if token in LETTERS else None
        return self._next(state, token)

    def _next(self, state: Music, token: str) -> Music | None:
        """The state after a character that ends what was being written."""
        text, done = state.text, state
        if text in self._lengths:
            if text not in self._notes or not (after := played(state, self._notes[text], self._grain)):
                return None
            done = after
            if token == "-":
                return done if text[0] != "z" else None
            if token in "<>":
                one_time = not state.broken and bool(state.tuplet) == bool(done.tuplet)
                value = self._notes[text] * state.unit // 4
                return done._replace(text=".", broken=value) if one_time else None
        elif text in self._bars:
            if text not in BARS or not (after := barred(state, text, self._numbers)):
                return None
            done = after
            if token in "12" and self._may_number(done):
                return numbered(done) if token == ("2" if done.ending else "1") else None
        return self._begin(done, token)

    def _begin(self, state: Music, token: str) -> Music | None:
        """The state after a character that begins something, or is something by itself."""
        waits = state.text == "."
        if (state.due == SECTION or state.ending == 2) and token not in " |[!\\\n":
            return None
        if token in LETTERS or token in "zx":
            return named(state, token)
        if token in SIGNS:
            text = "." if token in DECORATIONS else token
            return state._replace(text=text) if token != "{" or "}" in self._tokens else None
        if token == " " and state.text != "\n":
            return state._replace(text="") if not waits else state if state.tuplet or state.broken else None
        if token == '"':
            return state._replace(text='".' if waits else token)
        return None if waits else self._between(state, token)

    def _between(self, state: Music, token: str) -> Music | None:
        """The state after what may not stand between a sign and its note."""
        if token in self._bars:
            return state._replace(text=token)
        if token == ")":
            return state._replace(text="", slurs=state.slurs - 1) if state.slurs and not state.empty else None
        if token == "[":
            return state._replace(text=token) if self._may_number(state) else None
        if state.text != "\n":
            return new_line(state) if token == "\n" else state._replace(text=token) if token in "!\\" else None
        return state._replace(text=token) if token in self._fields and state.empty and state.due == NOTE else None

    def _field(self, state: Music, token: str) -> Music | None:
        text = state.text
        if token != "\n":
            return state._replace(text=text + token) if text + token in self._fields else None
        if self._fields[text]:
            return None
        if text[0] == "M":
            state = state._replace(metre=self._ticks[text], rest=self._ticks[text], pickup=0)
        elif text[0] == "L":
            state = state._replace(unit=self._ticks[text])
        return new_line(state)

    def _may_number(self, state: Music) -> bool:
        """Whether the first or second ending may begin."""
        return self._numbers and state.empty and (state.ending == 2 or not (state.ending or state.opens))


def _notes() -> dict[str, int]:
    """What a note can be, without its accidental, and its quarters of the unit."""
    lengths = {
        f"{'' if times == 1 else times}{end}": times * quarters
        for end, quarters in LENGTHS.items()
        for times in range(1, 17)
        if not end or times % 2
    }
    return {name + length: quarters for name in NAMES for length, quarters in lengths.items()}

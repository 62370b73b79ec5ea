"""When each note of a tune sounds: repeats played, ties joined, lengths in seconds.

Source: the ABC music standard 2.1, sections 4.8 (repeats), 4.9 (first and second endings) and 4.11 (ties).
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from .reader import Bar, Music

LONGEST = 600
"""Seconds that are played; a model may write notes of any length."""
MOST = 10_000
"""Notes that are played."""


class Played(NamedTuple):
    """One note as it sounds."""

    start: float
    """Seconds from the start of the tune."""
    seconds: float
    """How long it sounds, above zero."""
    pitch: int
    """MIDI number, 0 to 127; 69 is A4, of 440 Hz."""
    bar: int
    """Which of the tune's bars it begins in, from 0."""


def perform(music: Music) -> tuple[Played, ...]:
    """The notes of a tune in the order in which they begin, and those that begin together from low to high.

    A section between repeat signs is played twice, and a part under a bracket 1 the first time alone. A repeat sign
    without its beginning goes back to the last sign or double bar line. What lies beyond ``LONGEST`` and ``MOST`` is
    left out.
    """
    whole = 240 / music.beats
    played: list[Played] = []
    held: dict[int, int] = {}
    """Of each pitch that is tied over: where it stands in ``played``."""
    now = Fraction(0)
    for number in order(music.bars):
        bar = music.bars[number]
        for note in bar.notes:
            start = now + note.start
            begin = float(start) * whole
            if begin >= LONGEST or len(played) >= MOST:
                return tuple(played)
            seconds = min(float(note.length) * whole, LONGEST)
            tied, held = held, {}
            for pitch in sorted({pitch for pitch in note.pitches if 0 <= pitch <= 127}) if seconds else ():
                place = tied.get(pitch)
                if place is None:
                    place = len(played)
                    played.append(Played(begin, seconds, pitch, number))
                else:
                    played[place] = played[place]._replace(seconds=played[place].seconds + seconds)
                if note.tied:
                    held[pitch] = place
        now += bar.length
    return tuple(played)


def order(bars: Sequence[Bar]) -> Iterator[int]:
    """The numbers of the bars in the order in which they are played; each at most as often as an ending can say."""
    begin, time, at = 0, 1, 0
    """Where the section that is being played begins, for which time it is played, and which bar comes now."""
    while at < len(bars):
        bar = bars[at]
        if at != begin and _opens(bar.left):
            begin, time = at, 1
        if time > 1 and bar.ending and time not in _times(bar.ending):
            at += 1
            continue
        yield at
        following = bars[at + 1].ending if at + 1 < len(bars) else ""
        if _closes(bar.right) and (time == 1 or time + 1 in _times(bar.ending) | _times(following)):
            at, time = begin, time + 1
            continue
        at += 1
        parted = _parts(bar.right) and not _opens(bars[begin].left)
        if parted or _closes(bar.right) or (time > 1 and bar.ending and not following):
            begin, time = at, 1


def _opens(line: str) -> bool:
    return any(part.endswith(":") for part in line.split())


def _closes(line: str) -> bool:
    return any(part.startswith(":") for part in line.split())


def _parts(line: str) -> bool:
    """Whether it is a double bar line, thin or thick."""
    return any("||" in part or "|]" in part or "[|" in part for part in line.split())


def _times(ending: str) -> set[int]:
    """For which times an ending is: ``1``, ``1,3``, ``1-3``."""
    times: set[int] = set()
    for first, last in re.findall(r"([1-9])(?:-([1-9]))?", ending):
        times.update(range(int(first), int(last or first) + 1))
    return times

"""A tune as a file that any music program opens.

Source: the Standard MIDI Files 1.0 specification (RP-001, MIDI Manufacturers Association): header and track chunks,
quantities of variable length, the meta events tempo and end of track; MIDI 1.0 for the messages of a channel.
"""

from collections.abc import Sequence

from .performance import Played

QUARTER = 480
"""Ticks a quarter note: a multiple of those of a triplet and of a dotted 32nd."""
PROGRAM = 46
"""Orchestral harp in General MIDI, from 0: it is plucked, and Irish."""
VELOCITY = 80

PROGRAM_CHANGE, NOTE_ON, NOTE_OFF = 0xC0, 0x90, 0x80
"""On the first channel."""


def to_midi(played: Sequence[Played], beats: float) -> bytes:
    """A Standard MIDI File of format 0: one track, a tempo, a program, the notes.

    Args:
        played: The notes.
        beats: Quarter notes a minute, 4 at the least. The notes sound as they are whatever it is, and with that of the
            tune they fall on the ticks exactly.
    """
    microseconds = round(60e6 / beats)
    ticks_a_second = QUARTER * 1e6 / microseconds
    events = []
    for note in played:
        start = round(note.start * ticks_a_second)
        end = max(round((note.start + note.seconds) * ticks_a_second), start + 1)
        events += [(start, NOTE_ON, note.pitch, VELOCITY), (end, NOTE_OFF, note.pitch, 0)]
    track = bytearray(b"\x00\xff\x51\x03" + microseconds.to_bytes(3, "big") + bytes([0, PROGRAM_CHANGE, PROGRAM]))
    now = 0
    for tick, *message in sorted(events):  # at the same tick a note ends before another begins
        track += _variable(tick - now) + bytes(message)
        now = tick
    track += b"\x00\xff\x2f\x00"
    header = b"".join(number.to_bytes(2, "big") for number in (0, 1, QUARTER))
    return b"MThd" + len(header).to_bytes(4, "big") + header + b"MTrk" + len(track).to_bytes(4, "big") + bytes(track)


def _variable(number: int) -> bytes:
    """Seven bits a byte, the highest first; all but the last have their eighth bit set."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))

"""A small synthesiser: notes to samples, as of a plucked string."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .performance import Played

SAMPLE_RATE = 16_000
"""Hertz: enough for the harmonics of every note up to ``f'``, of 1,397 hertz."""
LONGEST = 30.0
"""Seconds of sound, of a tune that is longer its beginning: it is uncompressed where it is kept."""

HARMONICS = (1.0, 0.45, 0.22, 0.12, 0.06)
"""Amplitudes of one, two, ... times the pitch."""
DECAY = 1.4
"""How fast the first harmonic fades, nepers a second; the n-th fades n times as fast."""
ATTACK, RELEASE = 0.008, 0.06
"""Seconds in which a note comes, and in which it goes once its time is over. Shorter ones click."""
PEAK = 0.8

Array = npt.NDArray[np.float32]


def synthesise(played: Sequence[Played], sample_rate: int = SAMPLE_RATE, longest: float = LONGEST) -> Array:
    """The sound of a tune, as loud as any other at its loudest moment.

    Args:
        played: Its notes.
        sample_rate: Hertz.
        longest: Seconds; what begins later is left out, and what reaches beyond fades at the end.

    Returns:
        (samples,) float32 mono in [-1, 1], empty where there is no note.
    """
    heard = [note for note in played if note.start < longest]
    end = min(max((note.start + note.seconds + RELEASE for note in heard), default=0.0), longest)
    sound = np.zeros(round(end * sample_rate), np.float32)
    if not heard:
        return sound
    tones = {
        pitch: _tone(pitch, max(note.seconds for note in heard if note.pitch == pitch), sample_rate, longest)
        for pitch in {note.pitch for note in heard}
    }
    release = _ramp(RELEASE, sample_rate)[::-1]
    for note in heard:
        first = round(note.start * sample_rate)
        kept = round(min(note.seconds, longest) * sample_rate)
        tone = tones[note.pitch][: kept + len(release)].copy()
        tone[kept:] *= release
        sound[first : first + len(tone)] += tone[: len(sound) - first]
    sound[-len(release) :] *= release[-len(sound) :]  # what is cut off at the end
    loudest = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(PEAK / loudest) if loudest else sound


def _tone(pitch: int, seconds: float, sample_rate: int, longest: float) -> Array:
    """A note that is held for so long, and its release, which has yet to fade: float32.

    The harmonics are the powers of one decaying oscillation. One that the sample rate cannot hold is left out.
    """
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    times = np.arange(round(min(seconds, longest) * sample_rate) + round(RELEASE * sample_rate)) / sample_rate
    first = np.exp((2j * np.pi * frequency - DECAY) * times).astype(np.complex64)
    tone = np.zeros_like(first)
    for amplitude in reversed(HARMONICS[: int(0.45 * sample_rate / frequency)]):
        tone = (tone + np.complex64(amplitude)) * first
    attack = _ramp(ATTACK, sample_rate)[: len(times)]
    sound: Array = tone.imag.copy()
    sound[: len(attack)] *= attack
    return sound


def _ramp(seconds: float, sample_rate: int) -> Array:
    """From 0 to 1, without a corner at either end."""
    samples = round(seconds * sample_rate)
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(samples) / samples)).astype(np.float32)

from itertools import pairwise

import numpy as np
import pytest
from lightseq.datasets.abc.performance import Played, perform
from lightseq.datasets.abc.reader import read
from lightseq.datasets.abc.synthesis import LONGEST, PEAK, RELEASE, SAMPLE_RATE, synthesise
from lightseq.datasets.abc.tunes import Tune


def spectrum(sound: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in hertz, and amplitudes, through a Hann window."""
    size = 2**19
    amplitudes = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    return np.fft.rfftfreq(size, 1 / sample_rate), amplitudes


@pytest.mark.parametrize("sample_rate", [8_000, SAMPLE_RATE, 44_100])
@pytest.mark.parametrize("pitch", [43, 60, 69, 84])
def test_a_note_has_its_pitch_and_its_harmonics(pitch: int, sample_rate: int) -> None:
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    frequencies, amplitudes = spectrum(synthesise([Played(0.0, 1.0, pitch, 0)], sample_rate), sample_rate)
    found = frequencies[amplitudes.argmax()]
    assert abs(1200 * np.log2(found / wanted)) < 2  # cents
    for harmonic in (2, 3):
        near = np.abs(frequencies - harmonic * wanted) < 20
        assert 0.02 < amplitudes[near].max() / amplitudes.max() < 0.8
    between = np.abs(frequencies - 1.5 * wanted) < 20
    assert amplitudes[between].max() < 0.01 * amplitudes.max()


@pytest.mark.parametrize("pitch", [112, 120, 127])
def test_no_harmonic_is_folded_down(pitch: int) -> None:
    sound = synthesise([Played(0.0, 1.0, pitch, 0)], SAMPLE_RATE)
    frequencies, amplitudes = spectrum(sound, SAMPLE_RATE)
    wanted = 440 * 2 ** ((pitch - 69) / 12)
    assert sound.any() == (wanted < 0.45 * SAMPLE_RATE)
    assert amplitudes[np.abs(frequencies - wanted) > 50].max() <= 0.01 * amplitudes.max()


def test_notes_sound_when_they_are_to_and_in_between_is_silence() -> None:
    played = [Played(0.25, 0.25, 69, 0), Played(1.0, 0.5, 76, 0), Played(1.75, 0.25, 57, 0)]
    sound = np.abs(synthesise(played))
    for note in played:
        first, last = round(note.start * SAMPLE_RATE), round((note.start + note.seconds) * SAMPLE_RATE)
        assert sound[first + 100 : first + 800].max() > 0.2
        assert sound[last - 400 : last].max() > 0.1
        assert not sound[max(0, first - 800) : first].any()
        assert not sound[last + round(RELEASE * SAMPLE_RATE) :][:800].any()
    assert len(sound) == round((2.0 + RELEASE) * SAMPLE_RATE)


def test_a_note_decays_as_a_string_does() -> None:
    sound = np.abs(synthesise([Played(0.0, 2.0, 60, 0)]))
    loudness = [sound[i * 4_000 : (i + 1) * 4_000].max() for i in range(8)]
    assert all(later < 0.85 * sooner for sooner, later in pairwise(loudness))
    assert loudness[-1] > 0.01


@pytest.mark.parametrize("longest", [LONGEST, 0.7])
def test_nothing_clicks(longest: float) -> None:
    played = [Played(i * 0.3, 0.3, 45, 0) for i in range(5)]  # 110 hertz, low, so that a jump stands out
    sound = synthesise(played, SAMPLE_RATE, longest)
    assert np.abs(np.diff(sound, prepend=0, append=0)).max() < 0.15
    bend = np.abs(np.diff(sound, 2, prepend=[0, 0], append=[0, 0]))
    held = bend[2_000:4_000].max()
    assert bend.max() < 2.5 * held  # at its beginning and its end a note bends little more than while it sounds


def test_a_chord_is_the_sum_of_its_notes() -> None:
    one, other = (synthesise([Played(0.0, 1.0, pitch, 0)]) for pitch in (60, 67))
    chord = synthesise([Played(0.0, 1.0, 60, 0), Played(0.0, 1.0, 67, 0)])
    plain = [sound / np.abs(spectrum(sound, SAMPLE_RATE)[1]).max() for sound in (one, other)]
    both = sum(plain)
    assert chord == pytest.approx(both * (PEAK / np.abs(both).max()), abs=0.05)


def test_it_is_as_loud_as_it_says_and_no_longer() -> None:
    many = [Played(i * 0.1, 0.4, 60 + i % 20, 0) for i in range(900)]
    for played in (many, many[:1], [Played(0.0, 600.0, 60, 0)], [Played(29.99, 0.5, 60, 0)]):
        sound = synthesise(played)
        assert sound.dtype == np.float32
        assert sound.ndim == 1
        assert len(sound) <= LONGEST * SAMPLE_RATE
        assert np.abs(sound).max() == pytest.approx(PEAK)
        assert sound[-1] == pytest.approx(0, abs=1e-3)
    assert len(synthesise(many)) == LONGEST * SAMPLE_RATE


def test_nothing_is_silence() -> None:
    assert synthesise([]).shape == synthesise([Played(40.0, 1.0, 60, 0)]).shape == (0,)


def test_the_irish_tunes_sound_as_they_are_written(irish: list[Tune]) -> None:
    for tune in irish[::200]:
        played = perform(read(tune.text))
        sound = synthesise(played)
        assert 0.1 < np.sqrt((sound**2).mean()) < 0.4
        for note in played[:40:4]:
            own = sound[round(note.start * SAMPLE_RATE) :][: round(note.seconds * SAMPLE_RATE)]
            frequencies, amplitudes = spectrum(own, SAMPLE_RATE)
            cents = 1200 * np.log2(frequencies[amplitudes.argmax()] / 440) + 6900 - 100 * note.pitch
            assert abs(cents) < 30, tune.text

import pytest
from lightseq.datasets.abc.midi import PROGRAM, to_midi
from lightseq.datasets.abc.performance import Played, perform
from lightseq.datasets.abc.reader import read
from lightseq.datasets.abc.tunes import Tune


def test_the_bytes_are_those_of_the_specification() -> None:
    played = (Played(0.0, 0.5, 60, 0), Played(0.5, 1.0, 72, 0))
    head = "4d546864 00000006 0000 0001 01e0  4d54726b 00000020"
    track = "00 ff5103 07a120  00 c02e  00 903c50  8360 803c00  00 904850  8740 804800  00 ff2f00"
    assert to_midi(played, 120.0) == bytes.fromhex(head + track)


def test_a_long_time_takes_more_bytes() -> None:
    assert bytes.fromhex("83ff00 904550") in to_midi((Played(65408 / 960, 0.1, 69, 0),), 120.0)


@pytest.mark.parametrize("beats", [10.0, 120.0, 177.0, 1_000.0])
def test_another_program_reads_the_same_notes(beats: float) -> None:
    symusic = pytest.importorskip("symusic")
    quarter = 60 / beats
    lengths = (quarter, quarter / 2, quarter / 3, quarter / 8, 4 * quarter)
    played = []
    for i, seconds in enumerate(lengths * 3):
        start = played[-1].start + played[-1].seconds if played else 0.0
        played.append(Played(start, seconds, 127 - 7 * i, 0))
    score = symusic.Score.from_midi(to_midi(played, beats))
    assert score.ticks_per_quarter == 480
    assert [track.program for track in score.tracks] == [PROGRAM]
    assert score.tempos[0].qpm == pytest.approx(beats, rel=1e-4)
    notes = [(note.time, note.duration, note.pitch) for note in score.tracks[0].notes]
    ticks = 480 / quarter
    assert notes == [
        (round(note.start * ticks), round(note.seconds * ticks), note.pitch) for note in played
    ]  # on the ticks, exactly


def test_a_note_that_is_struck_again_sounds_again() -> None:
    symusic = pytest.importorskip("symusic")
    played = [Played(i * 0.25, 0.25, 69, 0) for i in range(5)]
    notes = symusic.Score.from_midi(to_midi(played, 120.0)).tracks[0].notes
    assert [(note.time, note.duration) for note in notes] == [(i * 240, 240) for i in range(5)]


def test_notes_that_sound_together_end_each_in_its_time() -> None:
    symusic = pytest.importorskip("symusic")
    played = [Played(0.0, 1.0, 60, 0), Played(0.0, 0.5, 64, 0), Played(0.25, 0.5, 67, 0)]
    notes = symusic.Score.from_midi(to_midi(played, 120.0)).tracks[0].notes
    assert sorted((note.time, note.duration, note.pitch) for note in notes) == [
        (0, 480, 64),
        (0, 960, 60),
        (240, 480, 67),
    ]


def test_even_the_shortest_note_lasts_a_tick() -> None:
    symusic = pytest.importorskip("symusic")
    notes = symusic.Score.from_midi(to_midi([Played(1.0, 1e-6, 69, 0)], 120.0)).tracks[0].notes
    assert [(note.time, note.duration) for note in notes] == [(960, 1)]


def test_the_irish_tunes_are_read_back(irish: list[Tune]) -> None:
    symusic = pytest.importorskip("symusic")
    for tune in irish[::100]:
        music = read(tune.text)
        played = perform(music)
        score = symusic.Score.from_midi(to_midi(played, music.beats))
        notes = sorted((note.time, note.pitch, note.duration) for note in score.tracks[0].notes)
        ticks = 480 * music.beats / 60
        wanted = sorted((note.start * ticks, note.pitch, note.seconds * ticks) for note in played)
        assert len(notes) == len(wanted) > 50
        for note, other in zip(notes, wanted, strict=True):
            assert note == pytest.approx(other, abs=0.6), tune.text

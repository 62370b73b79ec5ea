import re
from fractions import Fraction

import pytest
from lightseq.datasets.abc import performance
from lightseq.datasets.abc.performance import Played, order, perform
from lightseq.datasets.abc.reader import read
from lightseq.datasets.abc.tunes import Tune

HEADER = "X:1\nT:a\nM:4/4\nL:1/4\nQ:1/4=120\nK:C\n"


def played(music: str) -> list[tuple[float, float, int]]:
    """Start and length in quarter notes, and pitch."""
    return [(note.start * 2, note.seconds * 2, note.pitch) for note in perform(read(HEADER + music))]


def letters(music: str) -> str:
    """What is heard, a letter a note."""
    names = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G", 69: "A", 71: "B", 72: "c"}
    return "".join(names[pitch] for _, _, pitch in played(music))


def test_a_note_is_where_and_as_long_as_it_says() -> None:
    assert perform(read(f"{HEADER}A2 z B/ c/|^F|")) == (
        Played(0.0, 1.0, 69, 0),
        Played(1.5, 0.25, 71, 0),
        Played(1.75, 0.25, 72, 0),
        Played(2.0, 0.5, 66, 1),
    )


def test_a_chord_begins_at_once_and_has_each_pitch_once() -> None:
    assert played("[EGCG]2 D|") == [(0, 2, 60), (0, 2, 64), (0, 2, 67), (2, 1, 62)]


def test_a_bar_that_is_too_long_or_too_short_is_played_as_it_is() -> None:
    assert [start for start, _, _ in played("CCCCC|D|E|")] == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("music", "heard"),
    [
        ("C2-C D|", [(0, 3, 60), (3, 1, 62)]),
        ("z3 C-|C2-|C D|", [(3, 4, 60), (7, 1, 62)]),
        ("C-D C|", [(0, 1, 60), (1, 1, 62), (2, 1, 60)]),  # a slur, then
        ("C-z C|", [(0, 1, 60), (2, 1, 60)]),
        ("[CE]-[CG] C|", [(0, 2, 60), (0, 1, 64), (1, 1, 67), (2, 1, 60)]),
        ("C C|", [(0, 1, 60), (1, 1, 60)]),
        ("|:C3 D-:|", [(0, 3, 60), (3, 1, 62), (4, 3, 60), (7, 1, 62)]),
    ],
)
def test_ties_are_joined(music: str, heard: list[tuple[float, float, int]]) -> None:
    assert played(music) == heard


@pytest.mark.parametrize(
    ("music", "heard"),
    [
        ("C|D|E|]", "CDE"),
        ("C|D:|E|]", "CDCDE"),
        ("C|:D|E:|F|]", "CDEDEF"),
        ("|:C:|:D:|", "CCDD"),
        ("C::D:|", "CCDD"),
        ("C:|D:|E|]", "CCDDE"),  # back to the last sign
        ("C||D:|", "CDD"),  # back to the last double bar
        ("C|]D:|", "CDD"),
        ("|:C||D:|", "CDCD"),  # unless a sign opened before it
        ("|:C|1 D:|2 E|]F:|", "CDCEFF"),
        ("|:C|[1 D|E:|[2 F|G||A|]", "CDECFGA"),
        ("C|1 D:|2 E|:F:|", "CDCEFF"),
        ("|:C|1 D:|2 E:|F|]", "CDCEF"),  # a sign after the second ending, which is played once
        ("|:C|1 D:|2 E:|3 F:|4 G|]", "CDCECFCG"),
        ("|:C|1,3 D:|2 E|]", "CDCE"),
        ("|:C|1-3 D:|4 E|]", "CDCDCDCE"),
        ("|:C|1 D:|", "CDC"),
        ("|:C|D", "CD"),
        ("|2 C|1 D|]", "CD"),
        ("|:C|:D:|", "CDD"),
    ],
)
def test_repeats_are_played(music: str, heard: str) -> None:
    assert letters(music) == heard


def test_each_note_says_its_bar() -> None:
    assert [note.bar for note in perform(read(f"{HEADER}|:CC|1 D:|2 E|]"))] == [0, 0, 1, 0, 0, 2]


def test_the_tempo_is_that_of_the_tune() -> None:
    slow, fast = (perform(read(f"L:1/8\nQ:1/4={beats}\nK:C\nC2 D4|")) for beats in (60, 240))
    assert slow == (Played(0.0, 1.0, 60, 0), Played(1.0, 2.0, 62, 0))
    assert fast == (Played(0.0, 0.25, 60, 0), Played(0.25, 0.5, 62, 0))


def test_what_is_played_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    music = read(f"{HEADER}C999999|D|E")
    longest = Fraction(10_000)
    music = music._replace(bars=(music.bars[0]._replace(length=longest), *music.bars[1:]))
    assert [note.pitch for note in perform(music)] == [60]
    assert perform(music)[0].seconds <= performance.LONGEST
    monkeypatch.setattr(performance, "MOST", 7)
    assert len(perform(read(HEADER + "C|" * 20))) == 7
    endless = read(HEADER + "|:C|1-9 D:|" * 300)
    assert len(list(order(endless.bars))) == 300 * 2 * 9
    assert len(perform(endless)) == 7


def test_nothing_is_played_of_nothing() -> None:
    assert perform(read("")) == perform(read(f"{HEADER}z4|Z|")) == ()


UNOPENED = re.compile(r"(\[1|\|\||\|\]|\[\|)(?s:.*):\|")
"""A repeat that begins at a double bar line or an ending, by section 4.8 of the standard. abc2midi goes on to the last
sign, or to the beginning of the tune, and warns."""


def test_another_program_plays_the_same(irish: list[Tune], capfd: pytest.CaptureFixture[str]) -> None:
    symusic = pytest.importorskip("symusic")
    compared = 0
    for tune in irish[::8]:
        if UNOPENED.search(tune.text):
            continue
        score = symusic.Score.from_abc(f"{tune.text}\n")
        notes = [note for track in score.tracks for note in track.notes]
        theirs = sorted((note.time, note.time + note.duration, note.pitch) for note in notes)
        music = read(tune.text)
        ticks = score.ticks_per_quarter * music.beats / 60
        ours = sorted((note.start * ticks, (note.start + note.seconds) * ticks, note.pitch) for note in perform(music))
        assert [pitch for _, _, pitch in ours] == [pitch for _, _, pitch in theirs], tune.text
        for (start, end, _), (other_start, other_end, _) in zip(ours, theirs, strict=True):
            assert abs(start - other_start) <= 2, tune.text  # it begins a tick late
            assert abs(end - other_end) <= 2, tune.text
        compared += 1
    assert compared > 80
    capfd.readouterr()  # it warns on the terminal

import random
import re
from fractions import Fraction
from importlib.util import find_spec

import pytest
from lightseq.datasets.abc.reader import Music, read
from lightseq.datasets.abc.tunes import Tune

needs_symusic = pytest.mark.skipif(find_spec("symusic") is None, reason="symusic is not installed")

HEADER = "X:1\nT:One\nM:4/4\nL:1/8\nK:C\n"
EIGHTH = Fraction(1, 8)

MADE = f"""X: 7
T:All that is understood
R:jig
M:6/8
L:1/8
Q:3/8=100
K:D mixolydian % one sharp
|:"Em7"(A.B)~c {{de}}d>e!trill!f|[K:G][Ac]2 (3FGA f''/ G,,//B//|1 z3 x3:|2 u[M:2/4]^c_c =c2|[L:1/16]d-d2 e4-|]
{HEADER}Z|]
"""


def only(body: str, header: str = HEADER) -> Music:
    """Music that is understood."""
    music = read(header + body)
    assert music.problems == ()
    return music


def lengths(body: str) -> list[Fraction]:
    """In eighths."""
    return [note.length * 8 for bar in only(body).bars for note in bar.notes]


def pitches(body: str, key: str = "C") -> list[int]:
    found = only(body, f"X:1\nK:{key}\n")
    return [pitch for bar in found.bars for note in bar.notes for pitch in note.pitches]


def test_notes_know_when_and_where() -> None:
    (first, second) = only("C2 z|\n[EG]d'").bars
    assert [(n.start * 8, n.length * 8, n.pitches, n.line, n.column) for n in first.notes] == [
        (0, 2, (60,), 6, 1),
        (2, 1, (), 6, 4),
    ]
    assert [(n.start * 8, n.length * 8, n.pitches, n.line, n.column) for n in second.notes] == [
        (0, 1, (64, 67), 7, 1),
        (1, 1, (86,), 7, 5),
    ]
    assert (first.line, first.column, second.line, second.column) == (6, 1, 7, 1)
    assert (first.length, first.metre, first.left, first.right, second.left, second.right) == (
        3 * EIGHTH,
        1,
        "",
        "|",
        "|",
        "",
    )


def test_a_tune_knows_its_header() -> None:
    music = read("X:3\nT:One % a comment\nT:Two\nM:C|\nL:1/16\nQ:1/8=90\nK:Em\nK:G\nB|")
    assert dict(music.fields) == {"X": "3", "T": "One", "M": "C|", "L": "1/16", "Q": "1/8=90", "K": "Em"}
    assert (music.beats, music.bars[0].key, music.bars[0].length) == (45.0, 1, Fraction(1, 16))


@pytest.mark.parametrize(
    ("header", "unit"),
    [("M:2/4\n", 16), ("M:3/4\n", 8), ("M:6/8\n", 8), ("M:C|\n", 8), ("", 8), ("M:2/4\nL:1/4\n", 4), ("L:1/3\n", 8)],
)
def test_the_unit_note_length_follows_the_metre(header: str, unit: int) -> None:
    assert read(f"X:1\n{header}K:C\nA|").bars[0].length == Fraction(1, unit)


@pytest.mark.parametrize(
    ("header", "beats"),
    [
        ("Q:1/4=75\n", 75),
        ("Q:3/8=100\n", 150),
        ('Q:"Slow" 1/4 = 60\n', 60),
        ("Q:80\n", 80),
        ("R:Hornpipe\n", 160),
        ("Z: id:dc-hornpipe-3\nM:C|\n", 160),
        ("Z:a jig\nM:C|\n", 200),
        ("M:6/8\n", 170),
        ("Q:1/4=0\n", 120),
        ("Q:1/4=999\n", 120),
        ("Q:1/0=100\n", 120),
    ],
)
def test_the_tempo(header: str, beats: float) -> None:
    assert read(f"X:1\n{header}K:C\nA|").beats == beats


@pytest.mark.parametrize(
    ("value", "metre"),
    [("C", 1), ("C|", 1), ("6/8", Fraction(3, 4)), ("2+3/8", Fraction(5, 8)), ("(2+3)/8", Fraction(5, 8))],
)
def test_metres(value: str, metre: Fraction) -> None:
    assert only("A|", f"X:1\nM:{value}\nK:C\n").bars[0].metre == metre


@pytest.mark.parametrize("value", ["none", "", "0/4", "4/0", "4/7", "0/0", "9999999/8", "six"])
def test_metres_that_are_free_or_cannot_be(value: str) -> None:
    assert read(f"X:1\nM:{value}\nK:C\nA|").bars[0].metre is None


@pytest.mark.parametrize(
    ("body", "eighths"),
    [
        ("A A2 A/ A/2 A// A/4 A3/2 A3/ A16", [1, 2, "1/2", "1/2", "1/4", "1/4", "3/2", "3/2", 16]),
        ("A>B c<d", ["3/2", "1/2", "1/2", "3/2"]),
        ("A >> B c<<<d", ["7/4", "1/4", "1/8", "15/8"]),
        ("(3ABc d", ["2/3"] * 3 + [1]),
        ("(2AB(4ABcd", ["3/2"] * 2 + ["3/4"] * 4),
        ("(3A2B/c", ["4/3", "1/3", "2/3"]),
        ("(5ABcde (3:2:2AB c", ["2/5"] * 5 + ["2/3"] * 2 + [1]),
        ("(3::2AB (3:4AAA", ["2/3"] * 2 + ["4/3"] * 3),
        ("(3A>Bz (A)", [1, "1/3", "2/3", 1]),
        ("[AB]2 [A2B4]3 [A/B]", [2, 6, "1/2"]),
        ("{ABc}A2 {/d}B z/ x3 Z", [2, 1, "1/2", 3, 8]),
        ("A[L:1/16]A\nL:1/4\nA", [1, "1/2", 2]),
    ],
)
def test_lengths(body: str, eighths: list[int | str]) -> None:
    assert lengths(body) == [Fraction(length) for length in eighths]


@pytest.mark.parametrize(("metre", "time"), [("6/8", 3), ("9/8", 3), ("12/8", 3), ("3/4", 2), ("3/2", 2), ("4/4", 2)])
def test_a_tuplet_of_five_is_in_the_time_of_three_where_the_metre_is_compound(metre: str, time: int) -> None:
    music = only(f"(5ABcde|\nM:{metre}\n(5ABcde|", f"X:1\nM:{metre}\nL:1/8\nK:C\n")
    assert [bar.length for bar in music.bars] == [time * EIGHTH] * 2


@pytest.mark.parametrize(
    ("body", "key", "found"),
    [
        ("C,, C, C B c b c' d''", "C", [36, 48, 60, 71, 72, 83, 84, 98]),
        ("FCGB fc", "D", [66, 61, 67, 71, 78, 73]),
        ("BEA", "Gm", [70, 63, 69]),
        ("^F =F _F __F ^^F", "G", [66, 65, 64, 63, 67]),
        ("^cc C'c|c", "C", [73, 73, 73, 73, 72]),  # to the bar line, in every octave
        ("=ff|f", "D", [77, 77, 78]),
        ("F[K:C]F\nK:G\nF", "D", [66, 65, 66]),
        ("_BB:|[1 B", "C", [70, 70, 71]),
        ("[^FA]F [1F", "C", [66, 69, 66, 65]),
        ("F", "none of it", [65]),
    ],
)
def test_pitches(body: str, key: str, found: list[int]) -> None:
    music = read(f"X:1\nK:{key}\n{body}")
    assert [pitch for bar in music.bars for note in bar.notes for pitch in note.pitches] == found


def test_bar_lines_and_endings() -> None:
    music = only("[|A|B||c|:d|1 e|f:|[2 g:|A::B:||:c|[1,3 d|[2 e|f|]!\n|:A|]")
    assert [(bar.left, bar.right, bar.ending) for bar in music.bars] == [
        ("[|", "|", ""),
        ("|", "||", ""),
        ("||", "|:", ""),
        ("|:", "|", ""),
        ("|", "|", "1"),
        ("|", ":|", "1"),
        (":|", ":|", "2"),
        (":|", "::", ""),
        ("::", ":||:", ""),
        (":||:", "|", ""),
        ("|", "|", "1,3"),
        ("|", "|", "2"),
        ("|", "|] |:", "2"),
        ("|] |:", "|]", ""),
    ]


@pytest.mark.parametrize(
    ("lines", "right"),
    [("|:|", "| :|"), ("[|]:|", "[|] :|"), ("|\n|", "| |"), (":|\n|:", ":| |:"), ("|:", "|:"), ("|!\n|]", "| |]")],
)
def test_bar_lines_with_no_note_between_them(lines: str, right: str) -> None:
    first, second = only(f"A{lines}B|").bars
    assert first.right == second.left == right


def test_an_ending_within_a_bar_begins_another() -> None:
    first, second = only("AB[1c|").bars
    assert (first.right, second.left, second.ending, len(first.notes)) == ("", "", "1", 2)


def test_ties() -> None:
    music = only("A-A [Ac]-[Ac] [A-c]2|z")
    assert [note.tied for bar in music.bars for note in bar.notes] == [True, False, True, False, True, False]


def test_rests_of_whole_bars() -> None:
    music = only("Z3|A8|", HEADER.replace("4/4", "6/8"))
    assert [(bar.length, len(bar.notes), bar.right) for bar in music.bars[:3]] == [(Fraction(3, 4), 1, "|")] * 3
    assert len(music.bars) == 4


def test_dress_is_no_music() -> None:
    dressed = '"Am7"{Bc}.A!trill!~(B "^slow"Tc)u`d \\\ny$\n%%scale 1\n[r:aside]w:la la\nw:la la\ne % f\nN:fff\ng2*'
    assert lengths(dressed.replace("w:la la\nw", "\nw").replace("\n\n", "\n")) == [1, 1, 1, 1, 1, 2]


def test_a_letter_stands_for_a_decoration_where_the_tune_says_so() -> None:
    assert [problem.column for problem in read(f"{HEADER}kA|").problems] == [1]
    assert read(f"{HEADER}kA|".replace("K:C", "U:k=!accent!\nK:C")).problems == ()


@pytest.mark.parametrize(
    ("body", "place", "reason"),
    [
        ("AB [ce|", (6, 4), "the chord that begins with [ does not end"),
        ("A]", (6, 2), "] closes nothing"),
        ("A {Bc d|", (6, 3), "the grace notes that begin with { do not end"),
        ('A\n"Am B|', (7, 1), 'the text that begins with " does not end'),
        ("A !trill B|", (6, 3), "the decoration that begins with ! does not end"),
        ("A (3BC|", (6, 7), "a tuplet has too few notes, 1 more"),
        ("(3AB\nw:la", (7, 5), "a tuplet has too few notes, 1 more"),
        ("(3A(3ABc|", (6, 4), "a tuplet begins before the last one has its notes, 2 more"),
        ("(3:0ABc|", (6, 1), "a tuplet of no notes, or in no time"),
        ("A>|B", (6, 3), "> or < before it stands between no two notes"),
        (">A", (6, 1), "> stands between no two notes"),
        ("A><B", (6, 3), "< stands between no two notes"),
        ("z-A", (6, 2), "a tie (-) that follows no note"),
        ("A0", (6, 1), "no note has the length 0/1"),
        ("A/0", (6, 1), "no note has the length 1/0"),
        ("A/3", (6, 1), "no note has the length 1/3"),
        ("A1234", (6, 5), "'4' means nothing here"),
        ("Asd", (6, 2), "'s' means nothing here"),
        ("A=|", (6, 2), "'=' means nothing here"),
        ("A&B", (6, 2), "voices within a bar (&) are not read"),
        (":A", (6, 1), "a colon that belongs to no bar line"),
        ("[Az]", (6, 3), "'z' means nothing in a chord"),
        ("[uT]", (6, 1), "the chord has no note"),
        ("C,,,,,,", (6, 1), "'C,,,,,,' is too high or too low"),
        ("Z99", (6, 1), "a rest of 99 bars; 1 to 8 are read"),
        ("[M:4/0]A", (6, 1), "the metre '4/0' is not understood; it would be like 4/4 or 6/8"),
        ("A|\nL:1/5\nB", (7, 1), "the unit note length '1/5' is not understood; it would be like 1/8"),
        ("A|\nK:H\nB", (7, 1), "the key 'H' is not understood; it would be like G, Em or D dorian"),
        ("A|\nX:2\nB", (7, 1), "a second tune begins"),
        ("A|\n\nB|", (7, 1), "an empty line ends a tune, and this one goes on"),
        ("A\ud800\0", (6, 2), "'\\ud800' means nothing here"),
    ],
)
def test_what_is_not_understood(body: str, place: tuple[int, int], reason: str) -> None:
    first = read(HEADER + body).problems[0]
    assert (first.kind, (first.line, first.column), first.reason) == ("parse", place, reason)


def test_problems_stand_in_the_order_of_the_text() -> None:
    problems = read(f"{HEADER}(3As|&\n]").problems
    assert [(problem.line, problem.column) for problem in problems] == [(6, 4), (6, 5), (6, 6), (7, 1)]


@pytest.mark.parametrize("text", ["", "\n", "K:C", "A", "abc|", "X:1\n\nK:C\nA|", "M:3/4\nAac|"])
def test_music_may_lack_a_header(text: str) -> None:
    music = read(text)
    assert sum(len(bar.notes) for bar in music.bars) == len(re.findall("[Aabc]", text))


@pytest.mark.parametrize(
    "piece",
    [
        *"[]{}()\"!:|/,'^_=-><A3zZ% \\\0\ud800y\n",
        *(
            "(3",
            "A>",
            "|:",
            "[1",
            "[A",
            "{A",
            "Z8",
            "Z999",
            "A/64",
            "A|",
            "(9A/64",
            "[M:1/1]A",
            "::",
            "A\n\n",
            "A-",
            "K:",
        ),
    ],
)
def test_endless_text_makes_no_more_than_it_says(piece: str) -> None:
    n = 3000
    music = read(HEADER + piece * n)
    assert len(music.bars) <= 8 * n
    assert len(music.problems) <= 4 * n
    assert all(bar.length.denominator < 10**9 for bar in music.bars)


@pytest.mark.parametrize("piece", ["[K:", "[A", "{A", '"', "!a", "\\ ", "! ", "|[", ":", "y%", "A/"])
def test_what_is_left_open_is_looked_for_once(piece: str) -> None:
    """It takes half a second; were the rest of the line searched at every piece, it would take minutes."""
    assert read(HEADER + piece * 20_000).fields["K"] == "C"


@pytest.mark.parametrize("letter", "XMLQKRZTU")
def test_a_field_may_be_endless(letter: str) -> None:
    for value in ("9" * 100_000, "G" + " " * 100_000 + "x", "1/" * 50_000, "G a=" + "b=" * 50_000 + " "):
        assert len(read(f"{letter}:{value}\nK:C\nA|\n{letter}:{value}\n[{letter}:{value}]").bars) == 1


def test_text_at_random_is_read() -> None:
    rng = random.Random(0)
    signs = "".join(map(chr, range(32, 127))) + "\n\n||\ud800\0\ufeffé"
    for i in range(1000):
        text = list(MADE)
        for _ in range(rng.randint(1, 12)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 3)] = rng.choices(signs if i % 2 else MADE, k=rng.randint(0, 3))
        music = read("".join(text))
        lines = "".join(text).split("\n")
        for place in [*music.problems, *music.bars, *(note for bar in music.bars for note in bar.notes)]:
            assert 1 <= place.column <= len(lines[place.line - 1]) + 1
        for bar in music.bars:
            assert bar.length == sum(note.length for note in bar.notes) > 0
            assert all(0 <= pitch < 128 for note in bar.notes for pitch in note.pitches)


def flat(tune: str) -> str:
    """A tune with its repeats and endings taken out, so that it is played once from beginning to end."""
    header, _, body = tune.partition("\nK:")
    plain = [line if re.match("[A-Z]:", line) else re.sub(r"\[[12]|:?\|[]:]?", "|", line) for line in body.split("\n")]
    return header + re.sub(r"\|\s*\|", "|", "\nK:" + "\n".join(plain))


def sounded(tune: str) -> list[tuple[float, int, float]]:
    """What is heard of it: onset and length in quarters, ties joined."""
    notes: list[tuple[float, int, float]] = []
    time = Fraction(0)
    held: dict[int, int] = {}
    for bar in only(tune, "").bars:
        for note in bar.notes:
            before, held = held, {}
            for pitch in note.pitches:
                at = before.get(pitch, len(notes))
                onset, length = notes[at][::2] if at < len(notes) else (4 * float(time + note.start), 0.0)
                notes[at : at + 1] = [(onset, pitch, length + 4 * float(note.length))]
                held |= {pitch: at} if note.tied else {}
        time += bar.length
    return sorted(notes)


@needs_symusic
def test_the_notes_are_those_of_abc2midi(irish: list[Tune], capfd: pytest.CaptureFixture[str]) -> None:
    """All 804 agree, 91,234 notes; a few are enough here."""
    from symusic import Score

    for tune in [tune.text for tune in irish[::23]]:
        (track,) = Score.from_abc(flat(tune)).tracks
        ticks = sorted((round(note.time / 20), note.pitch, note.duration) for note in track.notes)
        own = sorted((round(onset * 24), pitch, length * 480) for onset, pitch, length in sounded(flat(tune)))
        assert [note[:2] for note in ticks] == [note[:2] for note in own]
        assert all(abs(a[2] - b[2]) < 12 for a, b in zip(ticks, own, strict=True))  # abc2midi lifts a finger early
    capfd.readouterr()

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from lightseq.datasets.abc.notation import TransposeError, music, transpose
from lightseq.datasets.abc.tunes import Tune, read_tunes

MUSIC21 = find_spec("music21")

NATURALS = {"C": 60, "D": 62, "E": 64, "F": 65, "G": 67, "A": 69, "B": 71}
SCALES = {
    "": (0, 2, 4, 5, 7, 9, 11),
    "maj": (0, 2, 4, 5, 7, 9, 11),
    "ion": (0, 2, 4, 5, 7, 9, 11),
    "m": (0, 2, 3, 5, 7, 8, 10),
    "min": (0, 2, 3, 5, 7, 8, 10),
    "aeo": (0, 2, 3, 5, 7, 8, 10),
    "dor": (0, 2, 3, 5, 7, 9, 10),
    "phr": (0, 1, 3, 5, 7, 8, 10),
    "lyd": (0, 2, 4, 6, 7, 9, 11),
    "mix": (0, 2, 4, 5, 7, 9, 10),
    "loc": (0, 1, 3, 5, 6, 8, 10),
}


def signature(value: str) -> dict[str, int]:
    """What a key does to each letter, from its scale: a way of its own to the circle of fifths."""
    tonic, sign, mode = re.fullmatch(r"\s*([A-G])([#b]?)\s*([A-Za-z]*)\s*", value).groups()
    letters = "CDEFGAB"[(start := "CDEFGAB".index(tonic)) :] + "CDEFGAB"[:start]
    root = NATURALS[tonic] + {"#": 1, "b": -1, "": 0}[sign]
    steps = SCALES[mode[:3].lower()]
    return {letter: (root + step - NATURALS[letter] + 6) % 12 - 6 for letter, step in zip(letters, steps, strict=True)}


@cache
def heard(tune: str) -> tuple[list[int], str]:
    """The MIDI number of every note, and all else with ``n`` for a note and ``K`` for a tonic."""
    pitches: list[int] = []
    rest: list[str] = []
    key: dict[str, int] = {}
    for line in tune.splitlines():
        if line.startswith("K:"):
            key, bar = signature(line[2:]), {}
            rest.append(re.sub("[A-G][#b]?", "K", line[2:], count=1))
        elif line[1:2] == ":" and line[0] not in "abcdefgz|:" and line[2:3] != "|":
            rest.append(line)
        else:
            bar = {}
            i = 0
            while i < len(line):
                field = re.match(r"\[([A-Z]):(.*?)\]", line[i:])
                silent = re.match(r'"[^"]*"|![A-Za-z0-9.():]+!', line[i:])
                note = re.match(r"([_=^]*)([a-gA-G])([',]*)", line[i:])
                if field and field[1] == "K":
                    key, bar = signature(field[2]), {}
                    rest.append("K" + re.sub("[A-G][#b]?", "K", field[2], count=1))
                elif note:
                    pitches.append(sounding(note, key, bar))
                    rest.append("n")
                else:
                    rest.append(field[0] if field else silent[0] if silent else line[i])
                    bar = {} if line[i] == "|" else bar
                i += len((field or silent or note or [line[i]])[0])
            rest.append("\n")
    return pitches, "".join(rest)


def sounding(note: re.Match[str], key: dict[str, int], bar: dict[tuple[str, int], int]) -> int:
    mark, letter, ticks = note.groups()
    octave = (letter in "abcdefg") + ticks.count("'") - ticks.count(",")
    if mark:
        bar[letter.upper(), octave] = {"^": 1, "^^": 2, "=": 0, "_": -1, "__": -2}[mark]
    altered = bar.get((letter.upper(), octave), key[letter.upper()])
    return NATURALS[letter.upper()] + 12 * octave + altered


def check(tune: str, semitones: int) -> None:
    moved = transpose(tune, semitones)
    before, frame = heard(tune)
    after, same = heard(moved)
    assert before
    assert after == [pitch + semitones for pitch in before], (tune, semitones)
    assert same == frame, (tune, semitones)
    assert heard(transpose(moved, -semitones))[0] == before, (tune, semitones)


def test_the_reader_itself() -> None:
    assert signature("D Major") == {"C": 1, "D": 0, "E": 0, "F": 1, "G": 0, "A": 0, "B": 0}
    assert signature("Eb") == {"C": 0, "D": 0, "E": -1, "F": 0, "G": 0, "A": -1, "B": -1}
    assert signature("E Dorian") == signature("D")
    assert heard("K:D\nFC=Fff'F|F,^f2")[0] == [66, 61, 65, 78, 90, 65, 66 - 12, 78]


@pytest.mark.parametrize("semitones", [*range(-6, 0), *range(1, 7)])
def test_every_irish_tune_moves_exactly(semitones: int, irish: list[Tune]) -> None:
    """Each by three of the intervals; all by all of them agree, which takes four times as long."""
    assert len(irish) == 804
    for tune in irish[semitones % 4 :: 4]:
        check(tune.text, semitones)


@pytest.mark.skipif(MUSIC21 is None, reason="music21 is not installed")
@pytest.mark.parametrize(("folder", "refused"), [("oneills1850", 2), ("ryansMammoth", 3)])
def test_every_tune_of_the_collections_moves_exactly(folder: str, refused: int) -> None:
    files = sorted(Path(MUSIC21.submodule_search_locations[0], "corpus", folder).glob("*.abc"))
    count = 0
    for number, tune in enumerate(tune for file in files for tune in read_tunes(str(file), "utf-8", [])):
        try:
            transpose(tune.text, 1)
        except TransposeError:
            count += 1
        else:
            if number % 4 == 0:  # all of them are exact, which takes three times as long
                check(tune.text, (-5, -2, 1, 3, 6)[number % 5])
    assert count == refused


def test_another_program_hears_the_same(irish: list[Tune]) -> None:
    symusic = pytest.importorskip("symusic")

    def played(text: str) -> list[tuple[int, int, int]]:
        score = symusic.Score.from_abc(f"{text}\n")
        return sorted((note.time, note.duration, note.pitch) for track in score.tracks for note in track.notes)

    for number, tune in enumerate(irish[::67]):
        semitones = (-5, -2, 3)[number % 3]
        notes = [(time, length, pitch + semitones) for time, length, pitch in played(tune.text)]
        assert len(notes) > 50
        assert played(transpose(tune.text, semitones)) == notes


@pytest.mark.parametrize(
    ("key", "semitones", "moved"),
    [
        ("G", 2, "A"),
        ("D Major", 1, "Eb Major"),
        (" Bb", -3, " G"),
        ("A Dorian", 3, "C Dorian"),
        ("Emin", 1, "Fmin"),
        ("F#m", 5, "Bm"),
        ("Bb Mixolydian", -2, "Ab Mixolydian"),
        ("C PHRYGIAN", -1, "B PHRYGIAN"),
        ("Flyd", 12, "Flyd"),
        ("Bloc", 2, "C#loc"),
        ("C Ionian", 4, "E Ionian"),
        ("A aeolian", -12, "A aeolian"),
        ("EM", 3, "GM"),  # capitals do not matter: E minor
        ("Dmixm", 2, "Emixm"),  # nor what follows three letters
        ("G clef=bass octave=-1", 2, "A clef=bass octave=-1"),
        ("G treble", 2, "A treble"),
    ],
)
def test_keys(key: str, semitones: int, moved: str) -> None:
    assert transpose(f"X:1\nK:{key}\nz4|", semitones) == f"X:1\nK:{moved}\nz4|"


@pytest.mark.parametrize(
    ("body", "semitones", "moved"),
    [
        ("K:G\nGABc ^c=f [Bd]2 {a}g>e|", 2, "K:A\nABcd ^d=g [ce]2 {b}a>f|"),
        ("K:C\nB,,B, C B c b c' c,", -2, "K:Bb\nA,,A, B, A B a b B,"),
        ("K:C\nB,CBcbc'", 12, "K:C\nBcbc'b'c''"),
        ("K:E\n^^f ^f", -1, "K:Eb\n^f =f"),
        ("K:C\n__b ^^f", 2, "K:D\n_c' ^^g"),
        ("K:C\n^f2 F/ z3 x/2 (3abc ~a .b Tc uvG|1 c:|2 c||", 1, "K:Db\n=g2 G/ z3 x/2 (3bc'd ~b .c' Td uvA|1 d:|2 d||"),
        ("K:C\nc !fermata!c +trill+d +f+e +E3A3+ !D.C.!|!", 2, "K:D\nd !fermata!d +trill+e +f+f +F3B3+ !D.C.!|!"),
        ("K:C\nc[K:G]f [M:6/8][L:1/8]c", 2, "K:D\nd[K:A]g [M:6/8][L:1/8]d"),
        ("K:D\nA:|\nK:Dm\nz:|f", 1, "K:Eb\nB:|\nK:Ebm\nz:|g"),
        ("K:C\nc\nw:a-bc\nW:g\nP:A\nT:Ace\n%%MIDI c\nd % egg", 2, "K:D\nd\nw:a-bc\nW:g\nP:A\nT:Ace\n%%MIDI c\ne % egg"),
    ],
)
def test_what_moves_and_what_does_not(body: str, semitones: int, moved: str) -> None:
    assert transpose(f"X:1\nT:Bad cab\nC:Abe\n{body}", semitones) == f"X:1\nT:Bad cab\nC:Abe\n{moved}"


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("Am7", "Bm7"),
        ("D/F#", "E/G#"),
        ("Bbmaj7/d", "Cmaj7/e"),
        ("G(Em)", "A(F#m)"),
        ("B#", "D"),  # not C##
        ("Esus4", "F#sus4"),
        ("F+", "G+"),
        ("^slow air", "^slow air"),
        ("_A", "_A"),
        ("D.C.", "D.C."),
        ("Coda", "Coda"),
        ("A MINOR", "A MINOR"),
        ("4", "4"),
    ],
)
def test_chord_symbols_move_and_other_text_stays(text: str, moved: str) -> None:
    assert transpose(f'K:C\n"{text}"c', 2) == f'K:D\n"{moved}"d'


@pytest.mark.parametrize(
    ("tune", "reason"),
    [
        ("K:HP\nc", "the key 'HP' is not understood"),
        ("K:\nc", "the key '' is not understood"),
        ("K:Dmix=c\nc", "the key 'Dmix=c' is not understood"),
        ("K:D exp _b\nc", "the key 'D exp _b' is not understood"),
        ("K:C\nc\nK:none\nc", "the key 'none' is not understood"),
        ("K:G#\nc", "the key 'G#' has more than seven sharps or flats"),
        ("K:C\n^^b", "a note would need a triple accidental"),
        ("K:C\n^^^c", "an accidental '^^^'"),
        ("K:C\nc=>d", "an accidental '=' without a note"),
        ('K:C\n"Am c', "a quotation mark without its end"),
        ("m:~g2={a}g\nK:C\nc", "a field m: or s: may hold notes"),
        ("V:1\nV:2\nK:C\nc\nK:D\nd", "which of its voices changes key is not followed"),
    ],
)
def test_what_has_no_other_key(tune: str, reason: str) -> None:
    with pytest.raises(TransposeError) as failure:
        transpose(tune, 2)
    assert str(failure.value) == reason


def test_the_music_is_the_same_in_another_dress() -> None:
    plain = music("X:1\nT:Jig\nM:6/8\nL:1/8\nK:G\nGAB c>d|B/A/G d3:|\n[CE]2 z4||")
    dressed = 'X:9\nT:Reel\nN:Old\nM:6/8\nL:1/8\nK: Gmaj\n"Em"(G.AB) ~c>d !4!|B/2A/2G {e}d3 ::!\n[CE]2 z4 |]'
    assert music(dressed) == plain
    assert music(transpose(dressed, 3)) == plain
    assert music(transpose(dressed, -7)) == plain


@pytest.mark.parametrize("other", ["GAB c>e", "GAB c<d", "GABcd", "GAB2 c>d", "GABz c>d", "GAB|c>d", "GAb c>d"])
def test_other_music_is_other(other: str) -> None:
    assert music(f"K:G\n{other}") != music("K:G\nGAB c>d")

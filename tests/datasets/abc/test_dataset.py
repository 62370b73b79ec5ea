import os
import re
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from lightseq.datasets.abc.dataset import Abc, groups
from lightseq.datasets.abc.tunes import read_tunes

from lightseq.errors import UserError

IRISH = Path(os.environ.get("LIGHTSEQ_DATA", ""), "irish.abc")
needs_irish = pytest.mark.skipif(not IRISH.is_file(), reason="LIGHTSEQ_DATA has no irish.abc")
needs_music21 = pytest.mark.skipif(find_spec("music21") is None, reason="music21 is not installed")

FIRST = "X:1\nT:One\nZ:me\nM:4/4\nK:D\nDEFA d4|"
SECOND = "X:2\nT:Two\nK:G\nGBAd g4|"
TWO = f"{FIRST}\n\n{SECOND}\n"


def own(text: str, **options: object) -> Abc:
    Path("own.abc").write_bytes(text.encode())
    return Abc(path="own.abc", **options)


def texts(dataset: Abc) -> list[str]:
    return [str(document.tokens) for document in dataset.documents()]


@needs_irish
def test_the_irish_tunes() -> None:
    assert len(set(IRISH.read_text())) == 83
    dataset = Abc()
    dataset.download()
    tunes = texts(dataset)
    assert len(tunes) == len(set(tunes)) == 804
    assert len(set("".join(tunes))) == 83
    assert sum(map(len, tunes)) == 195_997
    assert min(map(len, tunes)) == 142
    assert max(map(len, tunes)) == 603
    assert all(tune.startswith("X:") and tune.count("X:") == 1 and "\n\n" not in tune for tune in tunes)
    assert tunes[0].startswith("X:1\nT:Alexander's\nZ: id:dc-hornpipe-1\nM:C|\nL:1/8\nK:D Major\n(3ABc|dAFA ")
    assert tunes[-1].endswith("|e2 d2:|!")


@needs_irish
def test_what_is_mended_in_the_irish_tunes() -> None:
    blank = "a blank line before the music was left out"
    glued = "music on a line M: has a line of its own now"
    assert [problem.removeprefix(f"{IRISH}, line ") for problem in Abc().problems()] == [
        f"245: {blank}",
        f"2555: {glued}",
        f"2556: {glued}",
        f"5387: {glued}",
        f"7188: {blank}",
    ]
    tunes = texts(Abc())
    assert "\nK:D Major\nA,C|D2 (3DDD DFAA|" in tunes[21]
    assert any("\nM:9/8\nEDC DA,B, CDE|!\nM:6/8\nDdd e3|" in tune for tune in tunes)
    assert any("|!\nM:3/4\negdB A2|\nM:4/4\negdB GABd|eBdB " in tune for tune in tunes)


@needs_irish
def test_the_irish_tunes_that_stand_there_twice_in_other_keys_or_titles() -> None:
    groups = Counter(document.group for document in Abc().documents())
    assert Counter(groups.values()) == {1: 759, 2: 21, 3: 1}


@needs_music21
@pytest.mark.parametrize(("source", "tunes", "groups"), [("oneill", 2009, 1843), ("ryan", 1059, 1041)])
def test_the_collections(source: str, tunes: int, groups: int) -> None:
    dataset = Abc(source)  # type: ignore[arg-type]
    documents = list(dataset.documents())
    assert len(documents) == tunes
    assert len({document.group for document in documents}) == groups
    text = "".join(str(document.tokens) for document in documents)
    assert not re.search(r"%|\t|=20|=3D|=\n", text)
    assert all(set(prompt) <= set(text) for prompt in dataset.prompts)
    assert "music21" not in sys.modules  # to import it takes seconds


@needs_music21
def test_two_transcriptions_of_a_number_are_one_group() -> None:
    documents = [document for document in Abc("oneill").documents() if "O'Neill's 1584" in document.tokens]
    assert len(documents) == 2
    assert documents[0].tokens != documents[1].tokens
    assert documents[0].group == documents[1].group


@pytest.mark.parametrize("source", ["oneill", "ryan"])
def test_a_collection_that_is_not_installed(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [place for place in sys.path if not Path(place, "music21").is_dir()])
    monkeypatch.delitem(sys.modules, "music21", raising=False)
    with pytest.raises(UserError, match=rf"{source}.*pip install music21, or the extra lightseq-rnn\[corpora\]"):
        Abc(source).download()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("file", "tunes", "told"),
    [
        (TWO, [FIRST, SECOND], []),
        (TWO.replace("\n\n", "\n"), [FIRST, SECOND], []),  # no blank line between them
        (TWO.replace("\n\n", "\n\n\n\n"), [FIRST, SECOND], []),
        (TWO.replace("\n", "\r\n").rstrip(), [FIRST, SECOND], []),
        (f"\ufeff{TWO}", [FIRST, SECOND], []),
        (
            "X:1\nT:a\n\nK:D\n\nDEF|\nABc|\n",
            ["X:1\nT:a\nK:D\nDEF|\nABc|"],
            ["3: a blank line before the music was left out", "5: a blank line before the music was left out"],
        ),
        (
            "X:1\nK:D\nM:9/8 DEF GAB ABc|!\nM:C| DE FG|\nM:3/4 DEF| M:4/4 DEFG|A|\n",
            ["X:1\nK:D\nM:9/8\nDEF GAB ABc|!\nM:C|\nDE FG|\nM:3/4\nDEF|\nM:4/4\nDEFG|A|"],
            [f"{line}: music on a line M: has a line of its own now" for line in (3, 4, 5)],
        ),
        (
            "% of 1998\n%%scale 0.7\nX:1\nM:C|\nK:D % two sharps\n%\n%%staffsep 50\n  DEF | % end\n\tABc|  \n",
            ["X:1\nM:C|\nK:D\nDEF |\nABc|"],
            [f"{line}: a comment or directive was left out" for line in (1, 2, 5, 6, 7, 8)],
        ),
        (
            "X:1\nK:D\nDEF |=20\n=3DFG =\nA=3DB|\n^c |=20\n",
            ["X:1\nK:D\nDEF |\n=FG A=B|\n^c |"],
            [
                "3: '=20' at the end, a space as mail writes it, was left out",
                "4: '=' at the end, where mail cut the line: joined to the next one",
                "5: '=3D', an equals sign as mail writes it, is now '='",
                "6: '=20' at the end, a space as mail writes it, was left out",
            ],
        ),
        ("X:1\nZ:a\t\tb\nK:D\n\tDEF|\n", ["X:1\nZ:a b\nK:D\nDEF|"], ["2: a tab is now a space"]),
        (
            "A collection.\nOf two.\n\nX:1\nK:D\nDEF|\n\n:1646\n\nX:2\nK:G\nGAB|\n\nThe end.",
            ["X:1\nK:D\nDEF|", "X:2\nK:G\nGAB|"],
            [
                "1: text outside tunes was left out, lines: 2",
                "8: text outside tunes was left out, lines: 1",
                "14: text outside tunes was left out, lines: 1",
            ],
        ),
        (
            "X:1\nT:a\nDEF|\nGAB|\n\nX:2\nDEF|\nK:D\nDEF|\n\nX:3\nT:c\nK:D\n\nX:4\nK:G\nGAB|",
            ["X:4\nK:G\nGAB|"],
            [
                "1: the tune has no line K:, and was left out",
                "7: the tune has text before its K:, and was left out",
                "11: the tune has no music, and was left out",
            ],
        ),
        ("X:1\nN::old\nK:D\nA:|\nz:|", ["X:1\nN::old\nK:D\nA:|\nz:|"], []),
    ],
)
def test_where_tunes_begin_and_what_is_mended(file: str, tunes: list[str], told: list[str]) -> None:
    dataset = own(file)
    assert texts(dataset) == tunes
    assert dataset.problems() == [f"own.abc, line {what}" for what in told]


def test_a_tune_knows_its_place() -> None:
    Path("own.abc").write_text(f"\n{TWO}")
    assert [(tune.file, tune.line) for tune in read_tunes("own.abc", "utf-8", [])] == [("own.abc", 2), ("own.abc", 9)]


def test_the_same_music_is_one_group() -> None:
    dressed = TWO.replace("X:2", 'X:3\nT:One again\nN:slower\nM:C\nK:D major\n"D"(DE) FA\n~d4|]\n\nX:2')
    one, again, two = own(dressed).documents()
    assert one.group == again.group != two.group
    assert one.group is not None
    assert one.tokens != again.tokens


def test_transposed_tunes_are_of_the_same_group_and_for_training() -> None:
    documents = list(own(TWO, transpose=[3, -2, 3]).documents())
    assert [document.augmented for document in documents] == [False, True, True] * 2
    assert [document.group for document in documents] == [documents[0].group] * 3 + [documents[3].group] * 3
    assert documents[0].group != documents[3].group
    assert [document.tokens for document in documents[:3]] == [
        FIRST,
        FIRST.replace("K:D\nDEFA d4", "K:C\nCDEG c4"),
        FIRST.replace("K:D\nDEFA d4", "K:F\nFGAc f4"),
    ]


def test_a_tune_that_has_no_other_key_stays_and_is_told() -> None:
    dataset = own(TWO.replace("K:G", "K:HP"), transpose=[1, 2])
    assert [document.augmented for document in dataset.documents()] == [False, True, True, False]
    assert dataset.problems() == [
        f"own.abc, line 8: not transposed by {n} semitones: the key 'HP' is not understood" for n in (1, 2)
    ]


def test_headers_that_are_dropped() -> None:
    text = "X:1\nT:One\nN:a\n+:b\nM:4/4\nK:D\nDEF|\nN:c\nM:3/4\nw:la\nX|z:|"
    assert texts(own(text, drop_headers=["N", "X", "w"])) == ["T:One\nM:4/4\nK:D\nDEF|\nM:3/4\nX|z:|"]
    assert texts(own(text, drop_headers=["T"])) == [text.replace("T:One\n", "")]
    moved = list(own(text, drop_headers=["X", "N", "T"], transpose=[2]).documents())
    assert str(moved[1].tokens).startswith("M:4/4\nK:E\nEFG|")
    assert moved[0].group == next(iter(own(text).documents())).group


def test_prompts_have_the_headers_that_are_there() -> None:
    assert Abc().prompts == ("", "X:1\nT:")
    assert Abc(drop_headers=["X", "Z"]).prompts == ("", "T:")
    assert Abc(drop_headers=["T"]).prompts == ("", "X:1")
    assert Abc(drop_headers=["T", "X"]).prompts == ("",)
    assert Abc(path="own.abc").prompts == ("",)


@needs_irish
def test_the_prompts_are_known() -> None:
    known = set(IRISH.read_text())
    assert all(set(prompt) <= known for prompt in Abc().prompts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop_headers": ["K"]}, "drop_headers: K, the key, is needed to read the notes"),
        ({"drop_headers": ["Z", "XT"]}, "drop_headers: 'XT' is no ABC field; they are letters like X, T, Z"),
        ({"drop_headers": ["E"]}, "drop_headers: 'E' is no ABC field; they are letters like X, T, Z"),
        ({"drop_headers": [""]}, "drop_headers: '' is no ABC field; they are letters like X, T, Z"),
        ({"transpose": [2, 0]}, "transpose: 0 semitones; -12 to 12 are possible, and not 0"),
        ({"transpose": [13]}, "transpose: 13 semitones; -12 to 12 are possible, and not 0"),
    ],
)
def test_options_that_cannot_be(options: dict[str, list[object]], message: str) -> None:
    with pytest.raises(UserError) as failure:
        Abc(**options)  # type: ignore[arg-type]
    assert str(failure.value) == message


@pytest.mark.parametrize("text", ["", "no tune at all\n", "K:G\nGAB|\n", "X:1\nT:no key\n"])
def test_a_file_without_a_tune(text: str) -> None:
    with pytest.raises(UserError) as failure:
        texts(own(text))
    reason = "no tune in own.abc: one begins with a line X:1 and has a line K:G before its notes"
    assert str(failure.value) == reason


def test_a_folder_of_tunes_in_another_encoding() -> None:
    Path("tunes").mkdir()
    Path("tunes", "b.abc").write_bytes(SECOND.replace("Two", "Zwölf").encode("latin-1"))
    Path("tunes", "a.abc").write_bytes(FIRST.encode())
    assert texts(Abc(path="tunes", encoding="latin-1")) == [FIRST, SECOND.replace("Two", "Zwölf")]
    with pytest.raises(UserError, match=r"b\.abc, line 2: .*dataset_args\.encoding"):
        texts(Abc(path="tunes"))


def test_the_fingerprint_is_of_the_files_and_of_every_option() -> None:
    own(TWO)
    os.utime("own.abc", (1_000_000_000, 1_000_000_000))

    def print_of(**options: object) -> str | None:
        return Abc(path="own.abc", **options).fingerprint()  # type: ignore[arg-type]

    others = [print_of(drop_headers=["X"]), print_of(transpose=[1]), print_of(encoding="latin-1")]
    assert print_of() is not None
    assert print_of() == print_of(drop_headers=[], transpose=[])
    assert print_of(drop_headers=["X", "Z"]) == print_of(drop_headers=["Z", "X"])
    assert len({print_of(), *others}) == 4
    before = print_of()
    os.utime("own.abc", (1_000_000_001, 1_000_000_001))
    assert print_of() != before


def test_tunes_alike_to_a_third_are_one_group() -> None:
    found = groups([["m1", "number 5"], ["m2", "number 5"], ["m2", "number 7"], ["m3"], ["m4", "number 7"]])
    assert found[0] == found[1] == found[2] == found[4] != found[3]

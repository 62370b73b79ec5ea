import os
import select
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, run

import numpy as np
import pytest
from lightseq.datasets.abc import engraver, score
from lightseq.datasets.abc.score import engrave, missing_extra
from lightseq.datasets.abc.tunes import Tune

engraved = pytest.mark.skipif(missing_extra() is not None, reason="the extra lightseq-rnn[score] is not installed")

TUNE = "X:1\nT:a\nM:4/4\nL:1/4\nK:D\nDEFG|ABcd|]"
KILLER = TUNE.replace("FG", 'F"G')
"""Verovio ends the process over a quotation that does not end."""


def child() -> "Popen[bytes]":
    return score._child(os.getpid())


def ink(image: np.ndarray) -> int:
    return int((image < 128).all(2).sum())


@engraved
def test_a_score_has_staves_and_notes() -> None:
    few, many = engrave(TUNE), engrave(TUNE.replace("ABcd", "ABcd|" * 30))
    assert few is not None
    assert many is not None
    assert few.dtype == many.dtype == np.uint8
    assert few.shape[1:] == many.shape[1:] == (1000, 3)
    assert 40 < few.shape[0] < 100
    assert 4 * few.shape[0] < many.shape[0] <= 1000
    lines = ((few < 200).all(2).mean(1) > 0.15).sum()
    assert 5 <= lines <= 10  # of the staff, each of one or two pixels
    assert ink(engrave(TUNE.replace("DEFG", "D4"))) < ink(few) - 100  # three notes less
    assert ink(engrave(TUNE.replace("K:D", "K:A"))) > ink(few)  # a sharp more
    assert few.flags.writeable


@engraved
def test_a_line_may_end_as_the_irish_tunes_do() -> None:
    assert np.array_equal(engrave(TUNE.replace("|]", "|!\nGFED|]!")), engrave(TUNE.replace("|]", "|\nGFED|]")))


@engraved
@pytest.mark.parametrize("ending", ["|1 ", "[1 ", "|1"])
def test_endings_have_their_number_and_chords_keep_theirs(ending: str) -> None:
    text = TUNE.replace("FG|ABcd|]", "[FA]2|ABcd:|2 dcBA|]")
    numbered = score._readable(text.replace("|A", f"{ending}A"))
    assert '"^1."' in numbered
    assert ':|"^2." dcBA' in numbered
    assert "[FA]2" in numbered


@engraved
def test_the_engraver_stays_for_the_next_tune() -> None:
    engrave(TUNE)
    first = child()
    engrave(TUNE)
    assert child() is first
    assert first.poll() is None


@engraved
@pytest.mark.parametrize("module", ["struct.py", "lightseq/__init__.py"])  # as in a checkout of an installed wheel
def test_the_engraver_takes_no_modules_from_the_folder_in_which_it_starts(module: str, own_folder: Path) -> None:
    score._end(child())
    Path(own_folder, module).parent.mkdir(exist_ok=True)
    Path(own_folder, module).write_text("raise SystemExit")
    assert engrave(TUNE) is not None


@engraved
def test_a_text_that_ends_the_engraver_has_no_score_and_the_next_has(
    capfd: pytest.CaptureFixture[str], own_folder: Path
) -> None:
    expected = engrave(TUNE)
    first = child()
    assert engrave(KILLER) is None
    assert first.returncode not in (None, 0)
    assert child() is not first
    assert np.array_equal(engrave(TUNE), expected)
    assert capfd.readouterr() == ("", "")
    assert not list(own_folder.iterdir())


@engraved
def test_one_that_takes_too_long_is_given_up() -> None:
    engrave(TUNE)
    first = child()
    assert engrave(TUNE, seconds=1e-6) is None
    assert first.returncode is not None
    assert engrave(TUNE) is not None


@engraved
def test_an_engraver_that_has_gone_away_is_replaced() -> None:
    engrave(TUNE)
    child().kill()
    child().wait()
    assert engrave(TUNE) is None
    assert engrave(TUNE) is not None


@engraved
def test_an_answer_that_nobody_waited_for_is_not_given_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = engrave(TUNE)

    class Interrupted(struct.Struct):
        def unpack(self, buffer: bytes) -> tuple[int, ...]:  # type: ignore[override]
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(score, "ANSWER", Interrupted(score.ANSWER.format))
        with pytest.raises(KeyboardInterrupt):
            engrave(TUNE.replace("K:D", "K:Eb"))
    assert np.array_equal(engrave(TUNE), expected)


@engraved
@pytest.mark.skipif(sys.platform != "linux", reason="there is no pidfd")
def test_the_engraver_ends_with_whom_it_works_for() -> None:
    lines = [
        "import os, sys",
        "from lightseq.datasets.abc import score",
        f"score.engrave({TUNE!r})",
        "print(score._child(os.getpid()).pid, flush=True)",
        "sys.stdin.read()",
        "os._exit(1)",  # as one that is killed: nothing is cleaned up
    ]
    with Popen([sys.executable, "-c", "\n".join(lines)], stdin=PIPE, stdout=PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        engraver = os.pidfd_open(int(parent.stdout.readline()))
        try:
            assert not select.select([engraver], [], [], 0)[0]
            parent.stdin.close()
            assert select.select([engraver], [], [], 60)[0]
        finally:
            os.close(engraver)


@engraved
@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "\ud800\0|", "[" * 300, "X:1\nK:C\n", "X:1\nK:C\n\n\n", "X:" * 99, TUNE[6:], TUNE + "DEFG|" * 900],
)
def test_what_is_no_tune_has_no_score(text: str) -> None:
    assert engrave(text) is None


@engraved
def test_the_irish_tunes_are_engraved(irish: list[Tune]) -> None:
    for tune in irish[::100]:
        assert engrave(tune.text) is not None, tune.text


NOISY = {
    "verovio.py": """
class toolkit:
    def setOptions(self, options): print("options")
    def loadData(self, text): print("loading"); self.text = text; return "K:" in text
    def getPageCount(self): return 1
    def renderToSVG(self, page): return self.text
""",
    "resvg_py.py": "def svg_to_bytes(svg, background): return svg[::-1].encode()",
}


def test_what_the_libraries_print_is_no_answer(own_folder: Path) -> None:
    for name, code in NOISY.items():
        Path(name).write_text(code)
    command = [sys.executable, engraver.__file__]
    texts = ["K:Dé", "no tune", "", "K:A"]
    requests = b"".join(score.REQUEST.pack(60, len(text.encode())) + text.encode() for text in texts)
    places = os.pathsep.join([str(own_folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": places, "PYTHONUNBUFFERED": "1"}
    done = run(command, input=requests, stdout=PIPE, stderr=DEVNULL, env=environment, check=True)
    pictures = ["éD:K".encode(), b"", b"", b"A:K"]
    assert done.stdout == b"".join(score.ANSWER.pack(len(picture)) + picture for picture in pictures)


def test_without_the_extra_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "an engraved score needs the extra lightseq-rnn[score]: pip install "
    for gone, names in (
        ({"verovio", "resvg_py"}, "verovio resvg-py"),
        ({"resvg_py"}, "resvg-py"),
        ({"verovio"}, "verovio"),
    ):
        monkeypatch.setattr(score, "find_spec", lambda name, gone=gone: None if name in gone else find_spec("json"))
        assert missing_extra() == words + names
        assert engrave(TUNE) is None
    monkeypatch.setattr(score, "find_spec", lambda name: find_spec("json"))
    assert missing_extra() is None

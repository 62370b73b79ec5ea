import random

import numpy as np
import pytest
from lightseq.datasets.abc import dataset, score
from lightseq.datasets.abc.dataset import REMARKS, Abc
from lightseq.datasets.abc.piano_roll import WRONG_BAR
from lightseq.datasets.abc.score import missing_extra

TUNE = "X:1\nT:Two bars\nM:4/4\nL:1/4\nK:D\nDEFG|ABcd|DEFG|]"


@pytest.fixture(autouse=True)
def no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has tests of its own, and takes its time."""
    monkeypatch.setattr(dataset, "missing_extra", lambda: None)
    monkeypatch.setattr(dataset, "engrave", lambda text: None)


def test_a_tune_is_seen_and_heard_and_saved() -> None:
    image, audio, sample_rate, files, remarks = Abc().render(TUNE)
    assert image is not None
    assert audio is not None
    assert sample_rate is not None
    assert image.shape[2] == 3
    assert len(audio) / sample_rate == pytest.approx(12 * 60 / 120, rel=0.5)
    assert set(files) == {".mid", ".abc"}
    assert files[".abc"].decode() == f"{TUNE}\n"
    assert files[".mid"].startswith(b"MThd")
    assert list(remarks) == []


def test_the_file_begins_with_a_number_where_the_corpus_leaves_it_out() -> None:
    text = TUNE.removeprefix("X:1\n")
    rendering = Abc(drop_headers=["X"]).render(text)
    assert rendering.files[".abc"].decode() == f"{TUNE}\n"
    assert list(rendering.remarks) == []
    assert list(Abc().render(text).remarks) == ["line 5, column 1: the header has no X:, its number"]


def test_what_is_wrong_is_said_and_red() -> None:
    rendering = Abc().render(TUNE.replace("ABcd", "ABc"))
    assert list(rendering.remarks) == ["line 6, column 6: the bar has 3/4, and the metre is 4/4"]
    foreign = Abc().render(TUNE.replace("ABcd", "=C=F=cd"))  # which is said of the same place
    assert [remark.partition(": ")[0] for remark in foreign.remarks] == ["line 6, column 6"]
    for wrong, image in ((True, rendering.image), (False, foreign.image), (False, Abc().render(TUNE).image)):
        assert (np.asarray(image) == WRONG_BAR).all(2).any() == wrong


@pytest.mark.parametrize("text", ["", "my owl", "X:1\nT:a\nM:4/4\nL:1/4\nK:D\nz4|z4|]", "\ud800"])
def test_where_there_is_nothing_to_play_it_says_so(text: str) -> None:
    image, audio, _, files, remarks = Abc().render(text)
    assert image is audio is None
    assert set(files) == {".abc"}
    assert remarks[-1] == "there is nothing to play: no note was found"


def test_a_tune_that_begins_with_long_rests_has_no_sound() -> None:
    rendering = Abc().render(TUNE.replace("DEFG|ABcd", "Z8|Z8|Z8|Z8|DEFG|ABcd"))
    assert rendering.image is not None
    assert rendering.audio is rendering.sample_rate is None
    assert set(rendering.files) == {".mid", ".abc"}
    assert rendering.remarks[-1] == "it begins with rests of more than 30 seconds: there is no sound of it"


def test_the_remarks_have_an_end() -> None:
    remarks = Abc().render(TUNE + "?" * 50).remarks
    assert len(remarks) == REMARKS + 1
    assert remarks[-1] == f"and {50 - REMARKS} more"


def test_a_missing_extra_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "missing_extra", lambda: "pip install it")
    abc = Abc()
    assert [list(abc.render(text).remarks)[-1:] for text in ("", TUNE, TUNE)] == [
        ["there is nothing to play: no note was found"],
        ["pip install it"],
        [],
    ]


@pytest.mark.skipif(missing_extra() is not None, reason="the extra lightseq-rnn[score] is not installed")
def test_the_score_stands_above_the_piano_roll(monkeypatch: pytest.MonkeyPatch) -> None:
    text = TUNE.removeprefix("X:1\n")  # Verovio wants one
    roll = np.asarray(Abc(drop_headers=["X"]).render(text).image)
    monkeypatch.setattr(dataset, "engrave", score.engrave)
    both = np.asarray(Abc(drop_headers=["X"]).render(text).image)
    engraved = score.engrave(TUNE)
    assert engraved is not None
    assert (both[: len(engraved), : engraved.shape[1]] == engraved).all()
    assert (both[len(engraved) :, : roll.shape[1]] == roll).all()


def test_anything_can_be_rendered_and_nothing_is_drawn_at_random() -> None:
    rng = random.Random(0)
    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    characters = "XTMLKQ:\n/0123456789 ABCDEFGabcdefgz|[](){}<>'\",^_=-~!%\\.\ud800\0é"
    texts = ["".join(rng.choices(characters, k=rng.randrange(200))) for _ in range(60)]
    for _ in range(60):
        place = rng.randrange(len(TUNE))
        texts.append(TUNE[:place] + rng.choice(characters) * rng.choice([1, 3, 40]) + TUNE[place + rng.randrange(9) :])
    abc = Abc()
    sounding = 0
    for text in texts:
        image, audio, sample_rate, files, remarks = abc.render(text)
        assert (image is None) == (audio is None) == (sample_rate is None) == (".mid" not in files)
        sounding += audio is not None
        assert all("\n" not in remark for remark in remarks)
    assert 20 < sounding < len(texts)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[union-attr]

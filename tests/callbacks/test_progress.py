"""What a terminal shows."""

import io
import re
from collections.abc import Callable

import pytest
import rich
from lightseq.callbacks import progress

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def terminal() -> io.StringIO:
    """What is written to a terminal 100 columns wide."""
    screen = io.StringIO()
    rich.reconfigure(file=screen, force_terminal=True, width=100, color_system=None)
    return screen


def shown(screen: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def test_a_bar_and_a_table_for_a_fit(run: Run, tiny: str, terminal: io.StringIO) -> None:
    status, out, err = run(f"fit --config {tiny} --trainer.enable_progress_bar true --trainer.max_steps 5")
    assert status == 0, err
    text = shown(terminal)
    assert re.search(r"training .* 5/5 .* left .* train/bpc \d\.\d+, val/bpc \d\.\d+", text)
    assert re.search(r"update 5, \d+ s: train/bpc", text)
    tables = re.findall(r"update (\d+) +\n.*\n.* prompt .* T=0\.00 .* T=1\.00", text)
    assert tables == ["2", "4", "5"]
    assert len(re.findall(r"│ tri    │ tri", text)) == 3
    assert "samples:" not in out


@pytest.mark.parametrize(("verb", "word"), [("validate", "validating"), ("test", "testing"), ("predict", "predicting")])
def test_a_bar_for_the_other_verbs(verb: str, word: str, run: Run, tiny: str, terminal: io.StringIO) -> None:
    run(f"fit --config {tiny}")
    status, _, err = run(f"{verb} --ckpt_path runs/dinos/version_0 --trainer.enable_progress_bar true")
    assert status == 0, err
    assert re.search(rf"{word} .* 5/5 ", shown(terminal))


def test_no_bar_where_none_is_wanted(run: Run, tiny: str, terminal: io.StringIO) -> None:
    run(f"fit --config {tiny}")
    assert "training" not in shown(terminal)


@pytest.fixture
def log() -> io.StringIO:
    """What is written where the output is no terminal."""
    file = io.StringIO()
    rich.reconfigure(file=file, force_terminal=False, width=100, color_system=None)
    return file


def lines_of(log: io.StringIO) -> list[str]:
    """The lines without their numbers of seconds."""
    return [re.sub(r"\d+ s\b", "- s", line) for line in log.getvalue().splitlines()]


@pytest.mark.parametrize("batches", [1, 2])  # of an update
def test_a_line_at_the_first_update(batches: int, run: Run, tiny: str, log: io.StringIO) -> None:
    options = f"--trainer.enable_progress_bar true --trainer.accumulate_grad_batches {batches}"
    status, _, err = run(f"fit --config {tiny} {options}")
    assert status == 0, err
    lines = [line for line in lines_of(log) if re.match(r"update \d+,", line)]
    assert [line.partition(",")[0] for line in lines] == ["update 1", "update 3"]
    assert re.fullmatch(r"update 1, - s(: train/bpc \d\.\d{3}.*)?", lines[0])


def test_a_line_at_the_first_update_after_going_on(run: Run, tiny: str, log: io.StringIO) -> None:
    assert run(f"fit --config {tiny}")[0] == 0
    changes = "--resume_with_changes true --trainer.max_steps 6 --trainer.enable_progress_bar true"
    status, _, err = run(f"fit --resume runs/dinos/version_0 {changes}")
    assert status == 0, err
    assert [line.partition(",")[0] for line in lines_of(log) if re.match(r"update \d+,", line)] == [
        "update 4",
        "update 6",
    ]


def test_a_line_whenever_there_was_none_for_long(
    run: Run, tiny: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    status, _, err = run(f"fit --config {tiny} --trainer.enable_progress_bar true")
    assert status == 0, err
    lines = lines_of(log)
    begins = [line.partition(",")[0] for line in lines if line.startswith("update") and "validating" not in line]
    assert begins[:3] == ["update 1", "update 2", "update 3"]
    validating = [line for line in lines if "validating" in line]
    assert validating == [f"update 3, - s: validating, {number} batches so far" for number in range(1, 6)]


def test_no_line_of_the_sanity_check(run: Run, tiny: str, log: io.StringIO) -> None:
    options = "--trainer.enable_progress_bar true --trainer.num_sanity_val_steps 2"
    status, _, err = run(f"fit --config {tiny} {options}")
    assert status == 0, err
    assert "validating" not in log.getvalue()


def test_no_line_among_the_rows_of_predictions(
    run: Run, tiny: str, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(f"fit --config {tiny}")
    before = log.getvalue()
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.0)
    status, out, err = run("predict --ckpt_path runs/dinos/version_0 --trainer.enable_progress_bar true")
    assert status == 0, err
    assert "\t" in out
    assert "batch" not in out
    assert log.getvalue() == before

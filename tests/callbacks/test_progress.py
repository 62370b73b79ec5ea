"""What a terminal shows."""

import io
import re
from collections.abc import Callable

import pytest
import rich

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

"""``lightseq sweep``, typed as a user would."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightseq.commands.sweep import Trained, seeds, table

Run = Callable[..., tuple[int, str, str]]

ODD = """
import os
import threading
from pytorch_lightning import Callback

class Odd(Callback):
    def on_train_batch_end(self, trainer, *others):
        seed, update = os.environ["PL_GLOBAL_SEED"], trainer.global_step
        if update == 1:
            print("told", os.environ.get("LIGHTSEQ_PRECISION"))
        if update == 2 and seed == "0":
            raise RuntimeError("I dislike 0")
        if update == 2 and seed == "7":
            print("waiting", flush=True)
            threading.Event().wait(60)  # not for ever, should nothing interrupt it
"""
"""Seed 0 fails, seed 7 waits for Ctrl-C."""


@pytest.fixture
def odd(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (own_folder.parent / "odd.py").write_text(ODD)
    monkeypatch.setenv("PYTHONPATH", str(own_folder.parent))
    return "--trainer.callbacks+=odd.Odd"


def command(words: str) -> list[str]:
    return [sys.executable, "-m", "lightseq", "sweep", *words.split()]


def sweep(words: str) -> tuple[int, str, str]:
    """In a process of its own: those that it starts write to its standard output itself."""
    done = subprocess.run(command(words), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def record(version: int) -> dict[str, Any]:
    return json.loads(Path(f"runs/dinos/version_{version}/results.json").read_text())  # type: ignore[no-any-return]


def test_a_sweep_goes_on_after_a_failure_and_shows_what_it_has_when_interrupted(
    run: Run, tiny: str, odd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four seeds one fails, one is trained as fit trains it, one is interrupted, and one is not begun."""
    monkeypatch.delenv("LIGHTSEQ_PRECISION")
    words = command(f"--seeds 0,5,7,8 --config {tiny} {odd}")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = list(takewhile(lambda line: not line.startswith("waiting"), process.stdout))
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert [line for line in lines if line.startswith("seed ")] == [
        f"seed {s} ({n} of 4)\n" for n, s in ((1, 0), (2, 5), (3, 7))
    ]
    assert "RuntimeError: I dislike 0" in err
    assert "\nlightseq: seed 0 failed with status 1\n" in err
    assert err.endswith(
        "\nlightseq: stopped by SIGINT after update 2; fit --resume runs/dinos/version_2 goes on\n"
        "lightseq: the sweep was stopped at seed 7; what follows is of those before it\n"
    )
    kept = record(1)
    told = [line.split()[1] for line in lines if line.startswith("told ")]
    assert told == ["None", "None", kept["precision"]]  # what the first that ended trained in, the others do
    numbers = [f"{kept['val/loss']:.4f}", f"{kept['val/accuracy']:.4f}", f"{kept['seconds']:.1f}"]
    assert [line.split() for line in out.splitlines() if line] == [
        ["seed", "val/loss", "val/accuracy", "seconds", "run"],
        ["0", "-", "-", "-", "failed", "with", "status", "1"],
        ["5", *numbers, "runs/dinos/version_1"],
    ]
    assert yaml.safe_load(Path("runs/dinos/version_1/config.yaml").read_text())["seed_everything"] == 5
    assert len(list(Path("runs/dinos").iterdir())) == 3
    run(f"fit --config {tiny} --seed_everything 5 --trainer.precision {kept['precision']}")
    assert {**record(3), "seconds": 0} == {**kept, "seconds": 0}


def test_a_sweep_that_fails_says_so_to_the_shell(tiny: str, odd: str) -> None:
    status, out, err = sweep(f"--seeds 1 --config {tiny} {odd}")
    assert status == 1
    assert err.endswith("\nlightseq: seed 0 failed with status 1\n")
    assert "val/loss" not in out


def test_a_mistake_of_fits_is_told_once(tiny: str) -> None:
    status, out, err = sweep(f"--seeds 3 --config {tiny} --model.hidden_size 0")
    assert (status, out) == (2, "seed 0 (1 of 3)\n")
    assert err == "lightseq: command line: model.hidden_size must be >0, not 0\n"
    assert list(Path().iterdir()) == []


def test_what_trains_nothing_has_no_table(tiny: str) -> None:
    status, out, err = sweep(f"--seeds 1 --config {tiny} --print_config")
    assert (status, err) == (0, "")
    assert out.startswith("seed 0 (1 of 1)\n")
    assert yaml.safe_load(out.partition("\n")[2])["model"]["hidden_size"] == 6
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "sweep needs --seeds, how many or which: --seeds 5, or --seeds 0,3,7"),
        ("--config dinos", "sweep needs --seeds, how many or which: --seeds 5, or --seeds 0,3,7"),
        ("--seeds", "argument --seeds: expected one argument"),
        ("--seeds 0", "argument --seeds: 0 is none at all; the seed 0 alone is --seeds 1"),
        (
            "--seeds 2024",
            "argument --seeds: 2024 would be so many; one seed alone is fit --seed_everything 2024",
        ),
        ("--seeds many", "argument --seeds: how many, or whole numbers with commas between them, not 'many'"),
        ("--seeds 1,", "argument --seeds: how many, or whole numbers with commas between them, not '1,'"),
        ("--seeds 1.5", "argument --seeds: how many, or whole numbers with commas between them, not '1.5'"),
        ("--seeds -3", "argument --seeds: a seed is between 0 and 4294967295, not -3"),
        ("--seeds=2,-3", "argument --seeds: a seed is between 0 and 4294967295, not -3"),
        ("--seeds 3,4294967296", "argument --seeds: a seed is between 0 and 4294967295, not 4294967296"),
        ("--seeds 4,3,5,3", "argument --seeds: 3 stands there twice"),
        ("--seeds 2 --seed_everything 4", "sweep sets --seed_everything itself, from --seeds: leave it out"),
        ("--seeds 2 --seed_everything=4", "sweep sets --seed_everything itself, from --seeds: leave it out"),
        ("--seeds 2 --ckpt_path runs/dinos/version_0", "sweep begins every run afresh: leave --ckpt_path out"),
        ("--seeds 2 --config nosuch.yaml", "no configuration file 'nosuch.yaml', and no recipe of that name."),
    ],
)
def test_mistakes(run: Run, words: str, message: str) -> None:
    status, out, err = run(f"sweep {words}")
    assert (status, out) == (2, "")
    assert err.startswith(f"lightseq: {message}")
    assert len(err.splitlines()) == 1
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("words", ["--config {}", "--config={}", "-c {}"])
def test_a_configuration_that_goes_on_from_a_checkpoint(run: Run, tiny: str, words: str) -> None:
    path = Path(tiny).with_name("resumed.yaml")
    path.write_text("ckpt_path: runs/dinos/version_0\n")
    message = f"lightseq: {path}, line 1: sweep begins every run afresh: leave ckpt_path out\n"
    assert run(f"sweep --seeds 2 --config {tiny} {words.format(path)}") == (2, "", message)


def test_how_many_seeds_or_which() -> None:
    assert list(seeds("3")) == [0, 1, 2]
    assert list(seeds("1")) == [0]
    assert list(seeds("7,0,3")) == [7, 0, 3]


def test_a_table_of_what_there_is() -> None:
    """A stream has cold windows, a run that diverged has seconds alone, which count for nothing,
    one that was killed has nothing."""
    runs = [
        Trained(3, 0, {"val/loss": 1.25, "val/loss_cold64": 1.5, "val/bpc": 9.0, "seconds": 61.26, "folder": "runs/a"}),
        Trained(11, 0, {"val/loss": 1.75, "val/loss_cold64": 2.5, "val/bpc": 9.0, "seconds": 50.0, "folder": None}),
        Trained(0, 0, {"seconds": 7.0, "folder": "runs/b"}),
        Trained(4, -9, {}),
        Trained(5, 0, {"val/loss": 1.5, "val/loss_cold64": 1.0, "val/bpc": 9.0, "seconds": 52.0, "folder": "runs/c"}),
    ]
    assert table(runs) == [
        "",
        "   seed  val/loss  val/loss_cold64  seconds  run",
        "      3    1.2500           1.5000     61.3  runs/a",
        "     11    1.7500           2.5000     50.0",
        "      0         -                -      7.0  runs/b",
        "      4         -                -        -  was ended by signal 9",
        "      5    1.5000           1.0000     52.0  runs/c",
        " median    1.5000           1.5000     52.0",
        " lowest    1.2500           1.0000     50.0",
        "highest    1.7500           2.5000     61.3",
    ]
    assert [line.split()[0] for line in table([runs[0], runs[3]])[1:]] == ["seed", "3", "4"]
    assert table([runs[3]]) == table([]) == []

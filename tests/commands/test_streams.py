"""Every command with a standard output or standard error that is closed, full, or without a reader."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lightseq import cli, streams

TINY = """
data: {dataset: dinos, batch_size: 32}
model: {backbone: lstm, embedding_size: 5, hidden_size: 6, num_layers: 1}
trainer: {max_steps: 3, accelerator: cpu, log_every_n_steps: 1}
sampling: {temperatures: [0.0, 1.0], prompts: ["", tri], every_n_steps: 2, length: 12}
"""

RUN = "runs/dinos/version_0"

PRINT = {
    "--help": "--help",
    "--version": "--version",
    "fit --help": "fit --help",
    "fit --print_config": "fit --config tiny.yaml --print_config",
    "validate": f"validate --ckpt_path {RUN}",
    "test": f"test --ckpt_path {RUN}",
    "predict": f"predict --ckpt_path {RUN}",
    "sample": f"sample {RUN}",
    "inspect": f"inspect {RUN} --text abc",
    "inspect --html": f"inspect {RUN} --text abc --html /dev/stdout",
    "board": f"board {RUN}",
    "compare": f"compare {RUN} other",
    "datasets": "datasets",
    "datasets new": "datasets new seas --folder new",
    "datasets check": "datasets check dinos",
    "configs": "configs",
}
"""Commands that end where they cannot print."""

TRAIN = {
    "fit": "fit --config tiny.yaml",
    "sweep": "sweep --seeds 2 --config tiny.yaml",
    "verify-resume": "verify-resume --config tiny.yaml --updates 2",
}

FAULTS = {
    "closed": "standard output cannot be written (it is closed)",
    "full": "standard output cannot be written (No space left on device)",
    "vanishing": "standard output went away",
}

FORKING = """
import gc, json, os, sys
from importlib import import_module

for name in ("lightseq.commands.train", "lightseq.commands.inspect_page", "tensorboard.program", "torch._dynamo"):
    import_module(name)
from lightseq import cli

def lay(number, how):
    if how == "closed":
        os.close(number)
        setattr(sys, ("stdout", "stderr")[number - 1], None)
    elif how == "vanishing":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, number)
        os.close(writing)
    else:
        opened = os.open("/dev/full" if how == "full" else how, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)

gc.freeze()
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(order["folder"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        lay(1, order["out"])
        lay(2, order["err"])
        sys.exit(cli.main(order["words"]))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Commands out of a process that has imported all they need: real processes, which start in a fraction of a second."""


class Ended(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


Lightseq = Callable[..., Ended]


@pytest.fixture(scope="module")
def lightseq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lightseq]:
    """Run a command in a folder that has ``tiny.yaml`` and a run, with streams that are whole unless it is said."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "tiny.yaml").write_text(TINY)
    (folder / "new").mkdir()
    environment = {**os.environ, "LIGHTSEQ_CACHE": str(folder / "cache"), "LIGHTSEQ_PRECISION": "32-true"}
    command = [sys.executable, "-c", FORKING]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        orders, answers = server.stdin, server.stdout
        answers.readline()

        def run(words: str, out: str = "out.txt", err: str = "err.txt") -> Ended:
            for name in ("out.txt", "err.txt"):
                (folder / name).write_text("")
            order = {"words": words.split(), "folder": str(folder), "out": out, "err": err}
            orders.write(json.dumps(order) + "\n")
            orders.flush()
            status = int(answers.readline())
            return Ended(status, *((folder / name).read_text() for name in ("out.txt", "err.txt")))

        assert run("fit --config tiny.yaml").status == 0
        shutil.copytree(folder / RUN, folder / "other")
        yield run
        orders.close()


@pytest.fixture
def fresh(lightseq: Lightseq, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder that commands run in, without what other tests have made."""
    folder = next(Path(tmp_path_factory.getbasetemp()).glob("streams*"))
    for place in [*folder.glob("new/*"), *folder.glob("runs/dinos/version_[1-9]")]:
        shutil.rmtree(place)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PRINT)
def test_a_command_that_prints(name: str, fault: str, lightseq: Lightseq, fresh: Path) -> None:
    """One message, or none where the reader went away."""
    status, _, err = lightseq(PRINT[name], out=fault)
    own = [line for line in err.splitlines() if line.startswith("lightseq:")]
    assert own == ([] if fault == "vanishing" else [f"lightseq: {FAULTS[fault]}"])
    assert status == (0 if fault == "vanishing" else 1)
    assert not re.search("Traceback|Exception ignored|Error", err)
    assert (fresh / "new/seas/pyproject.toml").exists() == (name == "datasets new")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", [name for name in PRINT if name != "board"])
def test_standard_error_changes_nothing(name: str, fault: str, lightseq: Lightseq, fresh: Path) -> None:
    status, out, _ = lightseq(PRINT[name], err=fault)
    assert status == 0
    assert len(out) > 3
    assert "Traceback" not in out


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mistake_has_its_status_without_standard_error(fault: str, lightseq: Lightseq) -> None:
    assert lightseq("sample nowhere", err=fault)[:2] == (2, "")


@pytest.mark.parametrize("fault", FAULTS)
def test_fit_goes_on(fault: str, lightseq: Lightseq, fresh: Path) -> None:
    status, _, err = lightseq(TRAIN["fit"], out=fault)
    assert err.splitlines()[-1] == f"lightseq: {FAULTS[fault]}; training went on: runs/dinos/version_1"
    assert status == (0 if fault == "vanishing" else 1)
    assert "Traceback" not in err
    check_whole(fresh / "runs/dinos/version_1")


@pytest.mark.parametrize("fault", FAULTS)
def test_fit_goes_on_without_standard_error(fault: str, lightseq: Lightseq, fresh: Path) -> None:
    status, out, _ = lightseq(TRAIN["fit"], err=fault)
    assert status == 0
    assert "in runs/dinos/version_1: config.yaml" in out
    check_whole(fresh / "runs/dinos/version_1")
    assert lightseq(TRAIN["fit"], out=fault, err=fault).status == (0 if fault == "vanishing" else 1)
    check_whole(fresh / "runs/dinos/version_2")


@pytest.mark.parametrize("fault", FAULTS)
def test_sweep_goes_on(fault: str, lightseq: Lightseq, fresh: Path) -> None:
    status, _, err = lightseq(TRAIN["sweep"], out=fault)
    folders = [fresh / f"runs/dinos/version_{number}" for number in (1, 2)]
    places = "runs/dinos/version_1, runs/dinos/version_2"
    assert [line for line in err.splitlines() if line.startswith("lightseq:")] == [
        f"lightseq: {FAULTS[fault]}; training went on: {places}"
    ]
    assert status == (0 if fault == "vanishing" else 1)
    for folder in folders:
        check_whole(folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_verify_resume_goes_on(fault: str, lightseq: Lightseq, fresh: Path) -> None:
    status, _, err = lightseq(TRAIN["verify-resume"], out=fault)
    assert [line for line in err.splitlines() if line.startswith("lightseq:")] == [f"lightseq: {FAULTS[fault]}"]
    assert status == (0 if fault == "vanishing" else 1)


def check_whole(folder: Path) -> None:
    """A run that has come to its end, with all that it leaves."""
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.yaml", "results.json", "samples.jsonl", "samples.md", "memory.json"}
    assert json.loads((folder / "results.json").read_text())["step"] == 3
    assert (folder / "checkpoints/last.ckpt").is_file()
    assert not list(folder.rglob("*part*"))


def command(*words: str, folder: Path, out: int, err: int) -> "subprocess.Popen[bytes]":
    """A command as a user types it."""
    return subprocess.Popen([sys.executable, "-m", "lightseq", *words], cwd=folder, stdout=out, stderr=err)


def test_a_reader_of_a_fit_that_goes_away_in_the_middle(fresh: Path) -> None:
    words = [*TRAIN["fit"].split(), "--trainer.max_steps", "60"]
    with command(*words, folder=fresh, out=subprocess.PIPE, err=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"data ")
        process.stdout.close()
        err = process.stderr.read().decode()
        assert process.wait() == 0
    assert err.splitlines()[-1] == "lightseq: standard output went away; training went on: runs/dinos/version_1"
    assert (fresh / "runs/dinos/version_1/results.json").is_file()


def test_a_board_needs_no_standard_error(fresh: Path) -> None:
    with (
        Path("/dev/full").open("wb") as full,
        command("board", RUN, folder=fresh, out=subprocess.PIPE, err=full.fileno()) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"TensorBoard at http://127.0.0.1:")
        process.terminate()
        assert process.wait() == 0


def test_files_are_saved_where_samples_cannot_be_printed(lightseq: Lightseq, fresh: Path) -> None:
    status, _, err = lightseq(f"sample {RUN} --n 2 --save new/saved", out="full")
    assert (status, err.splitlines()[-1]) == (1, f"lightseq: {FAULTS['full']}")
    assert {path.name for path in (fresh / "new/saved").iterdir()} == {"0001.txt", "0002.txt", "samples.tsv"}


def test_a_page_is_the_whole_of_standard_output(lightseq: Lightseq) -> None:
    status, out, err = lightseq(f"inspect {RUN} --text abc --html /dev/stdout")
    assert (status, err) == (0, "wrote /dev/stdout\n")
    assert out.startswith("<!doctype html>")
    assert out.rstrip().endswith("</html>")


def test_results_go_to_standard_error(fresh: Path) -> None:
    environment = {**os.environ, "LIGHTSEQ_RESULTS": "/dev/stderr"}
    words = [sys.executable, "-m", "lightseq", *TRAIN["fit"].split()]
    done = subprocess.run(words, cwd=fresh, env=environment, capture_output=True, text=True, check=True)
    (record,) = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert record["step"] == 3
    assert record["folder"].endswith("runs/dinos/version_1")


def test_a_nearly_full_disk_gets_what_fits(tmp_path: Path) -> None:
    """A guarded stream tries again after an error: a log goes on when there is room."""
    reading, writing = os.pipe()
    with open(writing, "wb", buffering=0) as raw:
        guard = streams.Guarded(raw, raises=False)
        assert guard.write(b"before ") == 7
        full = os.open("/dev/full", os.O_WRONLY)
        kept = os.dup(writing)
        os.dup2(full, writing)
        assert guard.write(b"lost") == 4
        os.dup2(kept, writing)
        assert guard.write(b"after") == 5
        for descriptor in (full, kept):
            os.close(descriptor)
    assert os.read(reading, 100) == b"before after"
    os.close(reading)
    assert guard.failure is not None
    assert guard.failure.strerror == "No space left on device"


def test_a_descriptor_that_does_not_wait_is_waited_for() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    content = bytes(range(256)) * 4096  # more than a pipe holds
    child = os.fork()
    if not child:
        os.close(reading)
        with open(writing, "wb", buffering=0) as raw:
            streams.Guarded(raw, raises=True).write(content)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        assert file.read() == content
    assert os.waitpid(child, 0)[1] == 0


def test_the_streams_of_another_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert cli.main(["--version"]) == 0
    assert (sys.stdout, sys.stderr) == before
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)

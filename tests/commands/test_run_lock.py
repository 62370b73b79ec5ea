"""A run folder is one process's at a time: ``lightseq.commands.run_lock``, and ``fit`` in two processes."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lightseq.commands import run_lock
from lightseq.commands.run_lock import LOCK, held, refusal
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]

QUIET = "--sampling.every_n_steps 0 --sampling.judged 0 --inside.enabled false"
FOLDER = "runs/dinos/version_0"

WAITS = """
import os
import pytorch_lightning as pl

class Waits(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if "LIGHTSEQ_TEST_READY" in os.environ and trainer.global_step == int(os.environ["LIGHTSEQ_TEST_AT"]):
            open(os.environ["LIGHTSEQ_TEST_READY"], "w").close()  # somebody is reading by now
            os.read(int(os.environ["LIGHTSEQ_TEST_HOLD"]), 1)
"""


@pytest.fixture
def training(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a fit in a process of its own, and return when it has come to an update, where it waits."""
    Path("waits.py").write_text(WAITS)
    monkeypatch.syspath_prepend(os.getcwd())
    os.mkfifo("ready")
    reading, writing = os.pipe()
    with ExitStack() as started:

        def start(words: str, at: int) -> subprocess.Popen[bytes]:
            own = {"LIGHTSEQ_TEST_READY": "ready", "LIGHTSEQ_TEST_HOLD": str(reading), "LIGHTSEQ_TEST_AT": str(at)}
            process = subprocess.Popen(
                [sys.executable, "-m", "lightseq", *words.split()],
                env={**os.environ, **own, "PYTHONPATH": os.getcwd()},
                stdout=subprocess.DEVNULL,
                pass_fds=[reading],
            )
            started.callback(process.wait)
            started.callback(process.kill)
            with open("ready", "rb") as ready:  # until it opens the other end
                ready.read()
            return process

        yield start
    os.close(reading)
    os.close(writing)


def test_a_second_fit_of_one_run_is_refused_until_the_first_one_is_dead(
    run: Run, tiny: str, training: Callable[..., subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"fit --config {tiny} {QUIET} --last.every_n_steps 1 --trainer.callbacks+=waits.Waits"
    process = training(words, at=2)
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    holder = f"{FOLDER} is being trained by process {process.pid} on {socket.gethostname()}: "
    for place in (FOLDER, f"{FOLDER}/checkpoints/last.ckpt", "auto"):
        status, _, err = run(f"{words} --resume {place}")
        assert status == 2
        assert err.startswith(f"lightseq: {holder}")
        assert err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()} == before
    assert run(f"{words} --trainer.max_steps 1")[0] == 0  # another run goes its way beside it
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Path(FOLDER, LOCK).is_file()
    status, out, err = run(f"{words} --resume {FOLDER}")
    assert (status, err) == (0, "")
    assert "after update 2" in out
    assert refusal(Path(FOLDER)) is None


def test_auto_does_not_begin_anew_beside_a_run_that_has_no_checkpoint_yet(
    run: Run, tiny: str, training: Callable[..., subprocess.Popen[bytes]]
) -> None:
    words = f"fit --config {tiny} {QUIET} --trainer.callbacks+=waits.Waits --resume auto"
    process = training(words, at=0)
    status, _, err = run(words)
    assert (status, f"process {process.pid} on" in err) == (2, True)
    assert [path.name for path in Path("runs/dinos").iterdir()] == ["version_0"]
    status, _, err = run(f"{words} --model.hidden_size 7")
    assert (status, err) == (0, "lightseq: nothing to go on with in runs/dinos: a fresh start\n")
    process.kill()
    process.wait()
    assert run(words)[0] == 0
    assert sorted(path.name for path in Path("runs/dinos").iterdir()) == ["version_0", "version_1", "version_2"]


def test_a_fit_that_fails_leaves_its_run_free(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("breaks.py").write_text(
        "import pytorch_lightning as pl\n"
        "class Breaks(pl.Callback):\n"
        "    def on_train_batch_end(self, trainer, *_):\n"
        "        if trainer.global_step == 2: raise KeyError('a bug')\n"
    )
    monkeypatch.syspath_prepend(os.getcwd())
    with pytest.raises(KeyError, match="a bug"):
        run(f"fit --config {tiny} {QUIET} --last.every_n_steps 1 --trainer.callbacks+=breaks.Breaks")
    assert Path(FOLDER, LOCK).read_text() == f"{os.getpid()} {socket.gethostname()}\n"
    assert refusal(Path(FOLDER)) is None


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    """As a process that loads data, and lives on for a moment when the trainer is killed."""
    reading, writing = os.pipe()
    born, birth = os.pipe()
    with held(tmp_path):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.write(birth, b"!")
            os.read(reading, 1)
            os._exit(0)
        os.read(born, 1)
        said = refusal(tmp_path)
        assert said is not None
        assert str(said).startswith(f"{tmp_path} is being trained by process {os.getpid()} on {socket.gethostname()}: ")
    assert refusal(tmp_path) is None
    with held(tmp_path):
        pass
    os.close(writing)
    os.waitpid(child, 0)
    for handle in (reading, born, birth):
        os.close(handle)


def test_a_lock_file_of_somebody_else_is_not_taken_at_its_word(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_bytes(b"1 \x1b[31mhost\n" + b"x" * 1000)
    assert refusal(tmp_path) is None
    with held(tmp_path):
        (tmp_path / LOCK).write_bytes(b"1 \x1b[31mhost\n")
        assert str(refusal(tmp_path)).startswith(f"{tmp_path} is being trained by another process: ")


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
def test_what_is_no_file_is_not_locked(kind: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    folder = tmp_path / "run"
    folder.mkdir()
    if kind == "link":
        (folder / LOCK).symlink_to(outside)
    elif kind == "hard link":
        (folder / LOCK).hardlink_to(outside)
    elif kind == "pipe":
        os.mkfifo(folder / LOCK)
    else:
        (folder / LOCK).mkdir()
    with (
        pytest.raises(UserError, match=rf"{LOCK} is a link or no file: remove it"),
        held(folder),
    ):
        pass
    assert outside.read_text() == "kept"


def test_a_file_system_without_locks_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(run_lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "flock", flock)
    with held(tmp_path):
        assert refusal(tmp_path) is None
    said = f"lightseq: the file system of {tmp_path} has no locks: nothing keeps a second fit out of this run\n"
    assert capsys.readouterr().err == said

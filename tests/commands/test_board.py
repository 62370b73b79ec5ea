"""``lightseq board``, typed as a user would."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from torch.utils.tensorboard import SummaryWriter

from lightseq.commands.board import link
from lightseq.errors import UserError

Run = Callable[..., tuple[int, str, str]]

SHOWINGS = 130
"""More than TensorBoard keeps by itself, of texts and pictures."""


def run_folder(name: str, showings: int = 1) -> Path:
    """The events of a short run."""
    folder = Path(name)
    with SummaryWriter(str(folder)) as board:
        for step in range(showings):
            board.add_text("samples/T=0.80", "text", step)
    return folder


@contextmanager
def served(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A board in a process of its own, and its address."""
    command = [sys.executable, "-m", "lightseq", "board", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = next((word for word in process.stdout.readline().split() if word.startswith("http")), "none")
            yield process, address
        finally:
            process.kill()


def answer(address: str, ready: Callable[[Any], bool]) -> Any:
    """What the board says, once it has read the events: it begins to serve before."""
    for _ in range(300):
        with urllib.request.urlopen(address) as page:
            said = json.load(page)
        if ready(said):
            break
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_on_loopback_keeps_all_and_leaves_nothing_behind(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    run_folder("runs/a/version_0", SHOWINGS)
    run_folder("runs/b/version_3/yardsticks/uniform")
    with served("runs/a/version_0", "runs/b") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        names = ["runs/a/version_0", "runs/b/version_3/yardsticks/uniform"]
        assert answer(f"{address}data/runs", lambda said: len(said) == 2) == names
        where = urlencode({"run": names[0], "tag": "samples/T=0.80/text_summary"})
        shown = answer(f"{address}data/plugin/text/text?{where}", lambda said: len(said) == SHOWINGS)
        assert [showing["step"] for showing in shown] == list(range(SHOWINGS))
        process.send_signal(number)
        assert process.communicate() == ("", "")
        assert process.returncode == 0
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(address)
    assert not list((tmp_path / "temporary").glob("lightseq*"))
    assert Path(names[0]).is_dir()


def test_a_port_that_is_taken(run: Run) -> None:
    run_folder("runs/a/version_0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with served("--port", str(port)) as (process, address):
            out, err = process.communicate()
        assert (process.returncode, address, out) == (2, "none", "")
        assert err.count("\n") == 1
        assert err.startswith(f"lightseq: TensorBoard could not bind to port {port}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no folder 'runs'; a run folder looks like runs/dinos/version_0"),
        ("elsewhere/dino/version_7", "no folder 'elsewhere/dino/version_7'; did you mean elsewhere/dino/version_2?"),
        ("empty", "no TensorBoard events in 'empty' or below; a run folder looks like runs/dinos/version_0"),
        ("elsewhere/dino --port 70000", "argument --port: a number between 1 and 65535, not '70000'"),
        ("--prot 1", "unknown argument --prot; did you mean '--port'?"),
    ],
)
def test_mistakes(words: str, message: str, run: Run) -> None:
    run_folder("elsewhere/dino/version_2")
    Path("empty").mkdir()
    assert run(f"board {words}") == (2, "", f"lightseq: {message}\n")


def test_links_stay_in_their_folder_and_out_of_the_runs(tmp_path: Path) -> None:
    for name in ("here/runs/a/version_0", "other/version_1"):
        (tmp_path / name).mkdir(parents=True)
    root = tmp_path / "root"
    root.mkdir()
    os.chdir(tmp_path / "here")
    link([Path(name) for name in ("runs/a/version_0", "runs", "../other", "runs/a")], root)
    links = [path for path in root.rglob("*") if path.is_symlink()]
    elsewhere = (tmp_path / "other").relative_to(tmp_path.anchor)
    assert {path.relative_to(root): path.resolve() for path in links} == {
        Path("runs"): tmp_path / "here" / "runs",
        elsewhere: tmp_path / "other",
    }
    assert [path.name for path in (tmp_path / "here" / "runs").rglob("*")] == ["a", "version_0"]


def test_a_system_without_links_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "root" / "taken").mkdir(parents=True)
    os.chdir(tmp_path)
    with pytest.raises(UserError, match=r"no link to .*taken can be made in .*: File exists"):
        link([Path("taken")], tmp_path / "root")


def test_it_imports_no_torch() -> None:
    run_folder("runs/a/version_0")
    code = (
        "import sys; from lightseq.commands import board; address = board.serve('runs', None)\n"
        "sys.exit('torch is imported' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

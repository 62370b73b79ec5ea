"""Checkpoints on the disk: one is always good, and a damaged one is never taken for it."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pytest
import torch

from lightseq import checkpoint_format
from lightseq.checkpoint import MODEL_SETTINGS, find_checkpoint, load_trained
from lightseq.checkpoint_files import CheckpointFiles
from lightseq.checkpoint_format import damage, write_file
from lightseq.errors import UserError
from lightseq.model import build_model

FOLDER = Path("run/checkpoints")
LAST, PREVIOUS = FOLDER / "last.ckpt", FOLDER / "previous.ckpt"
BEST, SECOND = FOLDER / "best-step=7-val_bpc=2.1000.ckpt", FOLDER / "best-step=9-val_bpc=2.3000.ckpt"


def content(number: int, size: int = 6) -> dict[str, Any]:
    return {"global_step": number, "state_dict": {"weights": torch.full((5, size), float(number))}}


def number(path: Path) -> int:
    """Which checkpoint it is, read as torch reads it."""
    assert damage(path) is None
    return int(torch.load(path, weights_only=True)["global_step"])


def names(folder: Path = FOLDER) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spoil(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    earlier = path.stat().st_mtime - 1  # a change that no clock is too coarse for
    os.utime(path, (earlier, earlier))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


BIG = 30_000
"""A size that a full disk does not hold: 600 kB."""


def test_whatever_reads_the_files_of_torch_reads_these(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    CheckpointFiles().save_checkpoint(content(3), LAST)
    assert names() == ["last.ckpt"]
    for mapped in (False, True):
        read = torch.load(LAST, weights_only=True, mmap=mapped)
        assert read["global_step"] == 3
        assert torch.equal(read["state_dict"]["weights"], torch.full((5, 6), 3.0))
    assert CheckpointFiles().load_checkpoint(LAST)["global_step"] == 3
    with zipfile.ZipFile(LAST) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"lightseq sha256 ")
    assert LAST.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    old = os.umask(0)
    os.umask(old)
    return old


def spread(size: int) -> list[int]:
    """50 places from the first byte to the last, and every one of those at the end that say where the archive ends."""
    return sorted({*torch.linspace(0, size - 1, 50).long().tolist(), *range(size - 110, size)})


def test_one_flipped_bit_anywhere_is_seen() -> None:
    CheckpointFiles().save_checkpoint(content(3), LAST)
    whole, path = LAST.read_bytes(), Path("flipped.ckpt")
    for place in spread(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        assert damage(path) == "does not match its hash", place
    with pytest.raises(UserError, match=r"flipped\.ckpt is no checkpoint, or is damaged: it does not match its hash"):
        CheckpointFiles().load_checkpoint(path)


def test_a_file_cut_at_any_length_is_seen() -> None:
    CheckpointFiles().save_checkpoint(content(3), LAST)
    whole, path = LAST.read_bytes(), Path("cut.ckpt")
    for length in spread(len(whole)):
        path.write_bytes(whole[:length])
        assert damage(path) == ("is cut short" if length else "is empty"), length
    path.write_bytes(whole + b"\0")
    assert damage(path)
    path.write_bytes(bytes(len(whole)))  # what a file system may leave when the power fails
    assert damage(path) == "has not the format of a checkpoint"


def test_files_without_our_hash() -> None:
    path = Path("plain.ckpt")
    torch.save(content(3, 500), path)
    assert damage(path) is None
    assert CheckpointFiles().load_checkpoint(path)["global_step"] == 3
    spoil(path)
    torch.load(path, weights_only=True)  # torch has no objection
    assert damage(path) == "does not match its checksums"
    path.write_text("# a text")
    assert damage(path) == "has not the format of a checkpoint"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no checkpoint")
    assert damage(path) == "has not the format of a checkpoint"
    assert damage(Path("nosuch.ckpt")) == "cannot be read (No such file or directory)"
    for held, words in [
        ([3], "is no checkpoint of lightseq's: it holds a list"),
        ({"a": path}, "torch does not trust"),
    ]:
        torch.save(held, path)
        assert damage(path) is None
        with pytest.raises(UserError, match=rf"plain\.ckpt .*{words}"):
            CheckpointFiles().load_checkpoint(path)


def test_what_is_read_back_must_be_what_was_written() -> None:
    def dump(file: IO[bytes]) -> None:
        torch.save(content(3), file)
        file.flush()
        os.pwrite(file.fileno(), b"?", 200)

    with pytest.raises(OSError, match="what was written does not match its hash"):
        write_file(Path("a.ckpt"), dump)


def test_a_file_that_nothing_touches_is_read_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    CheckpointFiles().save_checkpoint(content(3), "a.ckpt")
    path, examine, read = Path("a.ckpt"), checkpoint_format._examine, list[Path]()

    def counted(path: Path) -> str | None:
        read.append(path)
        return examine(path)

    monkeypatch.setattr(checkpoint_format, "_examine", counted)
    assert damage(path) is damage(path) is None
    assert len(read) == 2  # a change at this very moment would not show in its time
    now = time.time_ns() + 10**10
    monkeypatch.setattr(time, "time_ns", lambda: now)
    assert damage(path) is damage(path) is None
    assert len(read) == 3
    with path.open("ab") as file:
        file.write(b"\0")
    assert damage(path) == damage(path) == "is cut short"
    assert len(read) == 4


def test_the_last_one_becomes_the_previous_one() -> None:
    files = CheckpointFiles()
    for step in (1, 2, 3):
        files.save_checkpoint(content(step), LAST)
        files.save_checkpoint(content(step), BEST)
    assert [number(path) for path in (LAST, PREVIOUS, BEST)] == [3, 2, 3]
    assert names() == sorted(["last.ckpt", "previous.ckpt", BEST.name])
    CheckpointFiles().save_checkpoint(content(4), LAST)  # after a restart
    assert [number(path) for path in (LAST, PREVIOUS)] == [4, 3]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_damaged_last_one_does_not_become_the_previous_one(restarted: bool) -> None:
    files = CheckpointFiles()
    for step in (1, 2):
        files.save_checkpoint(content(step), LAST)
    spoil(LAST)
    (CheckpointFiles() if restarted else files).save_checkpoint(content(3), LAST)
    assert [number(path) for path in (LAST, PREVIOUS)] == [3, 1]


def test_a_full_disk_is_one_warning_and_what_waits_is_written_later(capsys: pytest.CaptureFixture[str]) -> None:
    files = CheckpointFiles()
    for step in (1, 2):
        files.save_checkpoint(content(step), LAST)
    living = content(3, BIG)
    with full_disk():
        with pytest.warns(UserWarning, match=r"last\.ckpt cannot be written after update 3 \(File too large\)"):
            files.save_checkpoint(living, LAST)
        living["state_dict"]["weights"].zero_()
        files.save_checkpoint(content(4, BIG), BEST)
        assert files.retry() == [LAST, BEST]
        assert capsys.readouterr().err == ""
        assert (names(), number(LAST), number(PREVIOUS)) == (["last.ckpt", "previous.ckpt"], 2, 1)
    assert files.retry() == files.retry() == []
    assert [number(path) for path in (LAST, PREVIOUS, BEST)] == [3, 2, 4]
    assert torch.load(LAST, weights_only=True)["state_dict"]["weights"].unique().tolist() == [3.0]
    assert capsys.readouterr().err == "lightseq: checkpoints can be written again, and are on the disk\n"
    with full_disk(), pytest.warns(UserWarning, match="after update 5"):  # and the next time it is told of again
        files.save_checkpoint(content(5, BIG), LAST)


def test_a_newer_one_takes_the_place_of_what_waits() -> None:
    files = CheckpointFiles()
    files.save_checkpoint(content(1), LAST)
    with full_disk():
        with pytest.warns(UserWarning, match="after update 2"):
            files.save_checkpoint(content(2, BIG), LAST)
        files.save_checkpoint(content(3, BIG), LAST)
    files.save_checkpoint(content(4), BEST)  # any further one is an occasion
    assert [number(path) for path in (LAST, PREVIOUS, BEST)] == [3, 1, 4]
    with full_disk(), pytest.warns(UserWarning, match="after update 5"):
        files.save_checkpoint(content(5, BIG), LAST)
    files.save_checkpoint(content(6), LAST)
    assert files.retry() == []
    assert [number(path) for path in (LAST, PREVIOUS)] == [6, 3]


def test_what_is_to_be_removed_stays_until_the_newer_one_is_on_the_disk() -> None:
    files = CheckpointFiles()
    files.save_checkpoint(content(1), SECOND)
    with full_disk():
        with pytest.warns(UserWarning, match="cannot be written"):
            files.save_checkpoint(content(2, BIG), BEST)
        files.remove_checkpoint(SECOND)
        newest = FOLDER / "best-step=11-val_bpc=2.0000.ckpt"
        files.save_checkpoint(content(3, BIG), newest)
        files.remove_checkpoint(BEST)  # it has never been on the disk
        assert files.retry() == [newest]
        assert names() == [SECOND.name]
    assert files.retry() == []
    assert names() == [newest.name]
    files.remove_checkpoint(newest)
    assert names() == []


def test_a_name_that_was_to_be_removed_is_kept_when_it_is_written_anew() -> None:
    files = CheckpointFiles()
    files.save_checkpoint(content(1), BEST)
    with full_disk():
        with pytest.warns(UserWarning, match="cannot be written"):
            files.save_checkpoint(content(2, BIG), LAST)
        files.remove_checkpoint(BEST)
        files.save_checkpoint(content(3), BEST)
    assert files.retry() == []
    assert [number(path) for path in (LAST, BEST)] == [2, 3]


def test_a_folder_that_is_gone_is_made_again_and_one_that_is_a_file_is_waited_for() -> None:
    files = CheckpointFiles()
    files.save_checkpoint(content(1), LAST)
    shutil.rmtree("run")
    files.save_checkpoint(content(2), LAST)
    assert number(LAST) == 2
    shutil.rmtree("run")
    Path("run").touch()
    with pytest.warns(UserWarning, match="cannot be written after update 3"):
        files.save_checkpoint(content(3), LAST)
    files.remove_checkpoint(BEST)
    assert files.retry() == [LAST]
    Path("run").unlink()
    assert files.retry() == []
    assert (names(), number(LAST)) == (["last.ckpt"], 3)


def test_a_mistake_of_ours_is_raised_and_leaves_nothing() -> None:
    files = CheckpointFiles()
    files.save_checkpoint(content(1), LAST)
    with pytest.raises(AttributeError, match="pickle"):
        files.save_checkpoint({"state_dict": lambda: None}, LAST)
    assert (names(), number(LAST), files.retry()) == (["last.ckpt"], 1, [])


def test_what_a_killed_process_left_goes_with_the_next_checkpoint() -> None:
    FOLDER.mkdir(parents=True)
    left, other = FOLDER / ".last.ckpt.0123.lightseq-part", FOLDER / "notes.txt"
    left.touch()
    other.touch()
    assert not list(FOLDER.glob("*.ckpt"))
    CheckpointFiles().save_checkpoint(content(1), BEST)
    assert names() == sorted([BEST.name, "notes.txt"])


@pytest.fixture
def run_folder() -> Path:
    """A run with four checkpoints of a model that was never trained."""
    settings = dict.fromkeys(MODEL_SETTINGS) | {"vocabulary": ["", "a", "b"], "backbone": "lstm", "embedding_size": 3}
    settings |= {"hidden_size": 4, "num_layers": 1, "dropout": 0.0, "tie_head": False}
    weights = {f"model.{name}": value for name, value in build_model(**settings).state_dict().items()}
    files = CheckpointFiles()
    for path, changed in [(PREVIOUS, 10), (SECOND, 30), (BEST, 20), (LAST, 40)]:
        files.save_checkpoint({"hyper_parameters": settings, "state_dict": weights}, path)
        os.utime(path, (changed, changed))
    return Path("run")


def test_the_next_best_is_used_instead_of_a_damaged_one(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order, passed = [BEST, SECOND, LAST, PREVIOUS], []
    for path, follower in pairwise(order):
        assert find_checkpoint(run_folder) == path
        spoil(path)
        passed.append(f"{path} does not match its hash")
        assert find_checkpoint(run_folder) == load_trained(run_folder).path == follower
        assert capsys.readouterr().err == f"lightseq: {'; '.join(passed)}; {follower.name} is used instead\n"
    PREVIOUS.write_bytes(b"")
    with pytest.raises(UserError, match=rf"no checkpoint is good: {BEST} does not .*; {PREVIOUS} is empty$"):
        load_trained(run_folder)


def test_what_to_go_on_from(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The last one, the previous one, then the newest; what is damaged is told of once, and so is a stranger's."""
    assert find_checkpoint(run_folder, last=True) == LAST
    torch.save({"weights": torch.zeros(3)}, LAST)
    assert find_checkpoint(run_folder, last=True) == find_checkpoint(run_folder, last=True) == PREVIOUS
    stranger = f"{LAST} is no checkpoint of lightseq's: it lacks vocabulary"
    assert capsys.readouterr().err == f"lightseq: {stranger}; {PREVIOUS.name} is used instead\n"
    passed = [stranger]
    for path, follower in ((PREVIOUS, SECOND), (SECOND, BEST)):
        spoil(path)
        passed.append(f"{path} does not match its hash")
        assert find_checkpoint(run_folder, last=True) == follower
        assert capsys.readouterr().err == f"lightseq: {'; '.join(passed)}; {follower.name} is used instead\n"
    spoil(BEST)
    with pytest.raises(UserError, match="no checkpoint is good: "):
        find_checkpoint(run_folder, last=True)


def test_a_damaged_file_that_is_asked_for_is_refused_and_a_good_one_beside_it_named(run_folder: Path) -> None:
    spoil(LAST)
    told = rf"{LAST} is no checkpoint, or is damaged: it does not match its hash; previous\.ckpt beside it is good$"
    with pytest.raises(UserError, match=told):
        find_checkpoint(LAST)
    for path in (PREVIOUS, SECOND, BEST):
        path.unlink()
    with pytest.raises(UserError, match=r"it does not match its hash$"):
        load_trained(LAST)


FAULTS = """
import io, itertools, json, os, random, shutil, signal, sys, time, warnings
from contextlib import redirect_stderr
from pathlib import Path
import torch
from lightseq.checkpoint_files import CheckpointFiles
from lightseq.checkpoint_format import damage

torch.set_num_threads(1)
FOLDER = Path("run.ckpts/checkpoints")
LAST, PREVIOUS = FOLDER / "last.ckpt", FOLDER / "previous.ckpt"
ALL = ("open", "os.mkdir", "os.scandir", "os.listdir", "os.rename", "os.link", "os.remove")
fault = None

def hook(event, values):
    if fault is not None and event in ALL and "run.ckpts" in str(values[0]):
        fault(event)

def at(place, act):
    count = itertools.count()
    return lambda event: act() if next(count) == place else None

def since(place, act):
    count = itertools.count()
    return lambda event: act() if next(count) >= place else None

def no_links(event):
    if event == "os.link":
        fail()

def fail():
    hits.append(1)
    raise OSError(30, "Read-only file system")

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def content(step, size=5):
    return {"global_step": step, "weights": torch.full((size, 100), float(step))}

def good():
    return [torch.load(p, weights_only=True)["global_step"] for p in (LAST, PREVIOUS) if not damage(p)]

def names():
    return sorted(os.listdir(FOLDER))

def two():
    shutil.rmtree("run.ckpts", ignore_errors=True)
    shutil.copytree("two", FOLDER)
    return CheckpointFiles()

def failing(make):
    global fault
    files = two()
    hits.clear()
    with warnings.catch_warnings(record=True) as told, redirect_stderr(io.StringIO()) as note:
        warnings.simplefilter("always")
        fault = make
        files.save_checkpoint(content(3), LAST)
        fault = None
        before = good()
        left = [str(path) for path in files.retry()]
    return {"hits": len(hits), "told": len(told), "note": note.getvalue(), "before": before, "left": left,
            "after": good(), "names": names()}

def killed(place):
    global fault
    two()
    child = os.fork()
    if not child:
        fault = at(place, die)
        CheckpointFiles().save_checkpoint(content(3), LAST)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    before = good()
    CheckpointFiles().save_checkpoint(content(4), LAST)
    return {"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, "before": before, "after": good(),
            "names": names()}

def killed_at_random(draw, first):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        files = CheckpointFiles()
        for step in itertools.count(first):
            files.save_checkpoint(content(step, 5000), LAST)
            os.write(writing, b".")
    os.close(writing)
    os.read(reading, 1)
    time.sleep(draw.random() * 0.03)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    done = first
    while data := os.read(reading, 1000):
        done += len(data)
    os.close(reading)
    return {"done": done, "good": good(), "inside": any(name.endswith("part") for name in names())}

hits = []
files = CheckpointFiles()
for step in (1, 2):
    files.save_checkpoint(content(step), LAST)
shutil.move(FOLDER, "two")
sys.addaudithook(hook)
out = {"links": failing(no_links), "once": [], "ever": [], "kills": [], "random": []}
for name, when in (("once", at), ("ever", since)):
    while not out[name] or out[name][-1]["hits"]:
        out[name].append(failing(when(len(out[name]), fail)))
while not out["kills"] or out["kills"][-1]["signal"]:
    out["kills"].append(killed(len(out["kills"])))
draw = random.Random(0)
two()
while len(out["random"]) < 10:
    first = out["random"][-1]["done"] + 10 if out["random"] else 3
    out["random"].append(killed_at_random(draw, first))
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of saves that failed or were killed, at each operation on files that they do: the interpreter's audit
    hook raises or kills before it. The same, killed at random moments, the writing of bytes among them."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    words = ["timeout", "-k", "5", "60", sys.executable, "-c", FAULTS]
    folder = tmp_path_factory.mktemp("faults")
    done = subprocess.run(words, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kind", ["once", "ever"])
def test_an_error_at_any_operation_ends_nothing_and_loses_nothing(kind: str, faults: dict[str, Any]) -> None:
    trials = faults[kind]
    assert len(trials) > 8
    for trial in trials:
        assert (trial["after"][0], trial["left"], trial["names"]) == (3, [], ["last.ckpt", "previous.ckpt"]), trial
        assert trial["before"] in (trial["after"], [2, 1], [2, 2]), trial
        failed = trial["before"][0] != 3
        assert trial["told"] == failed, trial
        assert trial["note"] == "lightseq: checkpoints can be written again, and are on the disk\n" * failed
    assert {trial["before"][0] for trial in trials} == {2, 3}
    unread = [
        trial["after"] for trial in trials if trial["after"] != [3, 2]
    ]  # what cannot be read is not known as good
    assert unread == [[3, 1]] * (kind == "once")


def test_a_file_system_without_links_keeps_a_previous_one_too(faults: dict[str, Any]) -> None:
    assert (faults["links"]["hits"], faults["links"]["before"], faults["links"]["told"]) == (1, [3, 2], 0)


def test_a_kill_before_any_operation_leaves_the_last_one_good(faults: dict[str, Any]) -> None:
    *trials, whole = faults["kills"]
    assert len(trials) > 8
    for trial in trials:
        assert trial["before"] in ([2, 1], [2, 2], [3, 2]), trial
        assert trial["after"] == [4, trial["before"][0]], trial
        assert trial["names"] == ["last.ckpt", "previous.ckpt"], trial
    assert [2, 2] in [trial["before"] for trial in trials]  # between the two renames both names are one file
    assert whole["after"] == [4, 3]


def test_a_kill_at_a_random_moment_costs_one_checkpoint_at_most(faults: dict[str, Any]) -> None:
    for trial in faults["random"]:
        assert trial["good"][0] in (trial["done"], trial["done"] + 1), trial
        assert len(trial["good"]) == 2
    assert any(trial["inside"] for trial in faults["random"])

"""``fit`` on a disk that is full: before its first update, and until its end."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from injection.disks import fill
from injection.files import small_disk

Run = Callable[..., tuple[int, str, str]]

QUIET = "--sampling.judged 0 --inside.enabled false"

FILLS = """
import shutil
from pathlib import Path
import pytorch_lightning as pl
from injection.disks import fill

class Fills(pl.Callback):
    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == 1:
            fill(Path("disk"))

class Removes(pl.Callback):
    def on_train_end(self, trainer, *_):
        shutil.rmtree(Path(trainer.log_dir, "checkpoints"))
"""


@pytest.fixture
def disk(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A small disk at ``disk``, with room."""
    Path("fills.py").write_text(FILLS)
    monkeypatch.syspath_prepend(os.getcwd())
    with small_disk(Path("disk").absolute()) as found:
        if not found:
            pytest.skip("nothing can be mounted here")
        yield Path("disk")


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_disk_that_is_full_at_the_beginning_is_one_message(run: Run, tiny: str, disk: Path) -> None:
    words = f"fit --config {tiny} {QUIET} --trainer.default_root_dir {disk}"
    fill(disk)
    status, _, err = run(words)
    assert status == 2
    assert err == (
        "lightseq: disk/dinos/version_0 cannot be written (No space left on device). Make room there, or choose "
        "another place with --trainer.default_root_dir\n"
    )
    assert list(disk.rglob("*")) == [disk / "filling"]
    (disk / "filling").unlink()
    status, out, err = run(words)
    assert (status, err) == (0, "")
    assert "disk/dinos/version_0" in out


def test_a_run_is_as_it_was_where_a_full_disk_keeps_it_from_going_on(
    run: Run, tiny: str, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"fit --config {tiny} {QUIET} --trainer.default_root_dir {disk}"
    monkeypatch.setenv("LIGHTSEQ_STOP_AFTER", "1")
    assert run(words)[0] == 143
    monkeypatch.delenv("LIGHTSEQ_STOP_AFTER")
    fill(disk)
    before = files(disk)
    status, _, err = run(f"{words} --resume auto")
    assert status == 2
    assert err.startswith("lightseq: disk/dinos/version_0 cannot be written (No space left on device). ")
    assert err.count("\n") == 1
    assert files(disk) == before
    (disk / "filling").unlink()
    status, out, err = run(f"{words} --resume auto")
    assert (status, err) == (0, "")
    assert "after update 1" in out


@pytest.mark.filterwarnings("default:.*No space left on device:UserWarning")
def test_a_disk_that_is_full_to_the_end_is_no_success(run: Run, tiny: str, disk: Path) -> None:
    status, out, err = run(
        f"fit --config {tiny} {QUIET} --trainer.default_root_dir {disk} --trainer.callbacks+=fills.Fills"
    )
    assert "best, after update 3" in out  # training went on
    assert status == 1
    last = err.splitlines()[-1]
    assert last.startswith("lightseq: disk/dinos/version_0/checkpoints/")
    assert ".ckpt (and 1 more) is not on the disk, and lost: make room there" in last
    assert "Traceback" not in err
    left = files(disk / "dinos")
    assert not [path for path, content in left.items() if path.suffix in (".part", ".ckpt", ".json") or not content]


def test_a_run_without_a_checkpoint_at_its_end_is_no_success(
    run: Run, tiny: str, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("fills.py").write_text(FILLS)
    monkeypatch.syspath_prepend(own_folder)
    words = f"fit --config {tiny} {QUIET} --trainer.callbacks+=fills.Removes"
    status, _, err = run(words)
    assert status == 1
    assert err == (
        "lightseq: runs/dinos/version_0/checkpoints/last.ckpt is not there: it was removed, or never written\n"
    )


@pytest.mark.parametrize("word", ["--trainer.enable_checkpointing false", "--trainer.fast_dev_run true"])
def test_a_run_that_writes_no_checkpoint_by_choice_is_a_success(word: str, run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} {QUIET} {word}")
    assert status == 0, err
    assert not list(Path().rglob("*.ckpt"))

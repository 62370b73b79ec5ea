"""Files that are damaged, cannot be written, or go away.

Each function raises ``BrokenError`` where something does not hold that must.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from random import Random
from types import MappingProxyType

import torch

from lightseq.checkpoint import find_checkpoint, read_checkpoint
from lightseq.errors import UserError

from .disks import fill
from .life import BrokenError
from .shop import Run

HARMED = 30
"""The update after which harm is done."""

TOLD = "training goes on"
"""In a warning."""

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a flipped bit": lambda content: flipped(content, len(content) // 2),
    "a text": lambda content: b"To be, or not to be\n" * 100,
    "of another program": lambda content: stored({"weights": torch.zeros(3), "epoch": 4}),
    "of another program of Lightning's": lambda content: stored({"state_dict": {"w": torch.zeros(3)}, "epoch": 4}),
}
"""What may have become of a checkpoint."""


def damaged(run: Run, damage: str) -> None:
    """The last checkpoint is damaged: it is named, and the run goes on from the one before."""
    interrupt(run)
    last, before = run.place / "checkpoints" / "last.ckpt", run.good()["previous"]
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    life = run.finish()
    life.must(life.updates("begin") == [before], f"began after update {life.updates('begin')}, not {before}")
    life.must("last.ckpt" in life.text, "the damaged file is not named")


def flips(run: Run, places: int, dice: Random) -> None:
    """One bit of a checkpoint flipped, at so many places one by one: each is found, the file named, and the one before
    is taken."""
    interrupt(run)
    last = run.place / "checkpoints" / "last.ckpt"
    content, before = last.read_bytes(), last.with_name("previous.ckpt")
    for place in dice.sample(range(len(content)), places):
        last.write_bytes(flipped(content, place))
        try:
            read_checkpoint(last)
        except UserError as error:
            said = str(error)
        else:
            raise BrokenError(f"a bit flipped in byte {place} of {len(content)} was not found")
        found = find_checkpoint(run.place, last=True)
        if str(last) not in said or found != before:
            raise BrokenError(f"byte {place}: told {said!r}, and would go on with {found}")
    last.write_bytes(content)
    if find_checkpoint(run.place, last=True) != last:
        raise BrokenError("the whole one is not taken")


def interrupt(run: Run) -> None:
    """Kill it after a few saves."""
    with run.start(harm=f"die {HARMED} 0") as life:
        life.must(life.end() == 128 + signal.SIGKILL, "it did not kill itself")
    life.must(set(run.good()) == {"last", "previous"}, f"has {run.good()}")


def flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]


def stored(content: object) -> bytes:
    file = BytesIO()
    torch.save(content, file)
    return file.getvalue()


def unwritable(run: Run, harm: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """``disk_full`` or ``read_only`` for a while, ``no_checkpoints`` or ``no_run_folder`` once: training goes on, that
    is told once, and checkpoints are written again as soon as they can be.

    Args:
        run: One that has not begun.
        harm: Which of them.
        environment: Of a ``small_disk`` that the run stands on, to be filled.
    """
    passes = harm in ("disk_full", "read_only")
    with run.start(harm=f"{harm} {HARMED} 0" + f" {2 * HARMED}" * passes, environment=environment) as life:
        status = life.end()
    told = life.lines(TOLD)
    life.must(status == 0, f"ended with {status}")
    life.must(harm == "no_run_folder" or "Traceback" not in life.text, "a traceback")  # one of TensorBoard's thread
    life.must(len(set(told)) == len(told), f"told again: {told}")
    life.must(sum("last.ckpt" in line for line in told) == passes, f"told of it: {told}")
    life.must(min(run.good().values()) > 2 * HARMED, f"has {run.good()}")
    life.must(bool(list(run.place.glob("checkpoints/best-*.ckpt"))), "the best is gone")
    run.compare(run.whole, weights_only=True)


def full_at_the_beginning(run: Run, environment: Mapping[str, str]) -> None:
    """Check a disk that is full before a run begins: one message, nothing left behind, a fresh start with room.

    Args:
        run: One that has not begun.
        environment: Of a ``small_disk`` that the run stands on.
    """
    if not environment:
        raise BrokenError("no small disk can be mounted here")
    disk = Path(environment["WITNESS_DISK"])
    fill(disk)
    with run.start(environment=environment) as life:
        status = life.end()
    life.must(status == 2, f"ended with {status}")
    life.must(len(life.lines("cannot be written (No space left on device)")) == 1, "the full disk is not told once")
    life.must("Traceback" not in life.text, "a traceback")
    left = [path.name for path in disk.rglob("*") if path.is_file()]
    life.must(left == ["filling"], f"left behind: {left}")
    (disk / "filling").unlink()
    run.finish()


def full_to_the_end(run: Run, environment: Mapping[str, str]) -> None:
    """Check a disk that stays full: training goes on to its end, the exit status says that the last checkpoint is lost,
    nothing is half written, and the run goes on from an older checkpoint when there is room.

    Args:
        run: One that has not begun.
        environment: Of a ``small_disk`` that the run stands on, to be filled.
    """
    with run.start(harm=f"disk_full {HARMED} 0 {run.updates + 1}", environment=environment) as life:
        status = life.end()
    life.must(status == 1, f"ended with {status}")
    life.must(life.last("update") == run.updates, f"trained to update {life.last('update')}")
    life.must(len(life.lines("is not on the disk, and lost")) == 1, "the lost checkpoint is not told once")
    life.must("Traceback" not in life.text, "a traceback")
    told = life.lines(TOLD)
    life.must(len(set(told)) == len(told), f"told again: {told}")
    half = [path.name for path in run.place.rglob("*part") if path.is_file()]
    life.must(not half, f"half written: {half}")
    life.must(0 < run.good()["last"] <= HARMED, f"has {run.good()}")
    if environment:
        Path(environment["WITNESS_DISK"], "filling").unlink()
    run.finish()


def full_log(run: Run, environment: Mapping[str, str]) -> None:
    """Check a disk of the terminal's log that stays full: the run ends like an undisturbed one, with exit status 1.

    Args:
        run: One that has not begun.
        environment: Of a ``small_disk`` that the log is on, to be filled.
    """
    if not environment:
        raise BrokenError("no small disk can be mounted here")
    log = Path(environment["WITNESS_DISK"], "log.txt")
    with run.start(harm=f"log_full {HARMED} 0", environment=environment, log=log) as life:
        status = life.end()
    life.must(status == 1, f"ended with {status}")
    run.compare(run.whole)


def reader_gone(run: Run) -> None:
    """Check a reader of the output that goes away: the run ends like an undisturbed one."""
    pipe = run.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with run.start(log=pipe) as life:
        life.wait_for(lambda event: event["phase"] == "update" and event["update"] == HARMED)
        os.close(reader)
        status = life.end()
    life.must(status == 0, f"ended with {status}")
    run.compare(run.whole)


@contextmanager
def small_disk(folder: Path) -> Iterator[dict[str, str]]:
    """A disk of a few megabytes at a folder that is made, where one can be mounted: the environment that says so."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield {}
        return
    try:
        yield {"WITNESS_DISK": str(folder)}
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

"""Memory of a command and of all processes that it starts, looked at from outside every few milliseconds.

Resident memory is of two kinds. What a process *holds* is its own (anonymous) memory, which nobody can take from it.
*File pages* are what it has looked at of files, libraries and memory maps: the system's copy, dropped when others need
the room.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep, time
from typing import NamedTuple

EVERY = 0.02
"""Seconds from look to look: an allocation of 100 MB takes longer to be filled."""


class Watched(NamedTuple):
    """A command that has ended."""

    began: float
    """By ``time.time()``."""
    seconds: float
    out: str
    held: int
    """Bytes, the highest sum over its processes."""
    pages: int
    """The same of file pages: those that processes share are in it once for each of them."""


def watched(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Watched:
    """Run a command in a folder.

    Raises:
        SystemExit: It failed, or the system does not say what processes hold.
    """
    if sys.platform != "linux":
        raise SystemExit("what a process holds is known from Linux's /proc alone")
    held = pages = 0
    began, start = time(), perf_counter()
    with (folder / "out").open("w+") as out, (folder / "err").open("w+") as err:
        process = subprocess.Popen(command, cwd=folder, env=dict(environment), stdout=out, stderr=err)
        try:
            while process.poll() is None:
                sizes = [resident(pid) for pid in family(process.pid)]
                held = max(held, sum(own for own, _ in sizes))
                pages = max(pages, sum(of_files for _, of_files in sizes))
                sleep(EVERY)
        finally:
            process.terminate()
            process.wait()
        seconds = perf_counter() - start
        out.seek(0), err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)[-300:]}\nended with {process.returncode}:\n{err.read()[-3000:]}")
        return Watched(began, seconds, out.read(), held, pages)


def family(pid: int) -> Iterator[int]:
    """A process and all that it has started."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
        except OSError:  # it has ended meanwhile
            continue
        for child in children:
            yield from family(int(child))


def resident(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, and of its file pages."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    kilobytes = dict(line.split()[:2] for line in status.splitlines() if line.startswith(("RssAnon", "RssFile")))
    return int(kilobytes.get("RssAnon:", 0)) << 10, int(kilobytes.get("RssFile:", 0)) << 10

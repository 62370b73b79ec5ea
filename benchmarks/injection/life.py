"""A command that is started, watched from outside, and killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .shop import Run

SHOWN = 1000
"""Characters of an output's end."""

Event = Mapping[str, Any]
"""A line of what ``witness.py`` writes."""


class BrokenError(AssertionError):
    """What had to survive did not."""


class Life:
    """One start of a command, in a session of its own; leaving the context ends whatever is left of it.

    Args:
        run: Whose next life it is.
        words: The command line, without ``lightseq``.
        harm: As ``WITNESS_HARM`` has it.
        environment: Beside the shop's.
        log: The file or pipe that standard output and error go to; None is a file in the run's folder.
    """

    def __init__(
        self, run: "Run", words: list[str], harm: str, environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        self.run, self.began, self._events, self._read = run, time.time(), list[Event](), 0
        self.file = run.folder / f"events-{len(run.lives)}.jsonl"
        self.output = log or run.folder / f"output-{len(run.lives)}.txt"
        self.file.touch()
        own = {"WITNESS_EVENTS": str(self.file), "WITNESS_HARM": harm or "none"}
        environment = {**run.shop.environment, **environment, **own}
        self.poll: Callable[[], int | None]
        if run.shop.nursery is not None:
            self.pid, self.poll = run.shop.nursery.start(words, run.folder, environment, self.output)
        else:
            limit = ["timeout", "-k", "5", "300"] if shutil.which("timeout") else []
            with self.output.open("a") as out:
                process = subprocess.Popen(
                    [*limit, sys.executable, "-m", "lightseq", *words],
                    cwd=run.folder,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.pid, self.poll = process.pid, process.poll

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.poll() is None or any(map(alive, self.pids.values())):
            self.kill()

    @property
    def events(self) -> list[Event]:
        with self.file.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # the last line may be half written
        self._read += len(new)
        self._events += map(json.loads, new.splitlines())
        return self._events

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.is_file() else ""

    @property
    def pids(self) -> dict[int, int]:
        """By rank, of those that have begun."""
        return {event["rank"]: event["pid"] for event in self.events}

    def updates(self, phase: str, rank: int = 0) -> list[int]:
        """The update that each event of a phase came after."""
        return [event["update"] for event in self.events if (event["phase"], event["rank"]) == (phase, rank)]

    def last(self, phase: str, rank: int = 0) -> int:
        """The update of the last event of a phase; 0 where there is none."""
        return max(self.updates(phase, rank), default=0)

    def count(self, phase: str, update: int) -> int:
        """How many events of a phase there were after an update, on the first rank."""
        return self.updates(phase).count(update)

    def lines(self, words: str) -> list[str]:
        """Of the output those with some words in them."""
        return [line for line in self.text.splitlines() if words in line]

    def wait_for(self, what: Callable[[Event], bool], count: int = 1, seconds: float = 60) -> bool:
        """Wait until so many events were of a kind; false where the life ends before."""
        end = time.time() + seconds
        while sum(map(what, self.events)) < count:
            if self.poll() is not None:
                return False
            if time.time() > end:
                raise BrokenError(f"nothing of it within {seconds} s\n{self.text[-SHOWN:]}")
            time.sleep(0.0005)
        return True

    def end(self, seconds: float = 120) -> int:
        """Wait until all ranks are gone.

        Returns:
            The exit status of the command, 128 + n where signal n ended it.

        Raises:
            BrokenError: One is not, after so many seconds.
        """
        last = time.time() + seconds
        while (status := self.poll()) is None or any(map(alive, self.pids.values())):
            if time.time() > last:
                left = [rank for rank, pid in self.pids.items() if alive(pid)]
                raise BrokenError(f"ranks {left} still there after {seconds:.0f} s\n{self.text[-SHOWN:]}")
            time.sleep(0.002)
        return status if status >= 0 else 128 - status

    def kill(self) -> None:
        """As a machine that goes down."""
        os.killpg(self.pid, signal.SIGKILL)
        self.end()

    def must(self, holds: bool, what: str) -> None:
        """
        Raises:
            BrokenError: It does not hold.
        """
        if not holds:
            raise BrokenError(f"{what}; {self.run.folder}\n{self.text[-SHOWN:]}")


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its exit status."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:  # no /proc, or gone by now
        return not Path("/proc/self").exists()
    except ProcessLookupError:
        return False

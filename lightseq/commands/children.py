"""Processes that a verb starts: what stops it stops them."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import FrameType
from typing import IO

from ..errors import Stopped

STOPS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a process. Its status says which: 128 more where it could see to it, else less than 0."""

IMPATIENT = 1.0
"""Seconds after which another one ends it at once; who stops a process and its group may send two."""


ISOLATED = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "import runpy; runpy.run_module('lightseq', run_name='__main__', alter_sys=True)"
)
"""Runs ``python -m lightseq`` without the working folder in front of what is installed, on Python 3.10."""


def fit_command(words: Sequence[str]) -> list[str]:
    """Return the command of a fit whose imports the files in the working folder cannot replace."""
    if sys.version_info >= (3, 11):
        return [sys.executable, "-P", "-m", "lightseq", "fit", *words]
    return [sys.executable, "-c", ISOLATED, "fit", *words]


def run_child(
    command: Sequence[str], environment: Mapping[str, str], out: IO[bytes] | None = None, err: IO[bytes] | None = None
) -> int:
    """Run a process to its end. What stops this one meanwhile stops that one, in its own way; a second time at once.

    Args:
        command: What to run.
        environment: All of its variables.
        out: Where it writes; None is where this process does.
        err: Where it complains.

    Returns:
        Its status.

    Raises:
        Stopped: This process was asked to stop; the other one has ended.
    """
    before = {number: signal.signal(number, _stop) for number in STOPS}
    try:
        isolated = {**environment, "PYTHONSAFEPATH": "1"}  # the processes that it starts are isolated too
        process = subprocess.Popen(command, env=isolated, stdout=out, stderr=err)
        try:
            return process.wait()
        except Stopped as stop:
            again = partial(_stop_again, time.monotonic())
            for number in STOPS:
                signal.signal(number, again)
            try:
                process.send_signal(stop.number)  # a terminal tells it too, what else stops this process may not
                process.wait()
            finally:
                process.kill()  # nothing where it has ended
                process.wait()
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stopped_by(status: int) -> int | None:
    """The signal that ended a process, by its status; None where it came to its own end."""
    return next((number for number in STOPS if status in (128 + number, -number)), None)


def _stop_again(since: float, number: int, frame: FrameType | None) -> None:
    if time.monotonic() - since > IMPATIENT:
        raise Stopped(number)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)

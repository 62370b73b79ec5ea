"""Standard output and standard error that may be closed, full, or without a reader.

``guarded`` puts streams in their place which keep the first error of the system. What becomes of it is up to the
command: a training goes on without its output, a command that prints ends.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Variables that number the processes of a run, by what starts them."""


class Guarded(io.RawIOBase):
    """Write to a standard stream, and keep its first error.

    Args:
        raw: Where to write.
        raises: Whether the first error is raised; nothing is written after it. Else no error is raised, and each
            write is tried: a full disk may have room again.
    """

    def __init__(self, raw: io.RawIOBase, raises: bool) -> None:
        self._raw, self._raises = raw, raises
        self.name = "<guarded>"
        self.failure: OSError | None = None
        self.told = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, content: Any) -> int:
        """Write all bytes; return how many there are."""
        view = memoryview(content).cast("B")
        if self._raises and self.failure is not None:
            return len(view)
        done = 0
        try:
            while done < len(view):
                written = self._raw.write(view[done:])
                if written is None:  # the descriptor does not wait, another program has left it so
                    select.select([], [self._raw], [])
                done += written or 0
        except OSError as error:
            first = self.failure is None
            self.failure = self.failure or error
            if self._raises and first:
                raise
        return len(view)


@contextmanager
def guarded(raises: bool) -> Iterator[None]:
    """Make standard output and standard error keep their first error within the context.

    Streams that are not those of the process (of a test, a notebook) are left alone. An error of standard error is
    never raised.

    Args:
        raises: Whether an error of standard output is raised.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None or _is_own(stream, descriptor):
            setattr(sys, name, _guard(stream, descriptor, raises and name == "stdout"))
        elif isinstance(stream, io.TextIOWrapper):  # a model may write what a terminal cannot show
            stream.reconfigure(errors="replace")
    after = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in after:
            with suppress(OSError):
                stream.flush()
            if failure(stream) is not None:  # what the interpreter writes when it ends must not fail
                _discard(stream.fileno())
        sys.stdout, sys.stderr = before


def failure(stream: TextIO) -> OSError | None:
    """Return the first error of a stream within ``guarded``; None if it works or is not guarded."""
    raw = _raw_of(stream)
    return raw.failure if isinstance(raw, Guarded) else None


def output_failure() -> OSError | None:
    """Flush standard output, and return its first error."""
    with suppress(OSError):  # it is kept
        sys.stdout.flush()
    return failure(sys.stdout)


def tell_output_failure(more: str = "") -> None:
    """Report an error of standard output once, on standard error, in the first process of a run.

    Args:
        more: What else there is to say.
    """
    raw, error = _raw_of(sys.stdout), output_failure()
    if error is None or not isinstance(raw, Guarded) or raw.told:
        return
    raw.told = True
    if first_of_run():
        print(f"lightseq: {_words(error)}{more}", file=sys.stderr, flush=True)


def status_of(status: int) -> int:
    """Return the exit status of a command: 1 if its standard output could not be written.

    A reader that went away has what it wanted, and is no failure: a script with ``set -o pipefail`` goes on.

    Args:
        status: Of the command itself; what is not 0 stays.
    """
    error = output_failure()
    if error is None or isinstance(error, BrokenPipeError):
        return status
    return status or int(first_of_run())  # one process that fails would have the others ended


def first_of_run() -> bool:
    """Return whether this is the first process of a run, or its only one."""
    return not any(int(os.environ.get(name) or 0) for name in RANKS)


def _words(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "standard output went away"
    reason = "it is closed" if error.errno == errno.EBADF else error.strerror or error
    return f"standard output cannot be written ({reason})"


def _fill_closed() -> None:
    """Occupy the descriptors 0, 1 and 2 where they are closed, else the next file that is opened gets the number, and
    what a library prints goes into that file. Writing to them fails as it does to a closed one."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDONLY)
            if opened == descriptor:
                os.set_inheritable(opened, True)  # a process that this one starts has the same trouble
            else:
                os.dup2(opened, descriptor)
                os.close(opened)


def _is_own(stream: Any, descriptor: int) -> bool:
    """Return whether a stream is the process's own, with that descriptor."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == descriptor
    except (OSError, ValueError):  # in memory, or closed
        return False


def _guard(stream: io.TextIOWrapper | None, descriptor: int, raises: bool) -> io.TextIOWrapper:
    """Return a stream like the given one that keeps its first error."""
    if stream is None:
        raw: Any = io.FileIO(descriptor, "w", closefd=False)
        return io.TextIOWrapper(io.BufferedWriter(Guarded(raw, raises)), "utf-8", "replace", line_buffering=True)
    with suppress(OSError):
        stream.flush()
    raw = getattr(stream.buffer, "raw", stream.buffer)  # that of python -u is the raw one
    guard = Guarded(raw, raises)
    buffer: Any = guard if raw is stream.buffer else io.BufferedWriter(guard)
    return io.TextIOWrapper(
        buffer,
        stream.encoding,
        "replace",  # a model may write what a terminal cannot show: no reason to stop
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _raw_of(stream: Any) -> Any:
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _discard(descriptor: int) -> None:
    """Send what is written to a descriptor to the null device from now on."""
    opened = os.open(os.devnull, os.O_WRONLY)
    os.dup2(opened, descriptor)
    os.close(opened)

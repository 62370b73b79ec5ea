"""A process that has imported lightseq, and forks for each trial: python server.py WORKPLACE.

An order is a line of JSON on standard input, its answer a line on standard output. Where the system permits it, a trial
can write to its own folder and to nothing else.
"""

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path
from typing import Any

SECONDS = 20
"""After which a trial counts as hanging."""

MEMORY = 6 << 30
"""Bytes of data that a trial may have."""

LONGEST = 1 << 20
"""Bytes of output that are kept."""

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000

LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, flags: int, kind: str | None = None) -> None:
    """mount(2).

    Raises:
        OSError: It is not permitted.
    """
    if LIBC.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None):
        raise OSError(ctypes.get_errno(), f"{target} cannot be mounted")


def close_in(workplace: str) -> None:
    """Make everything but a folder read-only for this process and its children, and take the network away.

    Raises:
        OSError: It is not permitted.
    """
    if LIBC.unshare(CLONE_NEWNS | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no mounts of its own")
    mount("none", "/", MS_REC | MS_PRIVATE)
    mount(workplace, workplace, MS_BIND)
    mount("none", "/dev/shm", 0, "tmpfs")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        place = line.split()[4].encode().decode("unicode_escape")
        if place not in (workplace, "/dev/shm"):
            with contextlib.suppress(OSError):  # another's mount on top of it hides it
                mount("none", place, MS_REMOUNT | MS_BIND | MS_RDONLY)


def close_in_further(workplace: str, folder: str) -> None:
    """Make all of the workplace read-only, but for a folder in it."""
    if LIBC.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no mounts of its own")
    mount(folder, folder, MS_BIND)
    mount("none", workplace, MS_REMOUNT | MS_BIND | MS_RDONLY)


def serve(workplace: str) -> None:
    """Answer orders until there are none."""
    try:
        close_in(workplace)
        closed = True
    except OSError:
        closed = False
    for name in ("lightseq.commands.train", "lightseq.commands.sample", "torch._dynamo", "fuzzing.inputs"):
        import_module(name)
    gc.freeze()  # what has been imported need not be taken apart at the end of each trial
    print(json.dumps({"closed": closed}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        order |= {"workplace": workplace, "closed": closed}
        print(json.dumps(answer(order)), flush=True)


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Run a trial in a process of its own.

    Returns:
        Its status (below 0 by a signal, None where it hangs), its output and its complaint.
    """
    files = [os.memfd_create(name) for name in ("made", "out", "err")]
    child = os.fork()
    if not child:
        try:
            trial(order, files)
        finally:
            os._exit(97)  # an error of the harness
    status = wait(child)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    made, out, err = (os.pread(file, LONGEST, 0).decode("utf-8", "replace") for file in files)
    for file in files:
        os.close(file)
    return {"status": status, "out": out, "err": err, "made": made}


def wait(child: int) -> int | None:
    """The status of a child; None after killing one that takes too long."""
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def trial(order: dict[str, Any], files: list[int]) -> None:
    """Run the command that an order has, or one with the input that it says how to make; ends the process."""
    from fuzzing.inputs import make
    from lightseq import cli

    os.setsid()
    folder = Path(order["folder"])
    made, out, err = files
    try:
        if order["closed"] and "kind" in order:
            close_in_further(order["workplace"], str(folder))
        here = folder / "here"
        for name in ("here", "tmp", "home", "cache"):
            (folder / name).mkdir()
        os.chdir(here)
        os.environ.update({"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")})
        os.environ["LIGHTSEQ_CACHE"] = str(folder / "cache")
        tempfile.tempdir = None  # what was looked up while importing is not this trial's
        words, environment = order.get("words"), dict[str, str]()
        if words is None:
            material = Path(order["workplace"], "material")
            words, environment = make(order["kind"], order["seed"], order["number"], material)
        before = {str(path): path.lstat().st_mtime_ns for path in sorted(here.rglob("*"))}
        told = {"words": words, "environment": environment, "before": before}
        os.write(made, json.dumps(told).encode())
    except BaseException:
        os.write(made, json.dumps({"harness": traceback.format_exc()}).encode())
        os._exit(98)
    os.environ.update(environment)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, file in enumerate((nothing, out, err)):
        os.dup2(file, target)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    run(cli.main, words)


def run(main: Any, words: list[str]) -> None:
    """Call the command line as its own process would, and end."""
    status = 1
    try:
        status = main(words) or 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status & 0xFF)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    serve(sys.argv[1])

"""A lock on a run folder: one process at a time trains in it. Windows has no such lock, and there nothing is locked."""

import errno
import os
import re
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from .report import note
from .run_folder import unwritable_run

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
"""Lies in a run folder, and stays there. The kernel's lock on it counts, not the file."""

UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What file systems without locks answer."""

HOLDER = re.compile(rb"(\d{1,10}) ([A-Za-z0-9._-]{1,64})\n")
"""What the holder writes into the file: its process and its host."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lock a run folder for this process. The lock ends with the process, also when it is killed.

    Args:
        folder: An existing run folder.

    Raises:
        UserError: Another process holds it, or the lock file cannot be written.
    """
    if sys.platform == "win32":
        yield
        return
    handle = _acquire(folder)
    try:
        _ours.add(handle)
        yield
    finally:
        _ours.discard(handle)
        os.close(handle)


def _acquire(folder: Path) -> int:
    """Open the lock file, lock it, and write down who has it.

    Raises:
        UserError: As ``held``.
    """
    handle = None
    try:
        handle = _open(folder / LOCK, os.O_RDWR | os.O_CREAT)
        _lock(handle, folder)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
    except (OSError, UserError) as error:
        if handle is not None:
            os.close(handle)
        raise unwritable_run(folder, error) if isinstance(error, OSError) else error from None
    return handle


def refusal(folder: Path) -> UserError | None:
    """Return the message about a run folder that another process has locked; None where none has.

    Args:
        folder: A run folder, which this process does not hold.
    """
    if sys.platform == "win32":
        return None
    try:
        handle = _open(folder / LOCK, os.O_RDWR)
    except OSError:  # no process has ever held it, or this one may not
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _refusal(handle, folder)
    except OSError:  # no locks here
        return None
    finally:
        os.close(handle)
    return None


_ours = set[int]()
"""The open lock files of this process."""


def _leave_to_parent() -> None:
    """Close the lock files in a forked child, which would keep the lock of a parent that has been killed."""
    for handle in _ours:
        os.close(handle)
    _ours.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)


def _open(path: Path, flags: int) -> int:
    """Open a lock file, whose content is overwritten; a link or a pipe in its place is refused.

    Raises:
        UserError: It is no regular file, or a hard link to one.
    """
    wrong = UserError(f"{path} is a link or no file: remove it, and try again")
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise wrong from error
        raise
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise wrong
    return handle


def _lock(handle: int, folder: Path) -> None:
    """Take the lock if the file system has locks.

    Raises:
        UserError: Another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refusal(handle, folder) from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        note(f"the file system of {folder} has no locks: nothing keeps a second fit out of this run")


def _refusal(handle: int, folder: Path) -> UserError:
    match = HOLDER.fullmatch(os.pread(handle, 100, 0))
    holder = f"process {match[1].decode()} on {match[2].decode()}" if match else "another process"
    return UserError(
        f"{folder} is being trained by {holder}: two cannot train in one run folder. Wait until that process has "
        "ended, or stop it; leave out --resume for another run"
    )

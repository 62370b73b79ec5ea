"""Whole files: at any moment a name has the old content or the new one.

A regular file is replaced: the new content is written to a temporary file in the same folder, flushed to the disk, and
renamed. What is not a regular file (a pipe, a device, an open descriptor such as ``/dev/stdout``) is written to.
"""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from .errors import UserError

LINKS = 40
"""Symbolic links that are followed, as many as Linux follows."""

DESCRIPTORS = ("/dev/fd", "/proc/self/fd", "/proc/thread-self/fd")
"""Folders whose entries are the open descriptors of this process."""


def write_whole(place: Path, content: str | bytes) -> None:
    """Replace the content of a file, or leave it as it was.

    Args:
        place: As for ``open_whole``.
        content: Text is written as UTF-8.

    Raises:
        OSError: As ``open_whole``.
    """
    with open_whole(place) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_whole(place: Path) -> Iterator[BinaryIO]:
    """Open a temporary file, and rename it to the given name when all is written.

    The permissions of an old file are kept, and its owner where the system allows. A symbolic link is followed: its
    target is replaced, and the link stays, because the link was made by somebody who wants the content at the target.

    Args:
        place: A file, a new name in a folder, or what can be written to.

    Raises:
        OSError: It cannot be written, or may not be; a regular file is as it was.
    """
    descriptor = open_descriptor(place)
    if descriptor is not None:
        with _descriptor_file(descriptor) as file:
            yield file
        return
    check_writable(place)
    if place.exists() and not place.is_file():
        with place.open("wb") as file:
            yield file
        return
    target = Path(os.path.realpath(place))
    beside = target.with_name(f".lightseq-{uuid4().hex}.part")  # short: the target's own name may be of full length
    try:
        with beside.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            _copy_owner(target, beside)
        os.replace(beside, target)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def check_writable(place: Path) -> None:
    """Raise the error that writing a file would meet, before anything is written.

    Raises:
        OSError: It is a folder, may not be written, or cannot be made where it is to be.
    """
    descriptor = open_descriptor(place)
    if descriptor is not None:
        os.fstat(descriptor)
        return
    if "\0" in str(place):
        raise OSError(errno.EINVAL, "no name has a zero byte")
    if place.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
    folder = place.parent
    if place.exists():
        if not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, "it may not be written", str(place))
        if not place.is_file():
            return
        folder = Path(os.path.realpath(place)).parent if place.is_symlink() else folder
    elif place.is_symlink():
        raise FileNotFoundError(errno.ENOENT, "it is a link to a file that is not there", str(place))
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {str(folder)!r}", str(place))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, f"the folder {str(folder)!r} cannot be written", str(place))


def open_descriptor(place: Path) -> int | None:
    """Return the open descriptor that a path such as ``/dev/stdout`` stands for; None for any other path."""
    path = os.path.abspath(place)
    if "\0" in path:
        return None
    folders = {os.path.realpath(folder) for folder in DESCRIPTORS}
    for _ in range(LINKS):
        folder, name = os.path.split(path)
        folder = os.path.realpath(folder)
        if folder in folders and name.isascii() and name.isdigit():
            return int(name)
        try:
            path = os.path.normpath(os.path.join(folder, os.readlink(path)))
        except (OSError, ValueError):  # no link
            return None
    return None


def append_whole(place: Path, text: str) -> None:
    """Append text to a file, or leave the file as it was.

    Args:
        place: A file, which is made where it is missing, or what can be written to.
        text: What to add.

    Raises:
        OSError: It cannot be written.
    """
    is_new = not os.path.lexists(place)
    with place.open("ab", buffering=0) as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        before = os.fstat(file.fileno()).st_size
        rest = memoryview(text.encode())
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[file.write(rest) :]
        except OSError:
            if regular:
                file.truncate(before)
            if is_new:
                place.unlink()
            raise


def cannot_write(what: str | Path, error: OSError) -> UserError:
    """Return the message about a file that the user has named and that cannot be written."""
    return UserError(f"{what} cannot be written: {error.strerror or error}")


@contextmanager
def _descriptor_file(descriptor: int) -> Iterator[BinaryIO]:
    """Open a descriptor as a file; a standard stream is flushed before and after."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(io.UnsupportedOperation):  # a stream in memory has no descriptor
            if stream.fileno() == descriptor:
                stream.flush()
                yield stream.buffer
                stream.flush()
                return
    with open(os.dup(descriptor), "wb") as file:
        yield file


def _copy_owner(old: Path, new: Path) -> None:
    """Give a new file the permissions of the one it replaces, and its owner if that is allowed."""
    status = os.stat(old)
    if sys.platform != "win32":
        with suppress(OSError):  # only root may give files away, and some file systems have no owners
            os.chown(new, status.st_uid, status.st_gid)
    os.chmod(new, stat.S_IMODE(status.st_mode))

"""The user's cache: encoded texts, downloads, and what was found out about them. It may be deleted at any time."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from ..errors import UserError

READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of a folder that may not be written to."""


def cache_folder() -> Path:
    """``LIGHTSEQ_CACHE``, else ``lightseq`` in the user's cache folder."""
    own = os.environ.get("LIGHTSEQ_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "lightseq"


def unusable(folder: Path, error: OSError) -> UserError:
    """The message about a cache that cannot be read or written."""
    return UserError(
        f"the cache folder {folder} cannot be used ({error.strerror or error}); LIGHTSEQ_CACHE names another"
    )


def place_of(*parts: str) -> Path:
    """A place in the cache. What is there is whole, and may be read without a lock.

    Args:
        parts: The folder within the cache, if any, and the name.
    """
    return cache_folder().joinpath(*parts)


@contextmanager
def locked(*parts: str, read_only: bool = False) -> Iterator[Path]:
    """A place in the cache, held by one process of a machine at a time, to write to it.

    Args:
        parts: As for ``place_of``.
        read_only: Whether to go on without a lock where the folder is read-only.

    Raises:
        UserError: The folder cannot be made or written.
    """
    place = place_of(*parts)
    file = Path(f"{place}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # the lock itself would wait for ever where no file can be made
        lock = FileLock(file)
        lock.acquire()
    except OSError as error:
        if read_only and error.errno in READ_ONLY:
            yield place
            return
        raise unusable(place.parent, error) from error
    try:
        yield place
    finally:
        lock.release()

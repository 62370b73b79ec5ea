"""The user's cache: encoded texts, downloads, and what was found out about them. It may be deleted at any time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from ..errors import UserError


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


@contextmanager
def locked(*parts: str) -> Iterator[Path]:
    """A place in the cache, held by one process of a machine at a time.

    Args:
        parts: The folder within the cache, if any, and the name.

    Raises:
        UserError: The folder cannot be made or written.
    """
    place = cache_folder().joinpath(*parts)
    file = Path(f"{place}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        file.touch()  # the lock itself would wait for ever where no file can be made
        lock = FileLock(file)
        lock.acquire()
    except OSError as error:
        raise unusable(place.parent, error) from error
    try:
        yield place
    finally:
        lock.release()

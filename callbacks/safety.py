"""Looking on never ends the training."""

import errno
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from pytorch_lightning.loggers import Logger

from ..errors import quote

LOGS = ("log_metrics", "log_hyperparams", "log_graph", "save", "after_save_checkpoint", "finalize")
"""What Lightning calls of a logger while it trains."""

_told: set[str] = set()
"""What has failed and been told of, in this run: a picture that fails at every showing is one warning."""


@contextmanager
def safely(what: str) -> Iterator[None]:
    """While something looks on that training does not need: whatever it raises is one warning, and training goes on.
    A full disk, at which all fail, is one warning in all. Nothing that waits for other processes may stand within it:
    the one that fails would leave them waiting.

    Args:
        what: The thing that fails, as the warning names it: "the samples' sound".
    """
    try:
        yield
    except Exception as error:
        full = _full_disk(error)
        key = "a full disk" if full else what
        if key not in _told:
            _told.add(key)
            more = ", and without whatever else finds no room" if full else ""
            warnings.warn(f"{what}: {quote(full or error)}; training goes on without{more}", stacklevel=3)


def _full_disk(error: BaseException | None) -> OSError | None:
    """Return the full disk behind an error: TensorBoard's logger raises another one, with this as its cause."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None


def guard(loggers: Iterable[Logger]) -> None:
    """A run begins: what failed in the one before it is told of again, and a logger that fails at what Lightning asks
    of it, a full disk or a folder that is gone, is one warning. Its methods are replaced, each once, in the object
    alone."""
    _told.clear()
    for logger in loggers:
        for name in LOGS:
            method = getattr(logger, name)
            if not (isinstance(method, partial) and method.func is _called):
                vars(logger)[name] = partial(_called, f"{type(logger).__name__}.{name}", method)


def _called(what: str, method: Callable[..., Any], *values: Any, **named: Any) -> None:
    with safely(what):
        method(*values, **named)

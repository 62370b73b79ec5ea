"""Looking on never ends the training."""

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
    Nothing that waits for other processes may stand within it: the one that fails would leave them waiting.

    Args:
        what: The thing that fails, as the warning names it: "the samples' sound".
    """
    try:
        yield
    except Exception as error:
        if what not in _told:
            _told.add(what)
            warnings.warn(f"{what}: {quote(error)}; training goes on without", stacklevel=3)


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

"""Looking on never ends the training."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import quote

_told: set[str] = set()
"""What has failed and been told of, in this process: a picture that fails at every showing is one warning."""


@contextmanager
def safely(what: str) -> Iterator[None]:
    """While something looks on that training does not need: whatever it raises is one warning, and training goes on.

    Args:
        what: The thing that fails, as the warning names it: "the samples' sound".
    """
    try:
        yield
    except Exception as error:
        if what not in _told:
            _told.add(what)
            warnings.warn(f"{what}: {quote(error)}; training goes on without", stacklevel=3)

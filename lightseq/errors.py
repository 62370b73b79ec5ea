"""The mistakes of a user, as one short message: what, where, and what would be right."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake of the user's. The command line prints its message alone and exits with 2; our own bugs keep
    their traceback. ``LIGHTSEQ_DEBUG=1`` shows the traceback of these too."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'lstm'?"`` for a near miss of a known name, else the empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""

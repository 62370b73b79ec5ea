"""Messages on standard error."""

import sys

from .errors import printable
from .streams import first_of_run


def note(text: str) -> None:
    """Something the user should know, on standard error; of several processes the first says it."""
    if first_of_run():
        print(printable(f"lightseq: {text}"), file=sys.stderr)

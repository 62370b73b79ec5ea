"""``lightseq compare``: runs side by side."""

import os
from collections.abc import Sequence

from ...errors import UserError
from .. import Parser
from .records import read_run


def run(verb: str, words: Sequence[str]) -> int:
    """Read the runs and print what they reached, in which settings they differ, and what they wrote.

    Raises:
        UserError: Fewer than two runs, or a path that is no run.
    """
    parser = Parser(verb, "Runs side by side: their numbers, the settings that differ, and their last samples.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, two at least: runs/dinos/version_0 ...")
    folders = {os.path.abspath(place): os.path.normpath(place) for place in parser.parse_args(words).runs}
    places = list(folders.values())
    if len(places) < 2:
        raise UserError(f"{verb} takes two runs at least, and {places[0]!r} is one")
    runs = [read_run(place) for place in places]

    from .tables import lines  # it lays out with rich, which --help need not wait for

    print("\n".join(lines(runs)))
    return 0

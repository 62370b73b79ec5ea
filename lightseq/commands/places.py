"""Where runs are: what to say of a path that holds none."""

import difflib
from collections.abc import Iterator
from pathlib import Path

RUNS = "runs"
"""The folder that ``fit`` puts its runs into."""


def nearest_run(place: str) -> str:
    """``"; did you mean runs/dinos/version_0?"``, from the run folders below the path, beside it, or in ``runs``; where
    none is like it, what one looks like."""
    near = difflib.get_close_matches(place, [str(run) for run in _runs_about(Path(place))], n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else "; a run folder looks like runs/dinos/version_0"


def _runs_about(path: Path) -> Iterator[Path]:
    """Run folders at most two levels below the path, a folder above it that exists, and ``runs``."""
    above = [folder for folder in (path, *path.parents[:2]) if folder.is_dir()]
    for folder in dict.fromkeys([*above, Path(RUNS)]):
        for pattern in ("version_*", "*/version_*"):
            yield from (found for found in sorted(folder.glob(pattern)) if found.is_dir())

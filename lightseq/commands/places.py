"""Where runs are: what to say of a path that holds none."""

import difflib
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

RUNS = "runs"
"""The folder that ``fit`` puts its runs into."""


SEARCHED = 20_000
"""Entries of folders that are looked at below a path, which may be the root of a disk."""


def version_of(folder: Path) -> int:
    """The number in the name of a run folder, -1 where it has none."""
    match = re.fullmatch("version_([0-9]{1,18})", folder.name)
    return int(match[1]) if match else -1


def numbered_runs(runs: Path) -> list[Path]:
    """The run folders of a dataset, by their numbers."""
    return sorted((folder for folder in runs.glob("version_*") if version_of(folder) >= 0), key=version_of)


def has_events(folder: Path) -> bool:
    """Whether files of TensorBoard's lie in a folder or below, among the first ``SEARCHED`` entries."""
    entries = (name for _, folders, names in os.walk(folder) for name in (*folders, *names))
    return any("tfevents" in name for name in islice(entries, SEARCHED))


def nearest_run(place: str) -> str:
    """``"; did you mean runs/dinos/version_0?"``, from the run folders below the path, beside it, or in ``runs``; where
    none is like it, what one looks like."""
    near = difflib.get_close_matches(place, [str(run) for run in _runs_about(Path(place))], n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else "; a run folder looks like runs/dinos/version_0"


def _runs_about(path: Path) -> Iterator[Path]:
    """Run folders at most two levels below the path, a folder above it that exists, and ``runs``."""
    above = [folder for folder in (path, *path.parents[:2]) if os.path.isdir(folder)]
    for folder in dict.fromkeys([*above, Path(RUNS)]):
        for pattern in ("version_*", "*/version_*"):
            try:
                found = sorted(folder.glob(pattern))
            except OSError:  # a folder that goes away meanwhile
                continue
            yield from filter(Path.is_dir, found)

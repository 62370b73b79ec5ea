"""Samples in files of the run folder: the lasting record, whatever logger there is."""

import json
import re
from collections.abc import Callable
from pathlib import Path

from ..atomic import append_whole
from .safety import safely
from .showing import Showing

RECORD, PAGE = "samples.jsonl", "samples.md"

HEADING = re.compile(rb"## Update ([\d,]+)$")
"""Of a showing on the page."""

LONGEST = 1 << 24
"""Bytes of a line; with more it is none of ours."""


def write(folder: Path, showing: Showing) -> None:
    """Append a showing to ``samples.jsonl``, a line a sample, and to ``samples.md``, to be read."""
    lines = [
        json.dumps({"step": showing.update, "epoch": showing.epoch, **sample._asdict()}) + "\n"
        for sample in showing.samples
    ]
    with safely(RECORD):
        _append(folder / RECORD, "".join(lines))
    with safely(PAGE):
        _append(folder / PAGE, f"{showing.page()}\n")


def keep(folder: Path, update: int) -> None:
    """Drop what was shown after an update: a run goes on from there, and will show it again."""

    def is_later(line: bytes) -> bool:
        return not line.endswith(b"\n") or json.loads(line)["step"] > update  # a killed run may leave half of one

    def begins_later(line: bytes) -> bool:
        heading = HEADING.match(line)
        return heading is not None and int(heading[1].replace(b",", b"")) > update

    with safely(RECORD):
        _cut(folder / RECORD, is_later)
    with safely(PAGE):
        _cut(folder / PAGE, begins_later)


def _cut(path: Path, is_later: Callable[[bytes], bool]) -> None:
    """Cut a file off before the first line that is later; what is shown stands in the order of its updates."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        begin = 0
        while line := file.readline(LONGEST):
            if len(line) == LONGEST or is_later(line):
                file.truncate(begin)
                return
            begin += len(line)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_fifo():
        raise OSError(f"{path} is a pipe")  # to open it may take for ever
    append_whole(path, text)

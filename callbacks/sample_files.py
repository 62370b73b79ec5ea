"""Samples in files of the run folder: the lasting record, whatever logger there is."""

import json
import re
from pathlib import Path

from ..atomic import append_whole, write_whole
from .safety import safely
from .showing import Showing

RECORD, PAGE = "samples.jsonl", "samples.md"

HEADING = re.compile(r"^## Update ([\d,]+)$", re.MULTILINE)
"""Of a showing on the page."""


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
    record, page = folder / RECORD, folder / PAGE
    with safely(RECORD):
        if record.is_file():
            lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # a run that is killed may leave half of one
            write_whole(record, "".join(line for line in whole if json.loads(line)["step"] <= update))
    with safely(PAGE):
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            later = (match for match in HEADING.finditer(text) if int(match[1].replace(",", "")) > update)
            write_whole(page, text[: first.start()] if (first := next(later, None)) else text)


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_fifo():
        raise OSError(f"{path} is a pipe")  # to open it may take for ever
    append_whole(path, text)

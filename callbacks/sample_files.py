"""Samples in files of the run folder: the lasting record, whatever logger there is."""

import json
from pathlib import Path

from .safety import safely
from .showing import Showing

RECORD, PAGE = "samples.jsonl", "samples.md"


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


def _append(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)

"""``lightseq compare``: runs side by side."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import config
from ..errors import UserError
from . import Parser
from .places import nearest_run

END = 1 << 22
"""Bytes of a run's samples that are looked at."""

RECORDS = ("config.yaml", "results.json", "samples.jsonl")
"""What a run leaves in its folder for others to read; a folder with none of it is none."""

Key = tuple[str, float, int]
"""A sample's prompt, temperature and number."""


class Showing(NamedTuple):
    """The samples that a run showed last."""

    update: int
    texts: dict[Key, str]


class Run(NamedTuple):
    """What a run's folder says; a record that is missing or damaged is empty, and noted."""

    place: str
    settings: dict[str, Any]
    """By dotted key."""
    results: dict[str, Any]
    showing: Showing
    notes: list[str]


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

    from .side_by_side import lines  # it lays out with rich, which --help need not wait for

    print("\n".join(lines(runs)))
    return 0


def read_run(place: str) -> Run:
    """What is in a run's folder.

    Raises:
        UserError: No such folder, or nothing of a run's in it.
    """
    folder = Path(place)
    if not any(os.path.isfile(folder / name) for name in RECORDS):
        what = "no run in" if os.path.isdir(folder) else "no folder"
        raise UserError(f"{what} {place!r}{nearest_run(place)}")
    read = Run(place, {}, {}, Showing(0, {}), [])
    for name, reader in zip(RECORDS, (_read_settings, _read_results, _read_samples), strict=True):
        file = folder / name
        if name == "config.yaml":
            file = config.newest_config(folder) or file  # of a run that went on, what it went on with
        if not os.path.lexists(file):
            read.notes.append(f"{place} has no {name}")
            continue
        if not (os.path.isfile(file) and config.is_within(file, folder)):  # a pipe may never end
            read.notes.append(f"{file} is no file of the run's folder")
            continue
        try:
            read = reader(read, _read_end(file) if name == "samples.jsonl" else config.read_file(file))
        except (OSError, ValueError, RecursionError) as error:  # a UserError is a ValueError
            read.notes.append(f"{file} cannot be read: {error}")
    return read


def _read_end(file: Path) -> str:
    """Return the last lines of a file, as many as are whole in its last ``END`` bytes: the last samples are there."""
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - END))
        if size > END:
            opened.readline()
        return opened.read(END).decode("utf-8")


def _read_settings(read: Run, text: str) -> Run:
    return read._replace(settings=dict(flat(config.read_settings(text, "it").values)))


def _read_results(read: Run, text: str) -> Run:
    results = json.loads(text)
    if not isinstance(results, dict):
        raise ValueError("it is no mapping of names to numbers")
    return read._replace(results=dict(flat(results)))


def _read_samples(read: Run, text: str) -> Run:
    showing, damaged = Showing(0, {}), 0
    for line in filter(str.strip, text.split("\n")):
        try:
            sample = json.loads(line)
            update, said = int(sample["step"]), str(sample["text"])
            key = (str(sample["prompt"]), float(sample["temperature"]), int(sample["number"]))
        except (ValueError, TypeError, KeyError, OverflowError):
            damaged += 1
            continue
        if update != showing.update:
            showing = Showing(update, {})
        showing.texts[key] = said
    if damaged:
        read.notes.append(f"{damaged} lines of {read.place}/samples.jsonl cannot be read, and are left out")
    return read._replace(showing=showing)


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """``{"model": {"dropout": 0.5}}`` -> ``("model.dropout", 0.5)``; an empty mapping is none."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value

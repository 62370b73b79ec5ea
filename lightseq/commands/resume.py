"""Which run a ``fit`` goes on with, and whether it is the same one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoint import find_checkpoint
from ..checkpoint_files import good_checkpoints
from ..config import Settings, read_settings
from ..errors import UserError
from .report import note

AUTO = "auto"

FREE = {
    "resume",
    "resume_with_changes",
    "ckpt_path",
    "data.tokens",
    "data.label_names",
    "trainer.default_root_dir",
    "trainer.enable_progress_bar",
    "trainer.devices",  # how many processes there are is compared with the checkpoint's number
    "trainer.num_nodes",
}
"""Settings in which a run and its continuation may differ."""

SHOWN = 4
"""Changed settings that a message names."""


class Resumed(NamedTuple):
    """A run to go on with."""

    path: Path
    """Its checkpoint."""
    changes: list[str]
    """Settings that are others now, a line each."""


def find_resumed(place: str, runs: Path, now: Settings, with_changes: bool) -> Resumed | None:
    """The checkpoint to go on from; None where there is none yet.

    Args:
        place: A run folder, a checkpoint, or ``auto``: the newest run that has not ended and has the same settings.
        runs: The folder of the dataset's runs.
        now: The settings of this run, resolved.
        with_changes: Go on although settings differ.

    Raises:
        UserError: No such place, or settings that differ.
    """
    if place == AUTO:
        return _newest(runs, now, with_changes)
    given = Path(place)
    if given.is_dir():
        path = next(iter(good_checkpoints(given)), None) or find_checkpoint(given, last=True)
    else:
        path = find_checkpoint(given, last=True)
    changes = changed(run_of(path), now)
    if changes and not with_changes:
        raise UserError(
            f"{_listed(changes)}: a resumed run is the same run. --resume_with_changes true goes on all the same, "
            f"--init_from {place} starts a new run from its weights"
        )
    return Resumed(path, changes)


def _newest(runs: Path, now: Settings, with_changes: bool) -> Resumed | None:
    """Of the runs that have not ended; what is passed over is told."""
    numbered = [folder for folder in runs.glob("version_*") if folder.name[8:].isdigit()]
    for folder in sorted(numbered, key=lambda folder: int(folder.name[8:]), reverse=True):
        if (folder / "results.json").exists() or not any(folder.glob("checkpoints/*.ckpt")):
            continue
        changes = changed(folder, now)
        if changes and not with_changes:
            note(f"{folder} has not ended, and is another run: {_listed(changes)}")
            continue
        if path := next(iter(good_checkpoints(folder)), None):
            return Resumed(path, changes)
    note(f"nothing to go on with in {runs}: a fresh start")
    return None


def run_of(path: Path) -> Path | None:
    """The run folder that a checkpoint lies in; None where it lies anywhere else."""
    return path.parent.parent if path.parent.name == "checkpoints" else None


def changed(folder: Path | None, now: Settings) -> list[str]:
    """Settings that are others now than in the configuration which a run was last begun with, a line each."""
    files = [] if folder is None else [folder / "config.yaml", *folder.glob("config.resume-*.yaml")]
    written = [file for file in files if file.is_file()]
    if not written:
        return []
    newest = max(written, key=lambda file: file.stat().st_mtime_ns)
    then = _flat(read_settings(newest.read_text(encoding="utf-8"), str(newest)).values)
    lines = []
    for key, value in _flat(now.values).items():
        old = then.get(key)
        chosen = key == "trainer.precision" and value is None  # where it is left open, that of the checkpoint is taken
        if key not in FREE and old != value and not chosen and not (key == "seed_everything" and value is True):
            place = f"{now.places[key]}: " if key in now.places else ""
            lines.append(f"{place}{key} was {_shown(old)} in {folder}, and is {_shown(value)} now")
    return lines


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = dict[str, Any]()
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        elif value != {}:
            flat[f"{prefix}{key}"] = value
    return flat


def _listed(lines: list[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)

"""Which run a ``fit`` goes on with, and whether it is the same one."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..callbacks.results import ENDED
from ..checkpoint import UNFINISHED, find_checkpoint
from ..checkpoint_format import Signature, signature
from ..config import Settings, is_within, newest_config, read_file, read_settings
from ..errors import UserError
from ..transfer import ARCHITECTURE
from .places import numbered_runs
from .report import note
from .run_folder import runs_of
from .run_lock import refusal

AUTO = "auto"

FREE = {
    "ckpt_path",
    "init_from",
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
    with_changes: bool
    """Whether it may be another run in anything else."""
    found: Signature
    """The checkpoint's file before it is read."""


def take_resumed(settings: Any, resolved: Callable[[], Settings]) -> Resumed | None:
    """The run that a fit's ``resume`` means, its checkpoint as ``ckpt_path``; None where there is none yet.

    Args:
        settings: Of the fit; they keep nothing of the wish itself, for a later run that reads them.
        resolved: Gives the same with everything resolved, and where it is said.

    Raises:
        UserError: No such run, one that is another by its settings, or a checkpoint as well.
    """
    place, with_changes = settings["resume"], settings["resume_with_changes"]
    settings["resume"], settings["resume_with_changes"] = None, False
    if place is None:
        if with_changes:
            raise UserError("--resume_with_changes says how --resume goes on: name a run, or auto")
        return None
    if not place:
        raise UserError("--resume is empty: name a run folder or a checkpoint, or auto")
    if settings["trainer"]["logger"] not in (None, True):
        raise UserError(
            "--resume goes on in a run folder of lightseq's own, and trainer.logger has another: --ckpt_path begins a "
            "new run from a checkpoint"
        )
    if place != AUTO and settings.get("ckpt_path") is not None:
        raise UserError("--resume goes on with a run, --ckpt_path begins another from its checkpoint: name one")
    runs = runs_of(settings["trainer"]["default_root_dir"], settings["data"]["dataset"])
    now = resolved()
    found = _newest(runs, now, with_changes) if place == AUTO else _given(Path(place), now, with_changes)
    if found:
        settings["ckpt_path"] = str(found.path)
    return found


def check_files(folder: Path, trust: bool) -> None:
    """Refuse to go on in a run folder where a file is something else: what is written there would go elsewhere.

    Args:
        folder: Of the run.
        trust: Whether links may lead out of the folder.

    Raises:
        UserError: A pipe or a device, a link that leads out of the folder, or a hard link. Checkpoints and their
            temporary files may be hard links: they are replaced or removed, and not written to.
    """
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in (*folders, *files)):
            if path.is_symlink() and not trust and not is_within(path, folder):
                raise UserError(f"{path} is a link that leads out of the run folder: remove it, or add --trust")
            is_checkpoint = path.name.endswith((".ckpt", UNFINISHED))
            if not trust and path.is_file() and not is_checkpoint and path.lstat().st_nlink > 1:
                raise UserError(f"{path} has another name elsewhere: put a copy in its place, or add --trust")
            if os.path.lexists(path) and not path.is_symlink() and not path.is_file() and not path.is_dir():
                raise UserError(f"{path} is neither a file nor a folder: remove it to go on with the run")


def check_unchanged(resumed: Resumed) -> None:
    """Refuse to go on from a checkpoint that another process has replaced since it was found.

    Args:
        resumed: A run that this process holds.

    Raises:
        UserError: Its checkpoint is gone, or another file.
    """
    if not resumed.path.exists() or signature(resumed.path) != resumed.found:
        raise UserError(f"another process has written {resumed.path} just now: type the same command again")


def check_not_ended(resumed: Resumed, content: Mapping[str, Any]) -> None:
    """Refuse to go on with the same run where it has come to its end.

    Raises:
        UserError: It has.
    """
    folder = run_of(resumed.path)
    if folder is not None and (folder / ENDED).exists():
        raise UserError(
            f"{folder} has ended, after update {content['global_step']}: a longer run needs --resume_with_changes true "
            "and a higher --trainer.max_epochs or --trainer.max_steps"
        )


def check_same(stored: Mapping[str, Any], processes: int, text: str | None, place: str) -> None:
    """Refuse to go on where the run could not be the same.

    Args:
        stored: What the checkpoint says of the run.
        processes: How many there are here.
        text: The key of the text here; None where it may be another.
        place: The checkpoint.

    Raises:
        UserError: Another number of processes, or another text.
    """
    if stored["world_size"] != processes:
        raise UserError(
            f"{place} is of a run on {stored['world_size']} processes, and here are {processes}: each has lanes, "
            "hidden states and random numbers of its own, which cannot be dealt anew. Run as many, or begin anew from "
            "its weights with --init_from"
        )
    if text is not None and stored["text"] != text:
        raise UserError(
            f"the text is another one than that of {place}: --resume_with_changes true goes on all the same"
        )


def _given(place: Path, now: Settings, with_changes: bool) -> Resumed:
    """A run folder's newest checkpoint that is whole, or a checkpoint."""
    path = find_checkpoint(place, last=True)
    folder = run_of(path)
    if folder is None or newest_config(folder) is None:
        raise UserError(f"{path} lies in no run folder with its config.yaml: --ckpt_path begins a new run from it")
    changes = changed(folder, now)
    if changes and not with_changes:
        raise UserError(
            f"{_listed(changes)}: a resumed run is the same run. --resume_with_changes true goes on all the same, "
            f"--init_from {place} begins another from its weights"
        )
    return Resumed(path, changes, with_changes, signature(path))


def _newest(runs: Path, now: Settings, with_changes: bool) -> Resumed | None:
    """Of the runs that have not ended; what is passed over is told.

    Raises:
        UserError: The same run is under way in another process, and has no checkpoint yet.
    """
    for folder in reversed(numbered_runs(runs)):
        if (folder / ENDED).exists():
            continue
        if not any(folder.glob("checkpoints/*.ckpt")):
            refused = refusal(folder)
            if refused and newest_config(folder) and not changed(folder, now):
                raise refused  # the same run, still before its first checkpoint: a second one must not begin beside it
            continue
        changes = changed(folder, now)
        if changes and not with_changes:
            note(f"{folder} has not ended, and is another run: {_listed(changes)}")
            continue
        try:
            path = find_checkpoint(folder, last=True)
            return Resumed(path, changes, with_changes, signature(path))
        except UserError as error:
            note(f"{folder} cannot go on: {error}")
    note(f"nothing to go on with in {runs}: a fresh start")
    return None


def run_of(path: Path) -> Path | None:
    """The run folder that a checkpoint lies in; None where it lies anywhere else."""
    return path.parent.parent if path.parent.name == "checkpoints" else None


def changed(folder: Path, now: Settings) -> list[str]:
    """Settings that are others now than in the configuration which a run was last begun with, a line each."""
    newest = newest_config(folder)
    if newest is None:
        return []
    then = _flat(read_settings(read_file(newest), str(newest)).values)
    begun = now.values.get("init_from") is not None  # then the run that it names has ruled over the architecture
    free = tuple(f"{key}." for key in (*FREE, *(f"model.{name}" for name in ARCHITECTURE if begun)))
    lines = []
    flat = _flat(now.values)
    for key in {**flat, **then}:
        old, value = then.get(key), flat.get(key)
        chosen = key == "trainer.precision" and value is None  # where it is left open, that of the checkpoint is taken
        younger = key not in then and key not in now.places  # a setting that did not exist, and nobody has said
        if not f"{key}.".startswith(free) and old != value and not chosen and not younger:
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

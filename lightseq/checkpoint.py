"""What a checkpoint holds, and a model from a checkpoint alone.

A checkpoint is Lightning's own file. ``hyper_parameters`` holds the model's settings with the vocabulary and labels,
``datamodule_hyper_parameters`` the dataset's name and arguments: plain types all, read with ``weights_only=True``, so
that reading one runs no code. Of what it names only entry points are ever looked up.
"""

import inspect
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from .checkpoint_contents import check_contents, no_larger_than_stored, weight_count
from .checkpoint_format import damage, load_file
from .config import is_within
from .errors import UserError, printable
from .model import SequenceModel, build_model
from .vocabulary import Vocabulary

MODEL_SETTINGS = tuple(inspect.signature(build_model).parameters)
PREFIX = "model."
"""Of the network's weights among those of the LightningModule."""

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
"""What a run goes on from, and the one before it."""

UNFINISHED = ".lightseq-part"
"""Ends the name of a checkpoint that is being written; no search for ``*.ckpt`` finds it."""

BELOW = ("version_*/checkpoints/", "*/version_*/checkpoints/", "runs/*/version_*/checkpoints/")
"""Where a folder without checkpoints is searched for runs: no deeper, as it may be the root of a disk."""

_told: set[str] = set()
"""Notes about damaged files: a command looks for its checkpoint more than once."""


class Trained(NamedTuple):
    """A model to sample from or to look into."""

    model: SequenceModel
    vocabulary: Vocabulary
    labels: list[str] | None
    token_counts: list[int] | None
    path: Path


def find_checkpoint(place: str | Path, last: bool = False) -> Path:
    """The checkpoint that is meant: a file, or a run folder's best one, else its last. What is damaged in a run folder
    is passed over, with a note.

    Args:
        place: A file or a run folder.
        last: Of a run folder take the last one, to go on from.

    Raises:
        UserError: No such file or folder, no checkpoint in it, or a damaged one, and no good one in its stead.
    """
    path = Path(place)
    if os.path.isfile(path):  # of a name that cannot be a file's it is False, where Path.is_file raises
        if wrong := damage(path):
            others = sorted((p for p in path.parent.glob("*.ckpt") if p != path and p.is_file()), key=_latest)
            good = next((other for other in others if not damage(other)), None)
            hint = f"; {good.name} beside it is good" if good else ""
            raise UserError(f"{path} is no checkpoint, or is damaged: it {wrong}{hint}")
        return path
    if not os.path.isdir(path):
        raise UserError(f"no checkpoint or run folder at {str(place)!r}")
    if not os.access(path, os.R_OK | os.X_OK):
        raise UserError(f"{str(place)!r} may not be read")
    found = _checkpoints(path)
    if not found:
        if os.path.isfile(path / "config.yaml"):
            raise UserError(f"no checkpoint in {str(place)!r}: the run ended before its first one")
        runs = sorted((run for pattern in BELOW for run in path.glob(pattern)), key=lambda run: run.stat().st_mtime)
        hint = f"did you mean {runs[-1].parent}?" if runs else "a run folder looks like runs/dinos/version_0"
        raise UserError(f"no checkpoint in {str(place)!r}; {hint}")
    return _first_good(sorted(found, key=_latest if last else _best))


def _checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints in a run folder; what a link brings in from outside is not one of its files."""
    for pattern in ("checkpoints/*.ckpt", "*.ckpt"):
        found = [path for path in folder.glob(pattern) if os.path.isfile(path) and is_within(path, folder)]
        if found:
            return found
    return []


def _first_good(candidates: Iterable[Path]) -> Path:
    """The first that is not damaged, and a note about those before it that are."""
    bad = list[str]()
    for path in candidates:
        if wrong := damage(path) or _foreign(path):
            bad.append(f"{path} {wrong}")
            continue
        note = f"lightseq: {'; '.join(bad)}; {path.name} is used instead"
        if bad and (key := f"{path.absolute()} {note}") not in _told:
            _told.add(key)
            print(printable(note), file=sys.stderr)
        return path
    raise UserError(f"no checkpoint is good: {'; '.join(bad)}")


def _foreign(path: Path) -> str | None:
    """What shows that a whole file is of another program; None where nothing does."""
    try:
        read_checkpoint(path, lazily=True)
    except UserError as error:
        return str(error).removeprefix(f"{path} ")
    return None


def _latest(path: Path) -> tuple[int, float]:
    """Sorts what to go on from: the last one, the previous one, then the newest first."""
    try:
        changed = path.stat().st_mtime
    except OSError:  # a run that goes on has removed it
        changed = 0.0
    return {LAST: 0, PREVIOUS: 1}.get(path.name, 2), -changed


def _best(path: Path) -> tuple[float, int, float]:
    """Sorts the best first: by the number in its name, those without one (``last.ckpt``) after, the latest first."""
    score = re.search(r"val_\w+=(\d+\.\d+)", path.name)
    return (float(score[1]) if score else float("inf"), *_latest(path))


def read_checkpoint(path: Path, lazily: bool = False) -> dict[str, Any]:
    """Everything in a checkpoint of lightseq's, on the CPU.

    Args:
        path: The file.
        lazily: Leave the tensors where they are until they are looked at.

    Raises:
        UserError: Not a checkpoint, damaged, or of another program.
    """
    content = load_file(path, lazily=lazily)
    settings = content.get("hyper_parameters")
    missing = [name for name in MODEL_SETTINGS if not isinstance(settings, dict) or name not in settings]
    if missing or "state_dict" not in content:
        raise UserError(f"{path} is no checkpoint of lightseq's: it lacks {missing[0] if missing else 'its weights'}")
    check_contents(content, path)
    return content


def load_trained(place: str | Path) -> Trained:
    """The network in a checkpoint with its weights, in eval mode.

    Args:
        place: A checkpoint, or a run folder.

    Raises:
        UserError: As ``find_checkpoint`` and ``read_checkpoint``, or weights that do not fit the settings.
    """
    path = find_checkpoint(place)
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    with no_larger_than_stored(weight_count(content), path):
        model = build_model(**{name: settings[name] for name in MODEL_SETTINGS})
    weights = {k.removeprefix(PREFIX): v for k, v in content["state_dict"].items() if k.startswith(PREFIX)}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"the weights in {path} do not fit its settings: {str(error).splitlines()[-1].strip()}"
        ) from error
    counts = settings.get("token_counts")
    return Trained(model.eval(), Vocabulary(settings["vocabulary"]), settings["labels"], counts, path)

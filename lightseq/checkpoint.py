"""What a checkpoint holds, and a model from a checkpoint alone.

A checkpoint is Lightning's own file. ``hyper_parameters`` holds the model's settings with the vocabulary and labels,
``datamodule_hyper_parameters`` the dataset's name and arguments: plain types all, read with ``weights_only=True``, so
that reading one runs no code. Of what it names only entry points are ever looked up.
"""

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .errors import UserError
from .model import SequenceModel, build_model
from .vocabulary import Vocabulary

MODEL_SETTINGS = tuple(inspect.signature(build_model).parameters)
PREFIX = "model."
"""Of the network's weights among those of the LightningModule."""


class Trained(NamedTuple):
    """A model to sample from or to look into."""

    model: SequenceModel
    vocabulary: Vocabulary
    labels: list[str] | None
    token_counts: list[int] | None
    path: Path


def find_checkpoint(place: str | Path, last: bool = False) -> Path:
    """The checkpoint that is meant: a file, or a run folder's best one, else its last.

    Args:
        place: A file or a run folder.
        last: Of a run folder take the last one, to go on from.

    Raises:
        UserError: No such file or folder, or no checkpoint in it.
    """
    path = Path(place)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"no checkpoint or run folder at {str(place)!r}")
    found = list((path / "checkpoints").glob("*.ckpt")) or list(path.glob("*.ckpt"))
    if not found:
        runs = sorted(path.rglob("version_*/checkpoints/"), key=lambda run: run.stat().st_mtime)
        hint = f"did you mean {runs[-1].parent}?" if runs else "a run folder looks like runs/dinos/version_0"
        raise UserError(f"no checkpoint in {str(place)!r}; {hint}")
    newest = path / "checkpoints" / "last.ckpt"
    return newest if last and newest in found else min(found, key=_rank)


def _rank(path: Path) -> tuple[float, float]:
    """Sorts the best first: by the number in its name, those without one (``last.ckpt``) after, the newest first."""
    score = re.search(r"val_\w+=(\d+\.\d+)", path.name)
    return (float(score[1]) if score else float("inf"), -path.stat().st_mtime)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Everything in a checkpoint of lightseq's, on the CPU.

    Raises:
        UserError: Not a checkpoint, cut short, or of another program.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds for a file that is cut short or something else
        raise UserError(f"{path} is no checkpoint, or is damaged") from error
    settings = content.get("hyper_parameters", {}) if isinstance(content, dict) else {}
    missing = [name for name in MODEL_SETTINGS if name not in settings]
    if missing or "state_dict" not in content:
        raise UserError(f"{path} is no checkpoint of lightseq's: it lacks {missing[0] if missing else 'its weights'}")
    return dict(content)


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

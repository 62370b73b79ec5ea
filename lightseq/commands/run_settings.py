"""Read the settings that a run was trained with, as far as they may be used.

The ``config.yaml`` of a run folder can name classes to import, files to open and folders to write to. One that lightseq
has written for this user is used as it is. Of any other, what scores or samples a model takes the data alone, and a fit
asks for ``--trust``. A checkpoint without a run folder names its data, and nothing else.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import config, registry, signatures
from ..checkpoint import find_checkpoint, read_checkpoint
from ..config import Settings
from ..errors import UserError
from ..signed_config import is_signed

STARTS = ("ckpt_path", "resume", "init_from", "trust", "config")
"""Settings that say how a run was begun, and nothing of another one."""

OBSERVERS = ("callbacks", "logger", "profiler", "plugins")
"""Settings of the Trainer that scoring a checkpoint needs none of."""

MACHINE = ("accelerator", "devices", "num_nodes", "strategy")
"""Settings of the Trainer that say what a run computes on."""

ORDINARY: tuple[Any, ...] = (None, True, False, "auto", 1, "1", "cpu", "gpu", "cuda", "ddp", [])
"""Values of these settings that import no class and start no further process on one device."""

FOLDERS = ("trainer.default_root_dir", "checkpoint.dirpath")
"""Settings that name a folder to write to."""

FIELD = re.compile(r"\{[\w/]+(?::0?\d{0,2}(?:\.\d{1,2})?[a-z]?)?\}")
"""A metric in the name of a checkpoint, ``{val/loss:.4f}``."""

MAX_LISTED = 3


def settings_of_run(place: str, flags: Settings, verb: str, trust: bool) -> Settings:
    """Return the settings that a checkpoint's run was trained with, where its configuration lies beside it; else what
    the checkpoint says of its data.

    Args:
        place: A run folder or a checkpoint.
        flags: What the user has typed, which needs no trust.
        verb: The command: ``fit``, or one that scores or looks at a model.
        trust: Whether the user trusts the folder.

    Raises:
        UserError: No checkpoint, or settings that need trust.
    """
    where = Path(place)
    within = where.parent.parent if where.parent.name == "checkpoints" else None
    folder = where if os.path.isdir(where) else within
    file = config.newest_config(folder) if folder else None
    if file is None:
        path = find_checkpoint(place)
        content = read_checkpoint(path)
        data = Settings({"data": dict(content.get("datamodule_hyper_parameters", {}))}, {})
        return data if trust else _checked_data(data, flags, str(path), "a checkpoint alone opens nothing")
    text = config.read_file(file)
    read = config.read_settings(text, str(file))
    settings = Settings({key: value for key, value in read.values.items() if key not in STARTS}, read.places)
    if verb != "fit":
        settings = _for_scoring(settings, trust or is_signed(text))
    if trust or is_signed(text):
        return settings
    if verb != "fit":
        return _checked_data(settings, flags, str(file), "it is not from your own runs")
    return _checked_fit(settings, flags, file)


def _for_scoring(settings: Settings, trusted: bool) -> Settings:
    """Return the settings that scoring needs: the data, and of the Trainer what it computes on and how."""
    trainer = settings.values.get("trainer")
    kept = dict(trainer) if isinstance(trainer, Mapping) else {}
    if trusted:
        kept = {key: value for key, value in kept.items() if key not in OBSERVERS}
    else:
        kept = {key: value for key, value in kept.items() if key == "precision" and isinstance(value, str | int)}
    values: dict[str, Any] = {"trainer": kept} if kept else {}
    values |= {key: settings.values[key] for key in ("seed_everything", "data") if key in settings.values}
    return _only(settings, values)


def _checked_data(settings: Settings, flags: Settings, source: str, reason: str) -> Settings:
    """Return settings whose data name no place; where the user has typed another dataset, that rules.

    Raises:
        UserError: An argument of the dataset that may say what to open.
    """
    data = settings.values.get("data")
    if not isinstance(data, Mapping) or config.get(flags.values, "data.dataset") not in (None, data.get("dataset")):
        return settings
    missing = _places(settings, flags)
    if missing:
        stored = config.get(data, "dataset_args")
        words = " ".join(f"--data.dataset_args.{key} {str(stored[key])!r:.200}" for key in missing)
        raise UserError(f"{source} names what to read, and {reason}: type {words}")
    return settings


def _checked_fit(settings: Settings, flags: Settings, file: Path) -> Settings:
    """Return the settings for a fit, without those that the user has typed.

    Raises:
        UserError: A class to import, a file to open or a folder to write to.
    """
    values = settings.values
    for key in flags.places:
        values = config.without(values, key)
    settings = _only(settings, values)
    asked = list(_to_trust(settings, flags))
    if asked:
        more = f" and {len(asked) - MAX_LISTED} more" if len(asked) > MAX_LISTED else ""
        raise UserError(
            f"{file} is not from your own runs, and sets {', '.join(asked[:MAX_LISTED])}{more}. Read it, then add "
            "--trust, or type these settings yourself"
        )
    return settings


def _to_trust(settings: Settings, flags: Settings) -> Iterator[str]:
    """Yield the settings that import, open or write something, each with its value."""
    values = settings.values
    for key in (*(f"trainer.{name}" for name in (*OBSERVERS, *MACHINE)), *FOLDERS):
        value = config.get(values, key)
        if value is not None and (key in FOLDERS or value not in ORDINARY):
            yield f"{key} {_named(value)}"
    filename = FIELD.sub("", str(config.get(values, "checkpoint.filename")))
    if re.search(r"[/\\{}]", filename):
        yield f"checkpoint.filename {_named(config.get(values, 'checkpoint.filename'))}"
    for group, inner in values.items():
        if group != "trainer" and (name := _class_in(inner)):
            yield f"{group} {name}"
    for key in _places(settings, flags):
        yield f"data.dataset_args.{key} {_named(config.get(values, f'data.dataset_args.{key}'))}"


def _places(settings: Settings, flags: Settings) -> list[str]:
    """Return the arguments of the dataset that may say what it opens: free text other than the default, and what is
    called so; but not those that the user has typed."""
    stored = config.get(settings.values, "data.dataset_args")
    dataset = str(config.get(flags.values, "data.dataset") or config.get(settings.values, "data.dataset"))
    if not isinstance(stored, Mapping) or not stored:
        return []
    known = signatures.parameters(registry.load(registry.DATASETS, dataset), dataset)
    typed = config.get(flags.values, "data.dataset_args") or {}
    return [
        key
        for key, value in stored.items()
        if key in known and key not in typed and value not in (None, known[key].default)
        if config.NAMES_A_PLACE.fullmatch(key) or signatures.is_free_text(known[key].annotation)
    ]


def _class_in(value: Any) -> str:
    """Return the first ``class_path`` in nested settings; empty where there is none."""
    if isinstance(value, Mapping):
        if "class_path" in value:
            return _named(value["class_path"])
        return next((name for inner in value.values() if (name := _class_in(inner))), "")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return next((name for inner in value if (name := _class_in(inner))), "")
    return ""


def _named(value: Any) -> str:
    return _class_in(value) or (value if isinstance(value, str) else type(value).__name__)[:60]


def _only(settings: Settings, values: dict[str, Any]) -> Settings:
    """Return settings with other values, and the lines of those keys that are left."""
    left = {key: line for key, line in settings.places.items() if config.get(values, key) is not None}
    return Settings(values, left)

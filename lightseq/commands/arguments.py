"""The command line of Lightning's verbs, before jsonargparse sees it.

Configuration files are merged here, so that a mistake can be told with its line and a plugin's arguments keep the text
that was written. Flags win over files.
"""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import config, registry, signatures
from ..checkpoint import find_checkpoint, read_checkpoint
from ..config import Settings
from ..errors import UserError, printable

HERE = "command line"

RUNS = ("ckpt_path", "resume", "init_from")
"""Settings that name a run. Those that a run was begun with are no others' business."""

NAMES_A_PLACE = re.compile(r"(.*_)?(path|file|folder|url)s?")
"""Arguments of a dataset that name what it opens, whatever their annotation."""


class CommandLine(NamedTuple):
    """What the words say."""

    words: list[str]
    """For jsonargparse: the merged configuration as one text, and the flags."""
    settings: Settings
    """The merged configuration, and the places of the flags as well."""


def read_command_line(words: Sequence[str]) -> CommandLine:
    """Take the configuration files and the plugins' own arguments out of the words.

    Raises:
        UserError: A missing or broken file, a flag without its value, or a checkpoint that names a file to read.
    """
    files: list[Settings] = []
    flags = Settings({}, {})
    left: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, value = word.partition("=")
        key = flag.removeprefix("--").rstrip("+") if flag.startswith("--") else ""
        plugin = next((k for k in config.PLUGIN_ARGUMENTS.values() if f"{key}.".startswith(f"{k}.")), None)
        if plugin or flag in ("--config", "-c") or key in (*config.PLUGIN_ARGUMENTS, *RUNS):
            if not equals:
                if not queue:
                    raise UserError(f"{flag} needs a value")
                value = queue.pop(0)
            if not key or key == "config":
                files.append(config.read_settings(*config.find_config(value)))
                continue
            own = config.nested(key, value)
            if key == plugin:
                own = config.nested(key, config.read_settings(f"{key}: {value}", HERE).values.get(key))
            flags, _ = config.overlay(flags, Settings(own, {key: HERE}))
            left += [] if plugin else [f"{flag}={value}"]
        else:
            if re.search(r"[\[{&*]", word):
                config.check_value(word if not key else value)
            left.append(word)
            if key:
                flags.places[key] = HERE
    for said in [*files, flags]:
        if named := config.get(said.values, "data.dataset"):
            registry.allow_file(str(named))
    run = next((flags.values[key] for key in ("ckpt_path", "resume") if key in flags.values), None)
    if run and run != "auto" and not files:
        files = [_settings_of_run(run, flags)]
    return _merged(files, flags, left)


def _settings_of_run(place: str, flags: Settings) -> Settings:
    """The configuration that a checkpoint's run was trained with, where it lies beside it; else what the checkpoint
    says of its data. Neither allows a file of code, and a checkpoint alone names no file to open either."""
    where = Path(place)
    within = where.parent.parent if where.parent.name == "checkpoints" else None
    folder = where if os.path.isdir(where) else within
    file = config.newest_config(folder) if folder else None
    if file is not None:
        said = config.read_settings(config.read_file(file), str(file))
        return Settings({key: value for key, value in said.values.items() if key not in RUNS}, said.places)
    path = find_checkpoint(place)
    data = dict(read_checkpoint(path).get("datamodule_hyper_parameters", {}))
    stored, given = (config.get(said, "dataset_args") or {} for said in (data, flags.values.get("data", {})))
    if config.get(flags.values, "data.dataset") not in (None, data.get("dataset")):
        return Settings({"data": data}, {})
    missing = [key for key in _places(str(data.get("dataset")), stored) if key not in given]
    if missing:
        words = " ".join(f"--data.dataset_args.{key} {stored[key]!r:.200}" for key in missing)
        raise UserError(f"{path} names what to read, and a checkpoint alone opens nothing: type {words}")
    return Settings({"data": data}, {})


def _places(dataset: str, arguments: Mapping[str, Any]) -> list[str]:
    """The arguments that may say what a dataset opens: free text other than the default, and what is called so."""
    known = signatures.parameters(registry.load(registry.DATASETS, dataset), dataset) if arguments else {}
    return [
        key
        for key, value in arguments.items()
        if key in known and value not in (None, known[key].default)
        if NAMES_A_PLACE.fullmatch(key) or signatures.is_free_text(known[key].annotation)
    ]


def _merged(files: Sequence[Settings], flags: Settings, left: list[str]) -> CommandLine:
    merged = Settings({}, {})
    for layer in [*files, flags]:
        merged, notes = config.overlay(merged, layer)
        for note in notes:
            print(printable(f"lightseq: {note}"), file=sys.stderr)
    text = json.dumps(merged.values, default=str, ensure_ascii=False)
    return CommandLine([*(["--config", text] if merged.values else []), *left], merged)

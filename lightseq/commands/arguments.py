"""The command line of Lightning's verbs, before jsonargparse sees it.

Configuration files are merged here, so that a mistake can be told with its line and a plugin's arguments keep the text
that was written. Flags win over files.
"""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from .. import config, registry
from ..config import Settings
from ..errors import UserError, printable
from .run_settings import settings_of_run

HERE = "command line"

TRUST = "--trust"
"""Says that the classes, files and folders which a run's configuration names are to be used. It is typed alone: no file
can say it."""

RUNS = ("ckpt_path", "resume", "init_from")
"""Settings that name a run. Those that a run was begun with are no others' business."""


CLASS_NAME = re.compile(r"(?<![\w./-])([A-Za-z_]\w*)(?:\.\w+)*\.[A-Z]\w*")
"""A class as a setting names it, ``my_callbacks.MyCallback``; the first group is its module."""


class CommandLine(NamedTuple):
    """What the words say."""

    words: list[str]
    """For jsonargparse: the merged configuration as one text, and the flags."""
    settings: Settings
    """The merged configuration, and the places of the flags as well."""
    trust: bool
    """Whether ``--trust`` was typed."""


def read_command_line(words: Sequence[str], verb: str) -> CommandLine:
    """Take the configuration files and the plugins' own arguments out of the words.

    Args:
        words: The command line after the command.
        verb: The command; of a run that is only scored, fewer settings are used.

    Raises:
        UserError: A missing or broken file, a flag without its value, or a run folder or checkpoint that needs trust.
    """
    files: list[Settings] = []
    flags = Settings({}, {})
    left: list[str] = []
    queue = [word for word in words if word != TRUST]
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
                own = config.nested(key, config.read_settings(f"{key}: {value}", HERE, dotted=True).values.get(key))
            flags, _ = config.overlay(flags, Settings(own, {key: HERE}))
            left += [] if plugin else [f"{flag}={value}"]
        else:
            if re.search(r"[\[{&*!]|: ", word):
                config.check_value(word if not key else value)
            left.append(word)
            if key:
                flags.places[key] = HERE
    for said in [*files, flags]:
        if named := config.get(said.values, "data.dataset"):
            registry.allow_file(str(named))
    run = next((flags.values[key] for key in ("ckpt_path", "resume") if key in flags.values), None)
    if run and run != "auto" and not files:
        prints = any(word.startswith("--print_config") for word in left)  # which must import nothing of a run's
        files = [settings_of_run(run, flags, verb, trust=TRUST in words and not prints)]
    return _merged(files, flags, left, TRUST in words)


def import_named_modules(words: Sequence[str]) -> None:
    """Make the modules in the working folder importable that the command line or its configuration files name.

    A command does not look into the working folder for anything else: a file there that is called like a library would
    be imported in its place.

    Args:
        words: The command line after the command.
    """
    texts = []
    for word, following in zip(words, [*words, ""][1:], strict=False):
        flag, equals, value = word.partition("=")
        name = value if equals else following
        if flag.startswith("--trainer."):  # other settings, and the names of runs, name no class
            texts.append(name)
        elif flag in ("--config", "-c") and os.path.isfile(name):  # a pipe can be read once
            texts.append(config.read_file(name))
    for name in {match[1] for text in texts for match in CLASS_NAME.finditer(text)}:
        here = os.path.isdir(name) or os.path.isfile(f"{name}.py")
        if here and importlib.util.find_spec(name) is None:
            sys.path.append(os.getcwd())  # after all that is installed
            return


def _merged(files: Sequence[Settings], flags: Settings, left: list[str], trust: bool) -> CommandLine:
    merged = Settings({}, {})
    for layer in [*files, flags]:
        merged, notes = config.overlay(merged, layer)
        for note in notes:
            print(printable(f"lightseq: {note}"), file=sys.stderr)
    text = json.dumps(merged.values, default=str, ensure_ascii=False)
    return CommandLine([*(["--config", text] if merged.values else []), *left], merged, trust)

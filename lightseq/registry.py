"""Names to datasets and backbones, through entry points.

The built-in ones enter by the same door as a stranger's: a distribution that declares an entry point in the group
``lightseq.datasets`` or ``lightseq.backbones``. Only the named plugin is imported, and only when it is used.

A dataset may also be a class in a file of one's own, ``./my_data.py:MyData``. A file is code, so it is run only where
somebody allowed it by name: never because a checkpoint, or the configuration beside one, names it.
"""

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from . import signatures
from .errors import UserError, did_you_mean, quote

DATASETS = "lightseq.datasets"
BACKBONES = "lightseq.backbones"

HOUSE_ARGUMENTS = {
    DATASETS: frozenset[str](),
    BACKBONES: frozenset({"input_size", "hidden_size", "num_layers", "dropout"}),
}
"""What the house passes to a constructor itself, and a user's arguments cannot."""

ALLOWED: set[str] = set()
"""The files that may be run, as they were named."""


def plugins(group: str) -> list[EntryPoint]:
    """Every entry point of a group, by name; nothing is imported."""
    return sorted(entry_points(group=group), key=lambda point: (point.name, distribution(point)))


def distribution(point: EntryPoint) -> str:
    """The name of the distribution that declares an entry point."""
    return point.dist.name if point.dist is not None else "?"


def find(group: str, name: str) -> EntryPoint:
    """The entry point called ``name``, or ``distribution:name`` where two distributions claim the name.

    Raises:
        UserError: Nobody has the name (the nearest one and the list are given), or several have.
    """
    owner, _, bare = name.rpartition(":")
    points = plugins(group)
    matches = [p for p in points if p.name == bare and owner in ("", distribution(p))]
    kind = group.rpartition(".")[2].removesuffix("s")
    if name.endswith(".py"):
        raise UserError(f"{name} is a file: say which class of it, as in {name}:MyData")
    if not matches:
        names = sorted({point.name for point in points})
        raise UserError(
            f"no {kind} called {name!r}{did_you_mean(bare, names) or '.'} Installed: {', '.join(names) or 'none'}"
        )
    if len(matches) > 1:
        choices = " or ".join(f"'{distribution(p)}:{p.name}'" for p in matches)
        raise UserError(f"several distributions have a {kind} called {name!r}: say {choices}")
    return matches[0]


def load(group: str, name: str) -> type[Any]:
    """Import the class behind a name.

    Raises:
        UserError: The name is unknown or ambiguous, the plugin is broken (its exception is quoted), or the name is a
            file that was not allowed.
    """
    file = split_file(name)
    if file:
        return _load_file(group, name, *file)
    point = find(group, name)
    try:
        target = point.load()
    except (Exception, SystemExit) as error:  # whatever a stranger's module raises is this plugin's fault
        raise UserError(f"{name!r} of {distribution(point)} is broken: {point.value} raises {quote(error)}") from error
    if not isinstance(target, type):
        raise UserError(f"{name!r} of {distribution(point)} is broken: {point.value} is no class")
    return target


def split_file(name: str) -> tuple[str, str] | None:
    """``./my_data.py:MyData`` -> the file and the class; None for the name of an entry point."""
    path, _, own = name.rpartition(":")
    return (path, own) if path.endswith(".py") else None


def allow_file(name: str) -> None:
    """Let the file behind a name be run. The command line calls it for what the user typed, and for what a
    configuration file says that the user typed; whoever uses ``SequenceData`` from Python calls it for their own.

    Args:
        name: ``./my_data.py:MyData``, just as it is used later.
    """
    ALLOWED.add(name)


def _load_file(group: str, name: str, file: str, own: str) -> type[Any]:
    if group != DATASETS:
        raise UserError(
            f"{name!r} is a file: a backbone enters as an installed package, an entry point of {group}, because a "
            f"checkpoint must be enough to sample from"
        )
    if name not in ALLOWED:
        raise UserError(
            f"dataset {name!r} is a file, whose code runs only where you name it yourself: "
            f"--data.dataset {shlex.quote(name)} (from Python: lightseq.registry.allow_file)"
        )
    module = _import_file(file)
    classes = {key: value for key, value in vars(module).items() if isinstance(value, type)}
    if own not in classes:
        names = [key for key, value in classes.items() if value.__module__ == module.__name__]
        raise UserError(
            f"{file} has no class {own!r}{did_you_mean(own, names) or '.'} It has: {', '.join(names) or 'none'}"
        )
    return classes[own]


def _import_file(file: str) -> ModuleType:
    """A file as the module of its own name, which a spawned process finds too: the folder is put at the end of
    ``sys.path``, so that nothing in it comes before what is installed."""
    if not os.path.isfile(file):
        raise UserError(f"no file at {file!r}")
    path = Path(file).resolve()
    stem = path.stem
    loaded = sys.modules.get(stem)
    if loaded is not None and vars(loaded).get("__file__") == str(path):
        return loaded
    there = None if "." in stem or loaded else importlib.util.find_spec(stem)
    if "." in stem or loaded or (there and there.origin and Path(there.origin).resolve() != path):
        what = "no name for a module" if "." in stem else "the name of another module"
        raise UserError(f"{file} cannot be imported, for {stem!r} is {what}: rename the file")
    spec = importlib.util.spec_from_file_location(stem, path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[stem] = module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[stem]
        raise UserError(f"{file} is broken: it raises {quote(error)}") from error
    return module


def build(group: str, name: str, arguments: Mapping[str, Any] | None, **given: Any) -> Any:
    """Construct the plugin called ``name``.

    Args:
        group: ``DATASETS`` or ``BACKBONES``.
        name: The entry point's name, or an allowed file's.
        arguments: The user's own arguments for it.
        given: What the house passes.

    Raises:
        UserError: As ``load`` and ``convert``, or a plugin's constructor raises.
    """
    target = load(group, name)
    own = convert(group, name, arguments or {})
    try:
        return target(**given, **own)
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError) or target.__module__.startswith("lightseq."):
            raise  # a mistake that explains itself, or a bug of ours
        raise UserError(f"{name!r} cannot be made: {target.__name__}() raises {quote(error)}") from error


def convert(
    group: str, name: str, arguments: Mapping[str, Any], places: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A user's arguments as the plugin's constructor annotates them: a path called ``2024`` stays a string.

    Args:
        group: ``DATASETS`` or ``BACKBONES``.
        name: The entry point's name, or an allowed file's.
        arguments: Plain values by parameter name.
        places: Where each argument is said, for messages.

    Raises:
        UserError: An unknown argument (with the nearest one and the list), a missing one, one of a wrong type, or a
            constructor that is not annotated with plain types.
    """
    known = signatures.parameters(load(group, name), name, HOUSE_ARGUMENTS[group])
    for key in map(str, arguments):
        if key not in known:
            place = f"{places[key]}: " if places and key in places else ""
            listed = ", ".join(known) or "none"
            raise UserError(
                f"{place}{name!r} has no argument {key!r}{did_you_mean(key, known) or '.'} It takes: {listed}"
            )
    missing = [key for key, own in known.items() if own.default is own.empty and key not in arguments]
    if missing:
        raise UserError(f"argument of {name!r}: {missing[0]} is needed")
    return signatures.convert(known, arguments, name)

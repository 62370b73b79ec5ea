"""Names to datasets and backbones, through entry points.

The built-in ones enter by the same door as a stranger's: a distribution that declares an entry point in the group
``lightseq.datasets`` or ``lightseq.backbones``. Only the named plugin is imported, and only when it is used.
"""

import inspect
import json
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import UserError, did_you_mean, explain

DATASETS = "lightseq.datasets"
BACKBONES = "lightseq.backbones"

HOUSE_ARGUMENTS = {
    DATASETS: frozenset[str](),
    BACKBONES: frozenset({"input_size", "hidden_size", "num_layers", "dropout"}),
}
"""What the house passes to a constructor itself, and a user's arguments cannot."""


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
        UserError: The name is unknown or ambiguous, or the plugin is broken (its exception is quoted).
    """
    point = find(group, name)
    try:
        target = point.load()
    except Exception as error:  # whatever a stranger's module raises is this plugin's fault, not the user's text
        raise UserError(
            f"{name!r} of {distribution(point)} is broken: {point.value} raises {type(error).__name__}: {error}"
        ) from error
    if not isinstance(target, type):
        raise UserError(f"{name!r} of {distribution(point)} is broken: {point.value} is no class")
    return target


def build(group: str, name: str, arguments: Mapping[str, Any] | None, **given: Any) -> Any:
    """Construct the plugin called ``name``.

    Args:
        group: ``DATASETS`` or ``BACKBONES``.
        name: The entry point's name.
        arguments: The user's own arguments for it.
        given: What the house passes.

    Raises:
        UserError: As ``load`` and ``convert``, or a plugin's constructor raises.
    """
    target = load(group, name)
    own = convert(group, name, arguments or {})
    try:
        return target(**given, **own)
    except Exception as error:
        if isinstance(error, UserError) or target.__module__.startswith("lightseq."):
            raise  # a mistake that explains itself, or a bug of ours
        raise UserError(
            f"{name!r} cannot be made: {target.__name__}() raises {type(error).__name__}: {error}"
        ) from error


def convert(
    group: str, name: str, arguments: Mapping[str, Any], places: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A user's arguments as the plugin's constructor annotates them: a path called ``2024`` stays a string.

    Text is read as it would be on a command line; other values go through their JSON text.

    Args:
        group: ``DATASETS`` or ``BACKBONES``.
        name: The entry point's name.
        arguments: Plain values by parameter name.
        places: Where each argument is said, for messages.

    Raises:
        UserError: An unknown argument (with the nearest one and the list), a missing one, or one of a wrong type.
    """
    target = load(group, name)
    skip: set[str | int] = set(HOUSE_ARGUMENTS[group])
    known = [parameter for parameter in inspect.signature(target).parameters if parameter not in skip]
    for key in arguments:
        if key not in known:
            place = f"{places[key]}: " if places and key in places else ""
            listed = ", ".join(known) or "none"
            raise UserError(
                f"{place}{name!r} has no argument {key!r}{did_you_mean(key, known) or '.'} It takes: {listed}"
            )
    return _parse_as_annotated(target, name, arguments, skip) if known else {}


def _parse_as_annotated(
    target: type[Any], name: str, arguments: Mapping[str, Any], skip: set[str | int]
) -> dict[str, Any]:
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(target, skip=skip, fail_untyped=False)
    words = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in arguments.items()]
    try:
        parsed = parser.parse_args(words)
    except ArgumentError as error:
        raise UserError(f"argument of {name!r}: {explain(str(error), {})}") from None
    return {key: value for key, value in parsed.as_dict().items() if key in arguments}

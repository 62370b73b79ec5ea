"""What a plugin's constructor takes, and a user's values for it.

The annotations are what checks and converts. They are plain types: a value for a parameter that is a class could name
any code to be imported, and a checkpoint holds values.
"""

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import UserError, explain, quote

PLAIN = (str, int, float, bool, type(None), Path)
CONTAINERS = (list, tuple, dict, set, frozenset, Sequence, Mapping)

TEXT = {str, type(None)}

Parameters = Mapping[str, inspect.Parameter]


def parameters(target: type[Any], name: str, house: frozenset[str] = frozenset()) -> dict[str, inspect.Parameter]:
    """A constructor's own parameters, their annotations resolved.

    Args:
        target: The class.
        name: What the user calls it, for messages.
        house: The parameters that no user sets.

    Raises:
        UserError: A parameter without an annotation, or with one that is no plain type: a message to the author.
    """
    own = [p for p in inspect.signature(target).parameters.values() if p.name not in house]
    own = [p for p in own if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    try:
        hints = get_type_hints(target.__init__) if own else {}
    except Exception as error:  # an annotation is code of a stranger's
        raise UserError(f"{name!r} is broken: its annotations cannot be read: {quote(error)}") from error
    for parameter in own:
        hint = hints.get(parameter.name, parameter.empty)
        if not is_plain(hint):
            what = "has no annotation" if hint is parameter.empty else f"is annotated with {_shown(hint)}"
            raise UserError(
                f"argument {parameter.name!r} of {name!r} {what}; plain types only: str, int, float, bool, Path, "
                f"Literal, and lists and the like of these"
            )
    return {p.name: p.replace(annotation=hints[p.name]) for p in own}


def is_plain(annotation: Any) -> bool:
    """Whether no class is looked up to make a value: text, numbers (``lightseq.types.PositiveInt`` and its kin too),
    and containers or unions of them that say of what."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in CONTAINERS or _is_union(annotation):
        return bool(inner) and all(part is Ellipsis or is_plain(part) for part in inner)
    restricted = isinstance(annotation, type) and annotation.__module__ == "jsonargparse.typing"
    return origin is Literal or annotation in PLAIN or (restricted and issubclass(annotation, int | float | str))


def is_free_text(annotation: Any) -> bool:
    """Whether any text will do, so that it may name a file: ``str``, ``Path``, and unions with one of them."""
    return annotation in (str, Path) or (_is_union(annotation) and any(map(is_free_text, get_args(annotation))))


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def convert(known: Parameters, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Values as the annotations say. Text is read as it would be on a command line, in a list or a mapping too: a
    path called ``2024`` stays a string, and so does ``2024`` in a ``list[str]``.

    Args:
        known: What ``parameters`` gives.
        arguments: Plain values by parameter name.
        name: What the user calls the plugin, for messages.

    Raises:
        UserError: A value of a wrong type.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    values, texts = {}, {}
    for key, value in arguments.items():
        annotation, default = known[key].annotation, known[key].default
        if isinstance(value, str) and set(get_args(annotation) if _is_union(annotation) else [annotation]) <= TEXT:
            texts[key] = value  # as it stands: YAML has ``---`` and ``#1.txt`` for nothing
            continue
        parser.add_argument(f"--{key}", type=annotation | None if default is None else annotation)
        values[key] = _as_text(value, annotation)
    try:
        return {**parser.parse_object(values).as_dict(), **texts}
    except ArgumentError as error:
        raise UserError(f"argument of {name!r}: {explain(str(error), {})}") from None


def _as_text(value: Any, annotation: Any = str) -> Any:
    """The text of a value, which an annotation then reads; of a list or a mapping, the texts in it."""
    if isinstance(value, str) and value[:1] in ("[", "{") and _takes_a_container(annotation):
        from .config import read_value

        value = read_value(value)
    if isinstance(value, Mapping):
        return {str(key): _as_text(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_text(inner) for inner in value]
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, int | float) else str(value)


def _takes_a_container(annotation: Any) -> bool:
    parts = get_args(annotation) if _is_union(annotation) else (annotation,)
    return any(get_origin(part) in CONTAINERS for part in parts)

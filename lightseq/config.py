"""Configuration files: found by path or by name, checked line by line, merged before Lightning reads them.

Nothing heavy is imported here, and no class is: a key is known or not by the names a parser gives.
"""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from .errors import UserError, did_you_mean

PLUGIN_ARGUMENTS = {"data.dataset": "data.dataset_args", "model.backbone": "model.backbone_args"}
"""The keys that name a plugin, and where its own arguments stand."""

NAMES_A_PLACE = re.compile(r"(.*_)?(path|file|folder|url)s?")
"""Arguments of a dataset that name what it opens, whatever their annotation."""

BELONGINGS = {
    "data.dataset": ("data.dataset_args", "sampling.prompts"),
    "model.backbone": ("model.backbone_args",),
}
"""What is dropped when another plugin is named: it was meant for the old one."""


class Settings(NamedTuple):
    """What the files and flags say, and where each key is said."""

    values: dict[str, Any]
    places: dict[str, str]
    """By dotted key: ``configs/dinos.yaml, line 7``, or ``command line``."""


YAML = "tag:yaml.org,2002:"
TYPED_SCALARS = {f"{YAML}{kind}" for kind in ("int", "float", "bool", "timestamp")}
KNOWN_TAGS = {*TYPED_SCALARS, *(f"{YAML}{kind}" for kind in ("str", "null", "seq", "map", "merge", "value"))}

LONGEST = 1 << 19
"""Bytes of a file: with more it is no configuration, nor is a device that never ends. As many take some 15 seconds."""

DEEPEST = 50
"""Levels of lists and mappings within each other."""

FEW = 10_000
"""Nodes that aliases may make in any file, however short."""

MAY_HAVE_BYTES = ("data.tokens", "data.label_names")
"""Settings in which a lone surrogate is a token of a model of bytes."""


class Loader(yaml.SafeLoader):
    """YAML as JSON has it: ``3e-3`` is a number, and a key is text. What would take memory or time without bound is an
    error."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse what is nested too deeply for the parts of Python that go through it."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise _broken(f"more than {DEEPEST} levels within each other", self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Say where a scalar stands that is not what its tag says, such as the 40th of a month."""
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, AttributeError, OverflowError):
            raise _broken(f"{node.value[:60]!r} is no {node.tag.removeprefix(YAML)}", node.start_mark) from None

    def single_node(self) -> yaml.Node | None:
        """The document's node, checked.

        Raises:
            yaml.MarkedYAMLError: Broken YAML, or what is not for a configuration.
        """
        try:
            node: yaml.Node | None = self.get_single_node()
        except (ValueError, OverflowError) as error:  # an escape of a character that does not exist
            raise _broken(str(error), self.get_mark()) from None
        if node is not None:
            size = _check_node(node, {})
            if size > FEW + len(self.buffer):
                raise _broken(f"its aliases make {size:,} values of it", node.start_mark)
        return node


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"),
    list("-+0123456789."),
)


def _broken(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)


def _check_node(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Refuse keys that are no text, strange tags, and what holds itself.

    Args:
        node: Of a tree in which aliases make a node stand in several places.
        sizes: Of the nodes that were seen, 0 for those that have not been left yet; filled.

    Returns:
        How many nodes the tree has once each alias is a copy.
    """
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise _broken("an alias stands within what it names", node.start_mark)
        return sizes[id(node)]
    sizes[id(node)] = 0
    if node.tag.startswith(YAML) and node.tag not in KNOWN_TAGS:
        raise _broken(f"the tag {node.tag.removeprefix(YAML)} is not for a configuration", node.start_mark)
    size = 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _broken("a key is text, no list or mapping", key.start_mark)
            if key.tag != f"{YAML}merge":
                key.tag = f"{YAML}str"  # of a date or a number the text, as in JSON
            size += 1 + _check_node(value, sizes)
    elif isinstance(node, yaml.SequenceNode):
        size += sum(_check_node(inner, sizes) for inner in node.value)
    sizes[id(node)] = size
    return size


def recipes() -> dict[str, str]:
    """The shipped configurations: their text by name, ``dinos`` or ``trainer/ddp``."""
    found = {}
    folders = [("", files("lightseq.configs"))]
    for prefix, folder in folders:  # grows while it is gone through
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.name.endswith(".yaml"):
                found[prefix + entry.name.removesuffix(".yaml")] = entry.read_text(encoding="utf-8")
            elif entry.is_dir():
                folders.append((f"{prefix}{entry.name}/", entry))
    return found


def find_config(name: str) -> tuple[str, str]:
    """The text of a configuration and what to call it: a file, or a shipped recipe where no such file exists.

    Raises:
        UserError: Neither, or a file that cannot be read.
    """
    if os.path.exists(name) and not os.path.isdir(name):  # a pipe too: --config <(...)
        return read_file(name), name
    shipped = recipes()
    if name not in shipped:
        raise UserError(
            f"no configuration file {name!r}, and no recipe of that name{did_you_mean(name, shipped) or '.'} "
            f"Shipped: {', '.join(shipped)}"
        )
    return shipped[name], f"recipe {name}"


def find_lasting_config(name: str) -> tuple[str, str]:
    """Find a configuration that is read more than once.

    Raises:
        UserError: As ``find_config``, or it is a pipe, which can be read once.
    """
    if os.path.exists(name) and not os.path.isdir(name) and not os.path.isfile(name):
        raise UserError(f"--config {name} is read more than once here, and a pipe can be read once: write it to a file")
    return find_config(name)


def read_file(path: str | Path) -> str:
    """The text of a configuration file.

    Raises:
        UserError: It cannot be read, is not UTF-8, or does not end.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LONGEST + 1)
        if len(content) > LONGEST:
            raise UserError(f"{path} has more than {LONGEST >> 10} KiB: this is no configuration")
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = f"byte {error.start} (0x{content[error.start]:02X})"
        raise UserError(f"{path}, line {line}: {byte} is not UTF-8") from None


def newest_config(folder: Path) -> Path | None:
    """The configuration that a run was last begun or gone on with; None where none lies in its folder."""
    paths = (folder / "config.yaml", *folder.glob("config.resume-*.yaml"))
    files = [path for path in paths if os.path.isfile(path) and is_within(path, folder)]
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def is_within(path: Path, folder: Path) -> bool:
    """Return whether a path lies in a folder once all links are followed: a run's files are in its own folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_settings(text: str, source: str, dotted: bool = False) -> Settings:
    """Parse YAML and note the line of every key. The arguments of a plugin stay the text that was written, for its own
    annotations to read: a path called ``2024`` is no number.

    Args:
        text: YAML.
        source: What to call it in messages.
        dotted: Whether a key may stand for nested ones, ``a.b: v``. Checks look at nested keys only.

    Raises:
        UserError: Broken YAML, a key said twice or with a dot, or no mapping at the top; with the file and line.
    """
    try:
        loader = Loader(text)
        node = loader.single_node()
        if node is None:
            return Settings({}, {})
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{source}, line 1: a configuration is a mapping of keys to values")
        if not dotted:
            _check_dots(node, source)
        places = dict(_places(node, "", source))
        values = loader.construct_document(node)
        return Settings({key: value for key, value in values.items() if value is not None}, places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{source}{line}: broken YAML: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = f", line {text.count(chr(10), 0, error.position) + 1}"
        raise UserError(f"{source}{line}: broken YAML: character U+{error.character:04X} is not allowed") from None


def _check_dots(node: yaml.Node, source: str) -> None:
    """Refuse a key with a dot, which would be taken for nested keys after all checks.

    Raises:
        UserError: There is one, other than among the arguments of a class.
    """
    inner = node.value if isinstance(node, yaml.SequenceNode) else []
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if re.match(r"[A-Za-z_]\w*\.", key.value):
            first, _, rest = key.value.partition(".")
            raise UserError(
                f"{source}, line {key.start_mark.line + 1}: {key.value[:60]}: write {rest[:60]} below {first[:60]}: in "
                "place of the dot"
            )
        inner.append(value)
    for value in inner:
        _check_dots(value, source)


def _places(node: yaml.MappingNode, prefix: str, source: str) -> Iterator[tuple[str, str]]:
    said = set()
    for key_node, value_node in node.value:
        key = f"{prefix}{key_node.value}"
        place = f"{source}, line {key_node.start_mark.line + 1}"
        if key_node.tag == f"{YAML}merge":
            raise UserError(f"{place}: << (a merge key) is not for a configuration: write out what it stands for")
        if key not in MAY_HAVE_BYTES:
            _check_text(key_node, place)
            _check_text(value_node, place)
        if key in said:
            raise UserError(f"{place}: {key} is said twice")
        said.add(key)
        yield key, place
        if key in PLUGIN_ARGUMENTS.values():
            _keep_text(value_node)
        if isinstance(value_node, yaml.MappingNode):
            yield from _places(value_node, f"{key}.", source)


def _check_text(node: yaml.Node, place: str) -> None:
    """Refuse a lone surrogate, which no file or terminal takes, in a scalar or a list."""
    for inner in node.value if isinstance(node, yaml.SequenceNode) else [node]:
        if isinstance(inner, yaml.ScalarNode) and any("\ud800" <= character <= "\udfff" for character in inner.value):
            raise UserError(f"{place}: {inner.value[:100]!r} has half of a surrogate pair, which is no character")


def check_value(text: str) -> None:
    """Refuse a value on the command line that would take memory or time without bound, or that the parser fails at.

    Raises:
        UserError: It is nested too deeply, refers to itself, or is a list or mapping of what only seems to be a number
            or a date, such as ``0b_``.
    """
    try:
        if isinstance(Loader(text).single_node(), yaml.CollectionNode) or text.startswith("!"):
            yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        if type(error) is yaml.MarkedYAMLError:  # one of ours: what is broken otherwise may be plain text
            raise UserError(f"{text[:100]}: {error.problem}") from None
    except yaml.YAMLError:
        pass
    except (ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
        raise UserError(f"{text[:100]}: something in it only seems to be a number or a date: quote it") from error


def _keep_text(node: yaml.Node) -> None:
    """Every value at a node and below it stays the text that was written; null is null."""
    if isinstance(node, yaml.MappingNode):
        for _, inner in node.value:
            _keep_text(inner)
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            _keep_text(inner)
    elif node.tag in TYPED_SCALARS:
        node.tag = "tag:yaml.org,2002:str"


def read_value(text: str) -> Any:
    """A list or a mapping that stands in a plugin's argument, the values in it as they were written; the text itself
    where it is broken."""
    try:
        loader = Loader(text)
        node = loader.single_node()
        assert node is not None, "a list or a mapping is something"
        _keep_text(node)
        return loader.construct_document(node)
    except yaml.YAMLError:
        return text


def get(values: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None where it is not set."""
    for part in key.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return None
        values = values[part]
    return values


def nested(key: str, value: Any) -> dict[str, Any]:
    """``a.b``, v -> ``{a: {b: v}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def overlay(base: Settings, top: Settings) -> tuple[Settings, list[str]]:
    """``top`` over ``base``: mappings are merged, anything else is replaced. Where ``top`` names another plugin, what
    belonged to the old one is dropped.

    Returns:
        The settings, and a note for each thing dropped.
    """
    values, places, notes = base.values, dict(base.places), list[str]()
    for key, belongings in BELONGINGS.items():
        old, new = get(base.values, key), get(top.values, key)
        if old is None or new is None or old == new:
            continue
        for belonging in belongings:
            if get(values, belonging) is not None:
                place = places.get(belonging, "the checkpoint")
                notes.append(f"{key} is {new}: {belonging} of {old} is dropped ({place})")
                values = without(values, belonging)
                places = {k: v for k, v in places.items() if k != belonging and not k.startswith(f"{belonging}.")}
    return Settings(_merged(values, top.values), {**places, **top.places}), notes


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


def without(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return nested values without a dotted key and what is below it."""
    head, _, rest = key.partition(".")
    if not rest:
        return {k: v for k, v in values.items() if k != head}
    return {k: without(v, rest) if k == head and isinstance(v, Mapping) else v for k, v in values.items()}


def check_keys(settings: Settings, known: Iterable[str]) -> None:
    """Refuse a key that no parser knows, and a value where a group of keys belongs.

    Args:
        settings: What is said.
        known: Dotted keys of the leaves; what is below a leaf is the leaf's own business.

    Raises:
        UserError: With the file and line, and the nearest valid key.
    """
    leaves = set(known)
    groups = {leaf[:i] for leaf in leaves for i, c in enumerate(leaf) if c == "."}
    for key, place in settings.places.items():
        parts = key.split(".")
        value = get(settings.values, key)
        if key in groups and value is not None and not isinstance(value, Mapping):
            raise UserError(f"{place}: {key} is a group of settings, not {value!r}")
        if key in groups or any(".".join(parts[: i + 1]) in leaves for i in range(len(parts))):
            continue
        raise UserError(f"{place}: unknown key {key}{_nearest(key, leaves)}")


def _nearest(key: str, leaves: set[str]) -> str:
    """A leaf with the same last word, else one in the same group with nearly the same, else one spelt nearly alike."""
    group, _, last = key.rpartition(".")
    words = {leaf: leaf.rpartition(".") for leaf in sorted(leaves)}
    near = [leaf for leaf, word in words.items() if word[2] == last]
    near += [leaf for leaf, word in words.items() if word[0] == group and difflib.get_close_matches(last, [word[2]])]
    near += difflib.get_close_matches(key, leaves, n=1, cutoff=0.8)
    return f"; did you mean {near[0]}?" if near else ""

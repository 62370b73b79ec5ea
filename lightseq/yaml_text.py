"""Read YAML whose scalars keep their text where a number is not meant."""

import re
from typing import Any

import yaml

YAML = "tag:yaml.org,2002:"


TYPED_SCALARS = {f"{YAML}{kind}" for kind in ("int", "float", "bool", "timestamp")}


KNOWN_TAGS = {*TYPED_SCALARS, *(f"{YAML}{kind}" for kind in ("str", "null", "seq", "map", "merge", "value"))}


LONGEST = 1 << 19
"""Bytes of a file: with more it is no configuration, nor is a device that never ends. As many take some 15 seconds."""


DEEPEST = 50
"""Levels of lists and mappings within each other."""


FEW = 10_000
"""Nodes that aliases may make in any file, however short."""


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


def keep_text(node: yaml.Node) -> None:
    """Every value at a node and below it stays the text that was written; null is null."""
    if isinstance(node, yaml.MappingNode):
        for _, inner in node.value:
            keep_text(inner)
    elif isinstance(node, yaml.SequenceNode):
        for inner in node.value:
            keep_text(inner)
    elif node.tag in TYPED_SCALARS:
        node.tag = "tag:yaml.org,2002:str"


def read_value(text: str) -> Any:
    """A list or a mapping that stands in a plugin's argument, the values in it as they were written; the text itself
    where it is broken."""
    try:
        loader = Loader(text)
        node = loader.single_node()
        assert node is not None, "a list or a mapping is something"
        keep_text(node)
        return loader.construct_document(node)
    except yaml.YAMLError:
        return text

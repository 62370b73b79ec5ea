"""YAML that no person writes: nested, repeated by aliases, with odd keys and tags."""

from collections.abc import Callable
from random import Random

from lightseq.config import recipes

from .mutations import PLAIN, changed, odd_text

DEPTHS = (3, 60, 1000, 20_000)

SELVES = ("&a [*a]", "a: &a {b: *a}", "&a {? *a : 1}", "a: &a\n  - *a", "&a {<<: *a}", "*nosuch")
"""Nodes that hold themselves, and one that holds nothing."""

KEYS = (
    "2024-01-01",
    "1",
    "1.5",
    "null",
    "~",
    "true",
    "[a, b]",
    "{a: b}",
    "? - a\n: b\n",
    "''",
    ".nan",
    "=",
    "!!binary aa",
)
"""Keys that are no text."""

TAGS = (
    "int",
    "float",
    "bool",
    "timestamp",
    "set",
    "omap",
    "pairs",
    "binary",
    "python/name:os.system",
    "map",
    "seq",
    "null",
    "str",
)

TAGGED = ("x", "[a]", "{a: b}", "''", "[a: b, 1]")

ESCAPES = ("\\ud800", "\\0", "\\x1b[2J", "\\U0011FFFF", "\\uD83D\\uDE00", "\\L")


def document(random: Random) -> str:
    """One of many odd kinds."""
    return random.choice(DOCUMENTS)(random)


def _lists(random: Random) -> str:
    depth = random.choice(DEPTHS)
    return "[" * depth + "]" * depth


def _mappings(random: Random) -> str:
    depth = random.choice(DEPTHS)
    return "{a: " * depth + "1" + "}" * depth


def _indented(random: Random) -> str:
    return "\n".join(f"{' ' * i}a:" for i in range(min(random.choice(DEPTHS), 1000)))


def _doubled(random: Random) -> str:
    """Lists of aliases of lists of aliases: a short text, and more values than fit into memory."""
    depth, width = min(random.choice(DEPTHS), 60), random.choice((2, 9))
    lines = [f"a0: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join(lines)


def _merged(random: Random) -> str:
    """As ``_doubled``, of merge keys."""
    depth, width = min(random.choice(DEPTHS), 40), random.choice((2, 9))
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * width)}]}}" for i in range(1, depth)]
    return "\n".join(lines)


def _selves(random: Random) -> str:
    return random.choice(SELVES)


def _pairs(random: Random) -> str:
    return "\n".join(f"{odd_text(random)}: {odd_text(random)}" for _ in range(random.randint(1, 5)))


def _keys(random: Random) -> str:
    return "\n".join(f"{random.choice(KEYS)}: {random.choice(PLAIN)}" for _ in range(2))


def _tags(random: Random) -> str:
    return f"a: !!{random.choice(TAGS)} {random.choice(TAGGED)}"


def _documents(random: Random) -> str:
    return "---\n".join(f"a{i}: 1\n" for i in range(random.choice((2, 3))))


def _escapes(random: Random) -> str:
    return f'"{random.choice(ESCAPES) * random.choice((1, 500))}": 1'


def _changed(random: Random) -> str:
    return changed(recipes()["dinos"].encode(), random, 50).decode("utf-8", "replace")


DOCUMENTS: tuple[Callable[[Random], str], ...] = (
    _lists, _mappings, _indented, _doubled, _merged, _selves, _pairs, _keys, _tags, _documents, _escapes, _changed,
)  # fmt: skip

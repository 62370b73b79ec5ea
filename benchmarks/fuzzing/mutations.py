"""Odd values, and changes of bytes."""

from random import Random
from typing import Any

PLAIN = (
    "", " ", "0", "1", "-1", "2", "0.5", "-0.0", "1e9", "1000000000", "1" + "0" * 30, "9" * 5000, "nan", "inf", "-inf",
    "1e400", "0x_", "0b_", "1:99", "true", "no", "null", "~", "[]", "{}", "[[]]", "[1, a]", "{a: 1}", "{1: 2}", "a=b",
    "nosuch", "x" * 300, "x" * 5000, "word " * 500, "a/" * 3000, "--", "-", "--help", "@file", "%s%n", "{0}", "$HOME",
    "a\tb", "a\nb", "a: b: c", "'", '"', "`", "*x", "&a [*a]", "<<", "[" * 2000, "{a: " * 300,
    "!!int x", "!!set {a, b}",
    "!!python/object/apply:os.getcwd []", "2024-01-01", "2024-99-99", "12:00:00", "= 1", "|", "#",
)  # fmt: skip
"""Values that are odd somewhere."""

PLACES = (
    ".", "..", "/", "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "http://127.0.0.1:1/x", "a.py:B",
    "./no.py:No", "pipe", "folder", "loop", "secret", "zip://*.txt::no.zip", "memory://x", "file:///", "*", "**", "~",
    "here*",
)  # fmt: skip
"""Names of things that are odd to open; ``pipe`` and the like stand in the trial's folder."""

UNICODE = (
    "é", "²", "٣", "\u202e", "\u2028", "\x1b[31mred\x1b[0m", "\x07", "\x85", "\udcff", "\ud800", "a\udc80b", "😀",
    "e\u0301" * 50,
)  # fmt: skip
"""Text that a terminal obeys, or that is none."""

BYTES = (
    b"\x00", b"\xff", b"\xfe\xff", b"\x1b", b"\xc2", b"\r", b"\t", b"\n", b" ", b":", b"[", b"{", b"&a ", b"*a", b"!",
    b"'", b'"', b"-", b"#", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"9", b"\x85", b"\xe2\x80\xa8",
)  # fmt: skip


NUMBERS = (
    "0",
    "1",
    "2",
    "-1",
    "0.5",
    "1000",
    "1000000",
    "1000000000",
    "1" + "0" * 18,
    "1" + "0" * 30,
    "1e-9",
    "1e300",
    "nan",
)
"""Sizes, counts and rates, few of which make sense."""


def odd_text(random: Random) -> str:
    """A word that is odd somewhere; it has no NUL, which no command line can have."""
    return random.choice(random.choice((PLAIN, PLAIN, PLACES, UNICODE)))


def changed(content: bytes, random: Random, times: int | None = None) -> bytes:
    """Bytes of which some were changed, dropped, doubled, moved or added."""
    buffer = bytearray(content)
    gentle = random.random() < 0.6  # else hardly any text is still one
    for _ in range(times or random.choice((1, 1, 2, 5, 20))):
        place = random.randrange(len(buffer) + 1)
        size = random.choice((1, 1, 3, 20))
        part = bytes(buffer[place : place + size])
        match random.randrange(5):
            case 0 if place < len(buffer):
                buffer[place] ^= 1 << random.randrange(5 if gentle else 8)
            case 1:
                del buffer[place : place + size]
            case 2:
                buffer[place:place] = part * random.choice((1, 2, 50))
            case 3:
                buffer[place:place] = random.choice([part for part in BYTES if part.isascii() or not gentle])
            case _:
                other = random.randrange(len(buffer) + 1)
                buffer[other:other] = part
    if random.random() < 0.05:
        del buffer[random.randrange(len(buffer) + 1) :]
    return bytes(buffer)


def odd_value(random: Random, depth: int = 3) -> Any:
    """A plain value as a checkpoint may hold it, that fits nowhere."""
    scalars = (None, True, False, 0, -1, 1, 3, 10**9, 2**63, -(10**30), 0.5, float("nan"), float("inf"), 1e300)
    if depth and random.random() < 0.3:
        inner = [odd_value(random, depth - 1) for _ in range(random.choice((0, 1, 3)))]
        return random.choice((list, tuple))(inner) if random.random() < 0.6 else dict.fromkeys(map(repr, inner), 1)
    if random.random() < 0.1:
        return random.choice((b"\xff", {1: 2}, {None: None}, ["a"] * 1000, "x" * 100_000, {"a", "b"}))
    return random.choice((*scalars, *(odd_text(random) for _ in range(8))))

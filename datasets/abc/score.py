"""A tune as an engraved score, with the packages of the extra ``lightseq-rnn[score]``.

They are Verovio (LGPL), which reads ABC and engraves, and resvg, which makes pixels of it. They run in a process of
their own, ``engraver``, which is started for the first tune and kept for the next. Verovio does not read the change of
a key within a tune: the notes after it have the signature of the first key.
"""

import atexit
import io
import os
import re
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from subprocess import DEVNULL, PIPE, Popen

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import engraver
from .engraver import ANSWER, REQUEST
from .notation import FIELD

PACKAGES = {"verovio": "verovio", "resvg_py": "resvg-py"}
"""What is imported, and how it is called where it is installed from."""

SECONDS = 10.0
"""After which a tune is given up. The first one has to load the packages within them; a process that starts has its own
time."""
LONGEST = 4_000
"""Characters of a tune that is engraved."""

ENDING = re.compile(r"(?:(?<=\|)|\[)([1-9](?:[,-][1-9])*)")
MARGIN = 8
"""Pixels above and below what is drawn."""


def missing_extra() -> str | None:
    """What to do where the packages are not installed; None where they are."""
    missing = [name for package, name in PACKAGES.items() if find_spec(package) is None]
    if not missing:
        return None
    return f"an engraved score needs the extra lightseq-rnn[score]: pip install {' '.join(missing)}"


def engrave(text: str, seconds: float = SECONDS) -> npt.NDArray[np.uint8] | None:
    """The score of a tune.

    Args:
        text: The tune, whatever it is; one that Verovio finds begins with ``X:``.
        seconds: After which it is given up.

    Returns:
        (height, width, 3) uint8. None where a package is missing, where the text is longer than ``LONGEST`` characters,
        where they can make nothing of it, break, or take too long.
    """
    if missing_extra() or len(text) > LONGEST:
        return None
    picture = _ask(_readable(text).encode("utf-8", "replace"), seconds)
    if not picture:
        return None
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    drawn = np.flatnonzero((pixels != 255).any((1, 2)))
    return pixels[max(drawn[0] - MARGIN, 0) : drawn[-1] + MARGIN + 1].copy() if len(drawn) else None


def _readable(text: str) -> str:
    """A tune as Verovio reads it: a ``!`` at the end of a line would end the process, and the number of an ending is
    written above the staff."""
    lines = [line if FIELD.match(line) else re.sub(r"[\s!]+$", "", line) for line in text.split("\n")]
    return "\n".join(line if FIELD.match(line) else ENDING.sub(r'"^\1."', line) for line in lines) + "\n"


def _ask(text: bytes, seconds: float) -> bytes:
    """What the engraver makes of a text; nothing where it ends over it."""
    child = _child(os.getpid())
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(REQUEST.pack(seconds, len(text)) + text)
        child.stdin.flush()
        answer = child.stdout.read(ANSWER.size)
        length = ANSWER.unpack(answer)[0] if len(answer) == ANSWER.size else -1
        picture = child.stdout.read(max(length, 0))
    except BaseException as error:  # a Ctrl-C too: an answer that nobody waits for is not one to the next text
        _end(child)
        if isinstance(error, OSError):
            return b""
        raise
    if len(picture) != length:
        _end(child)
        return b""
    return picture


@cache
def _child(process: int) -> "Popen[bytes]":
    """The engraver of this process: a fork must not write into the pipe of another's."""
    command = [sys.executable, engraver.__file__]  # with -m it would take modules from the folder of the user, too
    # in a session of its own, so that the Ctrl-C that ends a training does not end it before the last showing
    child = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True)
    atexit.register(_end, child)
    return child


def _end(child: "Popen[bytes]") -> None:
    child.kill()
    with suppress(OSError), child:  # closes its pipes, and waits for it
        _child.cache_clear()
    atexit.unregister(_end)

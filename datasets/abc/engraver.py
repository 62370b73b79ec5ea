"""Engraves tunes in a process of its own, since Verovio ends the whole process on some texts that are no tunes.

Run as a file, it reads requests from standard input until there are no more, and answers each on standard output. A
text that takes too long ends the process.
"""

import faulthandler
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module

REQUEST = struct.Struct("=dI")
"""Seconds, and how many bytes of UTF-8 follow."""
ANSWER = struct.Struct("=I")
"""How many bytes of PNG follow; none where there is no picture."""

WIDTH, HEIGHT = 1000, 1000
"""Pixels of the picture, at the most; what does not fit below is left out."""
SCALE = 40
"""Percent of Verovio's own size, at which a staff is 29 pixels high."""


def main() -> None:
    """Answer until there is nothing to answer."""
    with suppress(ImportError):  # there is none on Windows, and no core file either
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the libraries print is no answer
    while request := sys.stdin.buffer.read(REQUEST.size):
        seconds, length = REQUEST.unpack(request)
        faulthandler.dump_traceback_later(seconds, exit=True)  # a library that hangs does not keep it from running
        picture = _engraver()(sys.stdin.buffer.read(length).decode())
        faulthandler.cancel_dump_traceback_later()
        answers.write(ANSWER.pack(len(picture)) + picture)
        answers.flush()


@cache
def _engraver() -> Callable[[str], bytes]:
    """From ABC to PNG, or to nothing; loaded once the clock ticks."""
    verovio, resvg = import_module("verovio").toolkit(), import_module("resvg_py")
    page = {"pageWidth": WIDTH * 100 // SCALE, "pageHeight": HEIGHT * 100 // SCALE, "adjustPageHeight": True}
    verovio.setOptions({**page, "scale": SCALE, "inputFrom": "abc", "header": "none", "footer": "none"})

    def engrave(text: str) -> bytes:
        if not verovio.loadData(text) or not verovio.getPageCount():
            return b""
        return bytes(resvg.svg_to_bytes(verovio.renderToSVG(1), background="white"))

    return engrave


if __name__ == "__main__":
    main()

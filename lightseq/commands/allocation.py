"""How the process that trains holds its memory."""

import ctypes
import os
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4
"""Of mallopt(3)."""
CHOSEN = ("MALLOC_MMAP_", "MALLOC_TRIM_", "MALLOC_TOP_PAD_")
"""Begins the name of a variable that sets the like."""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed. GNU's gives large blocks back to the system, and an update on a CPU then
    fetches its buffers anew, page by page: a fifth of the time of an LSTM of 384. What is kept serves the next update.

    Where the environment has settings of its own for it, or the library is another, all stays as it is.
    """
    chosen = any(name.startswith(CHOSEN) for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform == "linux" and not chosen:
        library = ctypes.CDLL(None)
        try:
            library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, -1)
        except AttributeError:  # of a library that is not GNU's
            pass

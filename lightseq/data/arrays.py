"""Arrays in the files of a folder: written bit by bit, opened as memory maps, and known by size and checksum."""

import json
import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

CHECKED = 64
"""Pieces of an array whose checksums are looked at when it is opened, evenly from the first to the last."""

Array = npt.NDArray[Any]


class ArrayWriter:
    """Arrays that grow. The list of them is written last: a folder without one is half-written.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._entries: dict[str, tuple[str, list[tuple[int, int]]]] = {}

    def append(self, name: str, values: Any, dtype: npt.DTypeLike) -> None:
        """Add values to the array of a name, which keeps its type."""
        array = np.ascontiguousarray(values, dtype)
        if name not in self._files:
            self._files[name] = (self.folder / f"{name}.bin").open("wb")
            self._entries[name] = (array.dtype.name, [])
        if array.size:
            self._entries[name][1].append((array.nbytes, zlib.crc32(array.view(np.uint8).data)))
            self._files[name].write(array.data)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            if kind is None:  # the list of arrays must not be on the disk before they are
                file.flush()
                os.fsync(file.fileno())
            file.close()
        if kind is None:
            (self.folder / "arrays.json").write_text(json.dumps(self._entries))


def open_arrays(folder: Path) -> dict[str, Array] | None:
    """The arrays in a folder by name; None where it is missing, half-written or damaged."""
    try:
        entries = json.loads((folder / "arrays.json").read_text())
        return {name: _open(folder / f"{name}.bin", *entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError, IndexError):
        return None


def _open(path: Path, dtype: str, pieces: list[tuple[int, int]]) -> Array:
    """One array, read-only.

    Raises:
        ValueError: It is not what was written.
    """
    ends = np.cumsum([0, *(size for size, _ in pieces)])
    if path.stat().st_size != ends[-1]:
        raise ValueError("of another size")
    if not pieces:
        return np.empty(0, dtype)
    array: Array = np.memmap(path, dtype, mode="r")
    raw = array.view(np.uint8)
    for index in np.unique(np.linspace(0, len(pieces) - 1, CHECKED).astype(int)):
        if zlib.crc32(raw[ends[index] : ends[index + 1]].data) != pieces[index][1]:
            raise ValueError("damaged")
    return array

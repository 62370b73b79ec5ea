"""Arrays in the files of a folder: written bit by bit, opened as memory maps, and known by size and checksum."""

import json
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

CHECKED = 1 << 26
"""Bytes of a file up to which its checksum is looked at when it is opened; of a larger one only its size."""

Array = npt.NDArray[Any]


class ArrayWriter:
    """Arrays that grow. The list of them is written last: a folder without one is half-written.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._entries: dict[str, tuple[str, int, int]] = {}

    def append(self, name: str, values: Any, dtype: npt.DTypeLike) -> None:
        """Add values to the array of a name, which keeps its type."""
        array = np.ascontiguousarray(values, dtype)
        if name not in self._files:
            self._files[name] = (self.folder / f"{name}.bin").open("wb")
        _, size, checksum = self._entries.get(name, ("", 0, 0))
        self._entries[name] = (array.dtype.name, size + array.size, zlib.crc32(array.view(np.uint8).data, checksum))
        self._files[name].write(array.data)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            file.close()
        if kind is None:
            (self.folder / "arrays.json").write_text(json.dumps(self._entries))


def open_arrays(folder: Path) -> dict[str, Array] | None:
    """The arrays in a folder by name; None where it is missing, half-written or damaged."""
    try:
        entries = json.loads((folder / "arrays.json").read_text())
        return {name: _open(folder / f"{name}.bin", *entry) for name, entry in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _open(path: Path, dtype: str, size: int, checksum: int) -> Array:
    """One array, read-only.

    Raises:
        ValueError: It is not what was written.
    """
    if path.stat().st_size != size * np.dtype(dtype).itemsize:
        raise ValueError("of another size")
    if not size:
        return np.empty(0, dtype)
    array: Array = np.memmap(path, dtype, mode="r")
    if array.nbytes <= CHECKED and zlib.crc32(array.view(np.uint8).data) != checksum:
        raise ValueError("damaged")
    return array

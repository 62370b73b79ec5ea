"""The format of a checkpoint's file: torch's own zip archive, with a hash of its content as the archive's comment.

Whatever reads torch's files or zip archives reads these too. A changed bit anywhere, or a missing end, shows in the
file itself; torch alone loads a flipped bit without a word.
"""

import errno
import io
import os
import pickletools
import struct
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch

from .errors import UserError

MAGIC = b"lightseq sha256 "
"""Begins the comment; 64 hexadecimal digits follow, the hash of the archive as it is without a comment."""
COMMENT = len(MAGIC) + 64
NO_COMMENT = b"\0\0"
"""The length of no comment, which ends an archive of torch's."""

BEGIN, END = b"PK\x03\x04", b"PK\x05\x06"
END_64 = b"PK\x06\x06"
NOT_SAID = 0xFFFFFFFF
END_LENGTH = 22
"""What opens an archive, and the record that ends it, without the comment."""

MAX_PICKLE = 1 << 23
"""Bytes of all that is no tensor: settings, the vocabulary, states."""

CALLED = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "torch Size",
    "_codecs encode",
}
"""What a pickle of plain values and tensors calls, beside the classes of storages."""

REFUSED = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BYTEARRAY8", "NEXT_BUFFER"}
"""Other ways to make an object, of which torch writes none."""

FOREIGN = "has not the format of a checkpoint"

Signature = tuple[int, int, int, int]

_verdicts: dict[Signature, str | None] = {}
"""What was found in files, so that a large one that nothing has touched since is read through once."""


def signature(path: Path) -> Signature:
    """What changes when a file does: device, number, bytes, and nanoseconds of its last change.

    Raises:
        OSError: No such file.
    """
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_ctime_ns


def damage(path: Path) -> str | None:
    """What is wrong with a checkpoint's file, in words that continue its name ("is cut short"); None where it is good.

    A file without our hash, which plain Lightning has written, is good when its members match the sums that zip keeps.
    """
    try:
        now = signature(path)
        if now not in _verdicts:
            found = _examine(path)
            if time.time_ns() - now[-1] < 2e9:  # clocks of file systems are coarse: a change may not show in it yet
                return found
            _verdicts[now] = found
        return _verdicts[now]
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def load_file(path: Path, map_location: Any = "cpu", lazily: bool = False) -> dict[str, Any]:
    """What a file holds, once it has been found good.

    Args:
        path: It holds plain values and tensors, nothing that would run code.
        map_location: Where the tensors go, as for ``torch.load``.
        lazily: Map the tensors into memory.

    Raises:
        UserError: Damaged, or no checkpoint.
    """
    if wrong := damage(path):
        raise UserError(f"{path} is no checkpoint, or is damaged: it {wrong}")
    if wrong := _foreign_calls(path):
        raise UserError(f"{path} is no checkpoint of lightseq's: it {wrong}")
    try:
        content = torch.load(path, map_location=map_location, weights_only=True, mmap=lazily)
    except Exception as error:  # torch raises half a dozen kinds for what it does not know or does not trust
        raise UserError(f"{path} is no checkpoint, or is damaged: it holds what torch does not trust") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is no checkpoint of lightseq's: it holds a {type(content).__name__}")
    return content


def write_file(path: Path, dump: Callable[[IO[bytes]], object]) -> None:
    """Write a new file through to the disk, and read it back. The hash is computed of what passes by: of a large
    checkpoint there is no second copy in memory.

    Args:
        path: A name that is free. Where this raises, what was written of it is left.
        dump: Writes an archive of torch's into the file that it is given.

    Raises:
        OSError: The disk is full or the like, or what was read back is not what was written.
    """
    with _HashedFile(open(path, "xb", buffering=0)) as file:
        dump(file)
        if file.error is not None:
            raise file.error
        comment = MAGIC + file.hash.hexdigest().encode()
        file.seek(-len(NO_COMMENT), os.SEEK_END)
        file.write(struct.pack("<H", COMMENT) + comment)
        file.flush()
        os.fsync(file.fileno())
    if wrong := _examine(path):
        raise OSError(errno.EIO, f"what was written {wrong}")


class _HashedFile(io.BufferedWriter):
    """A file with the hash of all that was written to it.

    torch makes a ``RuntimeError`` of whatever a write raises, so that a full disk would look like a mistake of ours:
    the first error is kept, and nothing is written after it.
    """

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.hash = sha256()
        self.error: BaseException | None = None

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        if self.error is None:
            try:
                self.hash.update(data)
                return super().write(data)
            except BaseException as error:  # an interruption by the user is one too
                self.error = error
        return size


def _examine(path: Path) -> str | None:
    """As ``damage``; reads the file."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return "is empty"
        file.seek(max(0, size - END_LENGTH - COMMENT))
        end = file.read()
        file.seek(0)
        if end[-COMMENT:].startswith(MAGIC):
            return _examine_hash(file, size, end) or _examine_sizes(file, size)
        if not BEGIN.startswith(file.read(len(BEGIN))):
            return FOREIGN
        if end[-END_LENGTH:].startswith(END) and end.endswith(NO_COMMENT):
            return _examine_members(file) or _examine_sizes(file, size)
        return "does not match its hash" if end.startswith(END) else "is cut short"


def _examine_hash(file: BinaryIO, size: int, end: bytes) -> str | None:
    content, left = sha256(), size - COMMENT - len(NO_COMMENT)
    while left > 0 and (block := file.read(min(left, 1 << 20))):
        content.update(block)
        left -= len(block)
    content.update(NO_COMMENT)
    whole = struct.pack("<H", COMMENT) + MAGIC + content.hexdigest().encode()
    return None if end.endswith(whole) else "does not match its hash"


def _examine_sizes(file: BinaryIO, size: int) -> str | None:
    """Return what is wrong with the structure of an archive: torch compresses no member."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickles = [member for member in members if member.filename.endswith("data.pkl")]
            if len(pickles) != 1 or not _ends_right(file, size, archive.start_dir):
                return FOREIGN
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                return "holds compressed data, which no checkpoint of lightseq's does"
            if sum(member.file_size for member in members) > size:
                return "holds data that overlap"
            return None
    except Exception:  # zipfile raises half a dozen kinds for an archive that is not one
        return FOREIGN


def _ends_right(file: BinaryIO, size: int, start: int) -> bool:
    """Return whether an archive's list of contents is where its end says, so that all readers find the same one.

    Args:
        file: The archive.
        size: Its length in bytes.
        start: Where Python's reader has found the list.
    """
    file.seek(start)
    tail = file.read(size - start)
    ends = [tail.find(END)]
    said = [struct.unpack("<LL", tail[ends[0] + 12 : ends[0] + 20])]
    if END_64 in tail:  # of an archive of more than 4 GB; the other record may say nothing then
        ends.insert(0, tail.find(END_64))
        said.insert(0, struct.unpack("<QQ", tail[ends[0] + 40 : ends[0] + 56]))
        said = said[:1] if said[1] == (NOT_SAID, NOT_SAID) else said
    alone = tail.count(END) == 1 and tail.count(END_64) <= 1
    return alone and all(pair == (ends[0], start) for pair in said)


def _foreign_calls(path: Path) -> str | None:
    """Return what else than plain values and tensors the pickle in an archive would make.

    torch's own reader allows calls that reserve memory of any size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            content = next(archive.read(name) for name in archive.namelist() if name.endswith("data.pkl"))
    except (OSError, zipfile.BadZipFile) as error:
        return f"cannot be read ({error})"
    if len(content) > MAX_PICKLE:
        return f"has more than {MAX_PICKLE >> 20} MiB beside its tensors"
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL":
            module, _, name = str(argument).partition(" ")
            storage = module == "torch" and name.endswith("Storage")
            if not storage and argument not in CALLED:
                return f"holds what torch does not trust, {module}.{name}"[:200]
        elif operation.name in REFUSED:
            return f"holds what torch does not trust, a pickle with {operation.name}"
    return None


def _examine_members(file: BinaryIO) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                return FOREIGN
            if archive.testzip() is None:
                return None
    except Exception:  # zipfile raises half a dozen kinds for an archive that is not one any more
        pass
    return "does not match its checksums"

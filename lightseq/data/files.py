"""Text out of files: found, decoded piece by piece, a mistake told with the file and the line.

A piece is about ``PIECE`` bytes, so a file may be larger than memory. A byte-order mark at the beginning is removed,
and every line ends in a line feed whatever the file has.
"""

import codecs
import io
import json
import lzma
import os
import re
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec  # type: ignore[import-untyped]

from ..errors import UserError

PIECE = 1 << 20
LONGEST = 1 << 26
"""Characters of one line or document: more is taken for a mistake in how the text is divided."""

SETTLED = 2.0
"""Seconds: a file changed a moment ago may change again within the resolution of its time."""


def find(path: str) -> list[str]:
    """The files of a path, sorted: itself, those in a folder and below it, or those that a pattern or URL names.
    Files and folders whose names begin with a dot are left out, unless they are named; links to folders are not
    followed.

    Args:
        path: A file, a folder, a glob like ``texts/*.txt``, or a URL that fsspec knows.

    Raises:
        UserError: Nothing there.
    """
    try:
        system, place = fsspec.core.url_to_fs(path, **_options(path))
        if _is_web(path) or system.isfile(place):
            return [path]
        folder = system.isdir(place)
        if folder and not _is_url(path) and os.path.realpath(path) == os.path.realpath(os.sep):
            raise UserError(f"{path} is the whole disk: name a folder of texts")
        found = system.find(place) if folder else [name for name in system.glob(place) if system.isfile(name)]
    except _failures(path) as error:
        raise UserError(f"{path} cannot be read: {_reason(error)}") from error
    named = PurePosixPath(place).parts
    found = [name for name in found if not _is_hidden(PurePosixPath(name), named) and (_is_url(path) or isfile(name))]
    if not found:
        raise UserError(f"{path} is a folder without files" if folder else f"no file at {path}")
    chain = "".join(path.partition("::")[1:])  # zip://*.txt::texts.zip
    return sorted(system.unstrip_protocol(name) + chain if _is_url(path) else os.path.relpath(name) for name in found)


def chunks(file: str, encoding: str = "utf-8", errors: str = "strict", nul: bool = False) -> Iterator[str]:
    """A file's text in pieces.

    Args:
        file: One of those that ``find`` gives; ``.gz`` and its kin are unpacked.
        encoding: Its encoding, as Python names it.
        errors: What to do about bytes that are none in it, as Python names it: strict, replace, ignore.
        nul: Whether a character U+0000 may stand in it; a file of text has none.

    Raises:
        UserError: An unknown encoding, a file that cannot be read, bytes that do not decode (with line and byte).
    """
    decoder = _decoder(encoding, errors)
    read, begun = 0, False
    for number, piece in enumerate(_pieces(file)):
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            line = 1 + _lines_before(number, file, encoding, errors)
            raise UserError(f"{file}, {_undecodable(error, encoding, line, read, len(piece))}") from None
        read += len(piece)
        if not begun and text:
            text, begun = text.removeprefix("\ufeff"), True
        if not nul and "\0" in text:
            line = 1 + _lines_before(number, file, encoding, errors) + text.count("\n", 0, text.index("\0"))
            raise UserError(f"{file}, line {line}: a NUL character; this is no text, or not {encoding}")
        if text:
            yield text


def lines(file: str, encoding: str = "utf-8", errors: str = "strict") -> Iterator[tuple[int, str]]:
    """A file's lines with their numbers, from 1, without their ends. Arguments and errors as ``chunks``."""
    return enumerate(records(chunks(file, encoding, errors), "\n", file), 1)


def records(pieces: Iterable[str], separator: str | re.Pattern[str], source: str) -> Iterator[str]:
    """What stands between separators, wherever the pieces are cut; what follows the last one, if it is anything.

    Args:
        pieces: A text in pieces.
        separator: A string, or a pattern whose match does not end at the end of a piece by chance.
        source: The file, for messages.

    Raises:
        UserError: A record of more than ``LONGEST`` characters.
    """
    rest, number = "", 1
    for piece in pieces:
        whole = rest + piece
        *parts, rest = whole.split(separator) if isinstance(separator, str) else separator.split(whole)
        yield from parts
        number += len(parts)
        if len(rest) > LONGEST:
            raise UserError(
                f"{source}: document {number} has more than {LONGEST:,} characters; if it is one long text, read it as "
                f"a stream"
            )
    if rest:
        yield rest


def fingerprint(files: Iterable[str], *options: object) -> str | None:
    """What changes when a file does: of the names, sizes and times, and of options whose ``repr`` says all.

    Returns:
        None where that is no proof: a file that is not local, or that was changed within the last two seconds.
    """
    seen: list[Any] = [repr(options)]
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            return None
        if status.st_mtime > time.time() - SETTLED:
            return None
        times = [status.st_mtime_ns, status.st_ctime_ns]  # the second one nobody can set back
        seen.append([os.path.abspath(file), status.st_size, *times, status.st_ino])
    return blake2b(json.dumps(seen).encode(), digest_size=16).hexdigest()


def _pieces(file: str) -> Iterator[bytes]:
    """A file's bytes, and at the end none.

    Raises:
        UserError: It cannot be read, or is a pipe, which a reader may wait at for ever.
    """
    if not _is_url(file) and Path(file).is_fifo():
        raise UserError(f"{file} is a pipe: write what it gives to a file")
    try:
        with fsspec.open(file, "rb", compression="infer", **_options(file)) as stream:
            while piece := stream.read(PIECE):
                yield piece
    except _failures(file) as error:
        raise UserError(f"{file} cannot be read: {_reason(error)}") from error
    yield b""


def _decoder(encoding: str, errors: str) -> io.IncrementalNewlineDecoder:
    try:
        return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(errors), translate=True)
    except LookupError:
        raise UserError(f"no encoding called {encoding!r}; utf-8, latin-1 and utf-16 are some") from None


def _lines_before(pieces: int, file: str, encoding: str, errors: str) -> int:
    """Line ends in a file's first pieces: counted for a message alone."""
    decoder = _decoder(encoding, errors)
    return sum(decoder.decode(piece).count("\n") for piece in islice(_pieces(file), pieces))


def _undecodable(error: UnicodeError, encoding: str, line: int, read: int, size: int) -> str:
    """Where and what, of an error in a piece of ``size`` bytes that ``read`` bytes came before."""
    if not isinstance(error, UnicodeDecodeError):
        return f"line {line}: not {encoding}: {error}"
    held = len(error.object) - size  # of the piece before: a character that its end cut in two
    line += _decoder(encoding, "ignore").decode(error.object[: error.start], final=True).count("\n")
    bad = error.object[error.start]
    other = "utf-16" if read == 0 and bad in (0xFE, 0xFF) and error.start == 0 else "latin-1"
    hint = "" if encoding == other else f"; dataset_args.encoding names another one, {other} say"
    return f"line {line}: byte {read - held + error.start} (0x{bad:02X}) is not {encoding}{hint}"


def _is_url(path: str) -> bool:
    return "://" in path


def _is_web(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def _options(path: str) -> dict[str, Any]:
    """A server that does not answer within ten seconds counts as none."""
    if not _is_web(path):
        return {}
    from aiohttp import ClientTimeout

    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=10, sock_read=10)}}


def _failures(path: str) -> tuple[type[Exception], ...]:
    """What goes wrong with a file or a server, or where the package for a protocol is missing."""
    usual = (OSError, EOFError, ValueError, ImportError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
    if not _is_web(path):
        return usual
    from aiohttp import ClientError

    return (*usual, ClientError, TimeoutError)


def _is_hidden(path: PurePosixPath, named: tuple[str, ...]) -> bool:
    return any(part.startswith(".") and part not in named for part in path.parts)


def _reason(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return "not found"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__

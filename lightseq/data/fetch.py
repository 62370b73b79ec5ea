"""Files from the network: pinned, verified, cached, and found again without one."""

import os
import sys
from pathlib import Path

from ..atomic import open_whole
from ..errors import UserError
from .cache import cache_folder, locked

TIMEOUT = 10
"""Seconds without an answer that count as no network."""


def fetch(name: str, url: str, sha256: str) -> Path:
    """The local copy of a file, downloaded where there is none yet.

    It is looked for in the folder that ``LIGHTSEQ_DATA`` names, then in ``data`` of the cache folder, and downloaded
    into the first of them that can be written, by one process at a time. A download that is not the file that was
    meant is kept beside its place for a look, with ``.refused`` at the end of its name.

    Args:
        name: What the file is called here.
        url: Where it comes from.
        sha256: Of its content, hexadecimal.

    Raises:
        UserError: No network, another content than was meant, or no folder that can be written.
    """
    for folder in _folders():
        path = folder / name
        if path.is_file():
            digest = _digest(path)
            if digest == sha256:
                return path
            if folder != _own_folder():  # a file of the user's: neither trained on nor touched
                raise UserError(
                    f"{path} is another file than {url}: its SHA-256 is {digest}, not {sha256}. Move it away, or train "
                    f"on it as your own: --data.dataset_args.path {path}"
                )
    with locked("data", name):
        path = next((folder for folder in _folders() if os.access(folder, os.W_OK)), _own_folder()) / name
        if not (path.is_file() and _digest(path) == sha256):
            _download(path, url, sha256)
    return path


def _own_folder() -> Path:
    return cache_folder() / "data"


def _folders() -> list[Path]:
    given = os.environ.get("LIGHTSEQ_DATA")
    return [Path(given), _own_folder()] if given else [_own_folder()]


def _download(path: Path, url: str, sha256: str) -> None:
    """Beside its place first, under the name of what is refused, and moved there when it is what was meant."""
    from pooch import HTTPDownloader  # type: ignore[import-untyped]
    from requests import RequestException

    refused = path.with_name(f"{path.name}.refused")
    try:
        with open_whole(refused) as file:
            HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)(url, file, None)
        digest = _digest(refused)
        if digest == sha256:
            os.replace(refused, path)
            return
        raise UserError(
            f"{url} gave another file than was meant: its SHA-256 is {digest}, not {sha256}. It is kept as {refused}"
        )
    except (RequestException, OSError) as error:  # a RequestException is an OSError without a number
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise UserError(
            f"{path.name} is not here and cannot be downloaded ({reason}). Get it by hand from {url} "
            f"(SHA-256 {sha256}): put it at {_folders()[0] / path.name}, or, where the dataset takes one, name it with "
            f"--data.dataset_args.path. LIGHTSEQ_DATA names another folder"
        ) from error


def _digest(path: Path) -> str:
    from pooch import file_hash

    return str(file_hash(str(path)))

"""Folders that cannot be written to, and disks without room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def fill(folder: Path) -> None:
    """Fill a disk to the last byte, by a file called ``filling``."""
    file = os.open(folder / "filling", os.O_WRONLY | os.O_CREAT)
    for size in (1 << 16, 1 << 8, 1):
        try:
            while True:
                os.write(file, bytes(size))
        except OSError:
            continue
    os.close(file)


@contextmanager
def read_only(folder: Path) -> Iterator[bool]:
    """A folder that cannot be written to: by a mount for root, whom permissions do not bind, else by permissions.

    Yields:
        Whether it is read-only: false where nothing can be mounted.
    """
    if os.geteuid():
        places = [place for place in (folder, *folder.rglob("*")) if place.is_dir()]
        for place in places:
            place.chmod(0o555)
        yield True
        for place in places:
            place.chmod(0o755)
        return
    bind = ["mount", "--bind", str(folder), str(folder)]
    if not shutil.which("mount") or subprocess.run(bind, capture_output=True, check=False).returncode:
        yield False
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield True
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

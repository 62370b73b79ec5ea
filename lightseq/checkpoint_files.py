"""Checkpoints on the disk: whatever happens while one is written, a good one is there."""

import io
import os
import shutil
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import torch
from pytorch_lightning.plugins.io import CheckpointIO

from .checkpoint import LAST, PREVIOUS, UNFINISHED
from .checkpoint_format import Signature, damage, load_file, signature, write_file


class CheckpointFiles(CheckpointIO):
    """Writes, reads and removes the checkpoints of a run, in one process, into folders that no other run writes to.

    A checkpoint is written beside its place with a hash of its content, read back, and moved there whole. The
    ``last.ckpt`` before it stays as ``previous.ckpt``. Where it cannot be written, for a full disk or a folder that is
    gone, it is kept in memory, and tried again with every further one: a run of many processes must not end, nor wait
    for ever, because one of them met a full disk.
    """

    def __init__(self) -> None:
        self._own: dict[Path, Signature] = {}
        """The files called ``last.ckpt`` as this object left them: these need not be read to be known as good."""
        self._waiting: dict[Path, memoryview] = {}
        """What could not be written."""
        self._removals: set[Path] = set()
        """What goes once nothing waits: till then it may be the only good one."""
        self._warned = False

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint, and first what waits. An error of the disk is a warning, the first of its kind until all
        is written.

        Args:
            checkpoint: Plain values and tensors.
            path: A local file; missing folders are made.
            storage_options: Of no meaning for a local file.
        """
        place, dump = Path(path), partial(torch.save, checkpoint)
        self._removals.discard(place)
        self._write_waiting(besides=place)
        try:
            self._write(place, dump)
            self._waiting.pop(place, None)
        except OSError as error:
            content = io.BytesIO()  # the tensors are living weights: the next update changes them
            dump(content)
            self._waiting[place] = content.getbuffer()
            self._warn(place, checkpoint, error)
        self._settle()

    def retry(self) -> list[Path]:
        """Write what waits; for the end of a run.

        Returns:
            What still waits, and is lost when the process ends.
        """
        self._write_waiting()
        self._settle()
        return list(self._waiting)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What a checkpoint holds.

        Args:
            path: A file.
            map_location: Where the tensors go, as for ``torch.load``.
            weights_only: Only plain values and tensors are ever read, whatever is asked for.

        Raises:
            UserError: The file is damaged, or no checkpoint.
        """
        return load_file(Path(path), map_location)

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, or a folder of shards, at once or when nothing waits to be written any more."""
        place = Path(path)
        self._waiting.pop(place, None)
        self._removals.add(place)
        if not self._waiting:
            self._remove()

    def _write(self, path: Path, dump: Callable[[IO[bytes]], object]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".*{UNFINISHED}"):  # of a process that was killed: this one writes one a time
            leftover.unlink(missing_ok=True)
        part = _beside(path)
        try:
            write_file(part, dump)
            if path.name == LAST and path.exists():
                self._keep_previous(path)
            os.replace(part, path)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        _sync(path.parent)
        if path.name == LAST:
            self._own[path] = signature(path)

    def _keep_previous(self, path: Path) -> None:
        """The last one becomes the previous one, unless it is damaged: then the previous one is all there is."""
        if self._own.get(path) != signature(path) and damage(path):
            return
        previous, link = path.with_name(PREVIOUS), _beside(path)
        try:
            os.link(path, link)
        except OSError:  # a file system without links: for a moment the new one has no name yet, and previous is good
            os.replace(path, previous)
            return
        os.replace(link, previous)
        link.unlink(missing_ok=True)  # where the two were one file, after a kill right here, it is still there

    def _write_waiting(self, besides: Path | None = None) -> None:
        for path, content in list(self._waiting.items()):
            if path != besides:  # a newer one is about to be written
                with suppress(OSError):
                    self._write(path, partial(_copy, content))
                    del self._waiting[path]

    def _warn(self, path: Path, checkpoint: dict[str, Any], error: OSError) -> None:
        if not self._warned:
            self._warned = True  # the update makes each a text of its own: Python shows a text once
            warnings.warn(
                f"{path} cannot be written after update {checkpoint.get('global_step')} ({error.strerror or error}); "
                "training goes on, the checkpoint is kept in memory and tried again at every further one. Make room, "
                f"or make {path.parent} a folder that can be written to: what is not on the disk when the run ends is "
                "lost",
                stacklevel=3,
            )

    def _settle(self) -> None:
        """All is written: say so if there was trouble, and remove what had to stay till now."""
        if self._waiting:
            return
        if self._warned:
            self._warned = False
            print("lightseq: checkpoints can be written again, and are on the disk", file=sys.stderr)
        self._remove()

    def _remove(self) -> None:
        for path in sorted(self._removals):
            with suppress(OSError):  # what cannot be removed now is tried again with the next one
                if path.is_dir():
                    shutil.rmtree(path)
                path.unlink(missing_ok=True)
                self._removals.remove(path)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid4().hex}{UNFINISHED}")


def _copy(content: memoryview, file: IO[bytes]) -> None:
    file.write(content)


def _sync(folder: Path) -> None:
    """Write the names in a folder through to the disk."""
    with suppress(OSError):  # some file systems refuse it, and the files are in place
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

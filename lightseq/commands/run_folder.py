"""The folder of a run: ``runs/<dataset>/version_N``."""

import errno
import itertools
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from .. import registry
from ..callbacks.results import ENDED
from ..errors import UserError
from ..signed_config import sign
from .places import RUNS, numbered_runs, version_of

ROOM = 1 << 16
"""Bytes that must be free where a run begins: what it writes before its first checkpoint has less."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
"""Errors that only a disk has."""

REFUSED = {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG}
"""Errors that a path in a run folder may have."""


def runs_of(root: str | None, dataset: str) -> Path:
    """The folder of a dataset's runs, below ``trainer.default_root_dir``."""
    own = registry.split_file(dataset)
    return Path(root or RUNS) / re.sub(r"\W+", "_", own[1] if own else dataset)


def claim_version(folder: Path) -> tuple[Path, list[Path]]:
    """Make the next ``version_N`` in a folder. Two runs that begin at the same moment get one each.

    Returns:
        The new folder, and what was made to hold it, the innermost first.

    Raises:
        UserError: The folder cannot be written.
    """
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        taken = numbered_runs(folder)
        for version in itertools.count(version_of(taken[-1]) + 1 if taken else 0):
            path = folder / f"version_{version}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                if not folder.is_dir():
                    raise
                continue
            return path, made
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"no run folder can be made in {folder} ({reason}); --trainer.default_root_dir names another place"
        ) from error
    raise AssertionError("counting ends nowhere")


def run_logger(runs: Path, folder: Path | None, update: int | None) -> TensorBoardLogger:
    """The logger of a run.

    Args:
        runs: Where the folders of a dataset's runs are.
        folder: That of this run; None in a process that is told it by the first one.
        update: The last update of a run that goes on: what was logged after it is dropped from the curves.
    """
    if folder is None:
        return TensorBoardLogger(runs.parent, runs.name, default_hp_metric=False)
    if update is None:
        return TensorBoardLogger(runs.parent, runs.name, int(folder.name[8:]), default_hp_metric=False)
    return TensorBoardLogger(folder.parent, "", folder.name, default_hp_metric=False, purge_step=update + 1)


def check_room(folder: Path) -> None:
    """Refuse a run folder on a disk that is full: write a file of some size, and remove it again.

    Raises:
        OSError: The file cannot be written.
    """
    probe = folder / ".room"
    probe.unlink(missing_ok=True)
    try:
        with probe.open("xb") as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    finally:
        probe.unlink(missing_ok=True)


def unwritable_run(folder: Path, error: OSError) -> UserError:
    """The message about a run folder that the disk refuses to write to."""
    place = error.filename if isinstance(error.filename, str) else folder
    return UserError(
        f"{str(place)[-200:]} cannot be written ({error.strerror or error}). Make room there, or choose another place "
        "with --trainer.default_root_dir"
    )


def is_of_disk(error: OSError, folder: Path) -> bool:
    """Whether an error is of the disk that a run folder is on, and no bug."""
    if error.errno in FULL:
        return True
    below = isinstance(error.filename, str) and Path(error.filename).absolute().is_relative_to(folder.absolute())
    return below and error.errno in REFUSED


@contextmanager
def quiet_event_writers() -> Iterator[None]:
    """Within it no traceback is printed of a thread of TensorBoard's that cannot write; the next call of its logger
    raises the same error."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__module__.startswith("tensorboard.")):
            before(failed)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def drop_unused(folder: Path, before: Set[Path], made: Sequence[Path]) -> None:
    """Remove what a run has left that ended before its first update.

    Args:
        folder: Of the run.
        before: What was in it when it went on; nothing of a new run, whose whole folder is removed.
        made: Folders that were made to hold that of a new run, the innermost first: they go where they are empty.
    """
    if before:
        for path in {*folder.iterdir()} - before:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    elif folder.name.startswith("version_") and not list(folder.glob("checkpoints/*.ckpt")):
        shutil.rmtree(folder, ignore_errors=True)
        for path in made:
            with suppress(OSError):  # another run has begun in it
                path.rmdir()


def check_unfinished(content: Mapping[str, Any], max_epochs: int | None, max_steps: int, path: Path) -> None:
    """Refuse to go on from a checkpoint that has nothing left to do.

    Raises:
        UserError: It has as many epochs or updates behind it as are asked for, or holds weights alone.
    """
    if "optimizer_states" not in content:
        raise UserError(f"{path} holds the weights alone: a fit can go on from a whole checkpoint only")
    epochs: Any = content.get("loops")
    for key in ("fit_loop", "epoch_progress", "current", "processed"):
        epochs = epochs.get(key) if isinstance(epochs, Mapping) else None
    if not isinstance(epochs, int):
        raise UserError(f"{path} does not say how many epochs it has behind it")
    if max_epochs is not None and 0 <= max_epochs <= epochs:
        raise UserError(f"{path} has {epochs} epochs behind it: to go on, raise --trainer.max_epochs above that")
    if 0 <= max_steps <= content["global_step"]:
        updates = content["global_step"]
        raise UserError(f"{path} has {updates} updates behind it: to go on, raise --trainer.max_steps above that")


class RunConfig(SaveConfigCallback):
    """The resolved configuration in the run folder; a run that goes on in its old folder writes it beside the first."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Nothing yet: a mistake that shows only now should leave no folder, and the step is not known."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        folder = trainer.log_dir  # asked on every rank: it is broadcast
        if folder is None or not trainer.loggers:
            return
        if trainer.is_global_zero and (Path(folder) / self.config_filename).exists():
            self.config_filename = f"config.resume-{trainer.global_step}.yaml"
        self.overwrite = True
        super().setup(trainer, pl_module, "fit")
        if trainer.is_global_zero:
            sign(Path(folder) / self.config_filename)
            if (Path(folder) / ENDED).is_file():  # a run that had ended, and is made longer
                (Path(folder) / ENDED).unlink()

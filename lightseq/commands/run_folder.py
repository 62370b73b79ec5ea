"""The folder of a run: ``runs/<dataset>/version_N``."""

import itertools
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.cli import SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger

from .. import registry
from ..callbacks.results import ENDED
from ..errors import UserError
from .places import RUNS, numbered_runs, version_of


def runs_of(root: str | None, dataset: str) -> Path:
    """The folder of a dataset's runs, below ``trainer.default_root_dir``."""
    own = registry.split_file(dataset)
    return Path(root or RUNS) / re.sub(r"\W+", "_", own[1] if own else dataset)


def claim_version(folder: Path) -> int:
    """Make the next ``version_N`` in a folder. Two runs that begin at the same moment get one each.

    Raises:
        UserError: The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = numbered_runs(folder)
        for version in itertools.count(version_of(taken[-1]) + 1 if taken else 0):
            try:
                (folder / f"version_{version}").mkdir()
            except FileExistsError:
                continue
            return version
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"no run folder can be made in {folder} ({reason}); --trainer.default_root_dir names another place"
        ) from error
    raise AssertionError("counting ends nowhere")


def run_logger(runs: Path, folder: Path | None, update: int, chief: bool) -> TensorBoardLogger:
    """The logger of a run, in a folder of its own.

    Args:
        runs: Where to make one.
        folder: That of a run which goes on; None makes one.
        update: The last update of that run: what was logged after it is dropped from the curves.
        chief: Whether this process is the one to make it; the others are told.
    """
    if folder is not None:
        return TensorBoardLogger(folder.parent, "", folder.name, default_hp_metric=False, purge_step=update + 1)
    return TensorBoardLogger(runs.parent, runs.name, claim_version(runs) if chief else None, default_hp_metric=False)


def drop_unused(folder: Path) -> None:
    """Remove the folder of a run that ended before it had a checkpoint."""
    if folder.name.startswith("version_") and not list(folder.glob("checkpoints/*.ckpt")):
        shutil.rmtree(folder, ignore_errors=True)


def check_unfinished(content: Mapping[str, Any], max_epochs: int | None, max_steps: int, path: Path) -> None:
    """Refuse to go on from a checkpoint that has nothing left to do.

    Raises:
        UserError: It has as many epochs or updates behind it as are asked for, or holds weights alone.
    """
    if "optimizer_states" not in content:
        raise UserError(f"{path} holds the weights alone: a fit can go on from a whole checkpoint only")
    epochs = content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
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
            (Path(folder) / ENDED).unlink(missing_ok=True)  # a run that had ended, and is made longer
        self.overwrite = True
        super().setup(trainer, pl_module, "fit")

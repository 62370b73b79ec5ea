"""``fit``, ``validate``, ``test``, ``predict``: LightningCLI with one module class and one data module class."""

import atexit
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonargparse
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import TensorBoardLogger

from ..callbacks.exact_resume import ExactResume
from ..callbacks.graceful_stop import listening, started_by_another
from ..callbacks.places import folder_of
from ..callbacks.progress import RunProgress
from ..callbacks.results import ENDED, Results
from ..checkpoint_contents import no_larger_than_stored
from ..checkpoint_files import CheckpointFiles
from ..config import Settings, read_settings
from ..data import SequenceData
from ..data.batching import DocumentBatches
from ..data.findings import headline
from ..data.ngram import yardsticks
from ..errors import Stopped, UserError, quote
from ..system import SequenceSystem
from . import precision
from .allocation import keep_freed_memory
from .arguments import import_named_modules, read_command_line
from .beginning import Beginning
from .house import Unprofiled, house_callbacks, in_order, leave_group, listed, put_precision
from .parser import (
    BEST,
    TRAINER_DEFAULTS,
    SettingsParser,
    add_house_arguments,
    check_known,
    check_most,
    check_null,
    check_settings,
)
from .predictions import print_predictions
from .report import describe, lost_checkpoint, missing_checkpoint, note, print_results, print_values
from .resume import check_unchanged
from .run_folder import (
    RunConfig,
    check_room,
    claim_version,
    drop_unused,
    is_of_disk,
    quiet_event_writers,
    run_logger,
    runs_of,
    unwritable_run,
)
from .run_lock import held

UNTRUE_HERE = (
    ".*LeafSpec",  # Lightning calls what torch deprecates
    "The dirpath has changed",  # a fit that goes on from a checkpoint begins a run folder of its own
    "Checkpoint directory .* exists and is not empty",  # one that goes on in its own folder finds it so
    "FSDP2-wrapped module .* returned a view",  # which nobody changes
    "The number of training batches .* is smaller than the logging interval",  # updates are counted over epochs
)
"""Warnings of Lightning's that tell a user of lightseq nothing."""


class SequenceCLI(LightningCLI):
    """One verb of Lightning's.

    Args:
        verb: fit, validate, test or predict.
        words: The command line after the verb.
        locks: Holds the lock on the run folder until it is closed.
    """

    def __init__(self, verb: str, words: Sequence[str], locks: ExitStack) -> None:
        self.verb = verb
        self.locks = locks
        self.begun: tuple[Path, frozenset[Path], list[Path]] | None = None  # the run folder, as drop_unused takes it
        self.line = read_command_line(words, verb)
        self.beginning = Beginning(self.line.settings.places, self.line.trust)
        self.results, self.exact, self.files = Results(), ExactResume(), CheckpointFiles()
        super().__init__(
            SequenceSystem,
            SequenceData,
            args=[verb, *self.line.words],
            parser_class=SettingsParser,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            save_config_callback=RunConfig if verb == "fit" else None,
            auto_configure_optimizers=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # one verb: four parsers take four times as long
        return {self.verb: LightningCLI.subcommands()[self.verb]}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_house_arguments(parser)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        own = self._subcommand_parsers[self.verb]
        own.places = parser.places = self.line.settings.places  # type: ignore[attr-defined]
        check_known(own, self.line.settings)
        self.config = parser.parse_args(args)
        settings = self.config[self.verb].as_dict()
        check_null(own, settings, self.line.settings.places)
        check_most(settings, self.line.settings.places)

    def _parse_ckpt_path(self) -> None:
        """Lightning's own takes hyper-parameters from a checkpoint, and says nothing."""
        self.beginning.take(self.verb, self.config[self.verb], self._resolved)
        self.exact.same_run, self.results.goes_on = self.beginning.same_run, self.beginning.resumed is not None

    def _resolved(self) -> Settings:
        """The settings as ``config.yaml`` will hold them."""
        text = self._parser(self.verb).dump(self.config[self.verb], skip_none=False)
        return Settings(read_settings(text, "config.yaml").values, self.line.settings.places)

    def before_instantiate_classes(self) -> None:
        """Refuse what can be refused before anything is read or written."""
        check_settings(self.config[self.verb], self.line.settings.places)
        if self.beginning.origin:
            limit = self.beginning.origin.rule(self.config[self.verb], self.line.settings.places)
            self.beginning.path, self.beginning.most_parameters = self.beginning.origin.path, limit

    def instantiate_classes(self) -> None:
        """Build everything; of a checkpoint's settings no larger network than it has weights for."""
        with no_larger_than_stored(self.beginning.most_parameters, self.beginning.path):
            super().instantiate_classes()

    def after_instantiate_classes(self) -> None:
        """Refuse what shows only in the data."""
        done = "trained" if self.verb == "fit" else "scored"
        on = f" on {self.trainer.world_size} processes" if self.trainer.world_size > 1 else ""
        summary = describe(self.datamodule, self.model, f"{done} in {self.trainer.precision}{on}")
        self.beginning.check(self.trainer, self.datamodule, self.config[self.verb].get("ckpt_path"))
        if self.verb == "predict" and self.trainer.world_size > 1:
            raise UserError("predict prints documents in order, and so runs in one process: --trainer.devices 1")
        if self.verb == "fit" and self.model.labels is None:
            self.callback("sampling").prompts_for(self.datamodule)
        best = self.callback("checkpoint")
        if self.model.labels is not None and best.filename == BEST:
            best.filename = BEST.replace("bpc", "loss")
        if self.trainer.world_size > 1:  # processes that are started from this one compute as it does
            os.environ[precision.VARIABLE] = str(self.trainer.precision)
        summary += self.beginning.give(self.model)
        self._hold_resumed()
        if self.trainer.is_global_zero:
            print(summary, file=sys.stdout if self.verb == "fit" else sys.stderr)
            if self.verb == "fit":
                data = self.datamodule
                print(headline(yardsticks(data.store, data.parts, data.dataset.layout == "stream")))

    def _hold_resumed(self) -> None:
        """Take the lock on a run that goes on. Of many processes only the first one takes it, and only it writes."""
        resumed, folder = self.beginning.resumed, self.beginning.folder
        if resumed and folder and self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.locks.enter_context(held(folder))
            check_unchanged(resumed)

    def callback(self, key: str) -> Any:
        """A callback of the house's by its key in the configuration."""
        return self._get(self.config_init, key)

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """The run folder's logger, and the callbacks that every run has."""
        settings = dict(self._get(self.config_init, "trainer"))
        fitting = self.verb == "fit"
        self.house_logger = settings["logger"] in (None, True) and fitting
        if settings["logger"] in (None, True):
            settings["logger"] = False  # the house's own comes when the run begins: a mistake leaves no folder
        if settings["accelerator"] == "auto" and not torch.cuda.is_available():
            settings["accelerator"] = "cpu"  # exact sums are float64, which Apple's GPUs lack
        own, house = listed(settings["callbacks"]), list[Any]()
        if settings["enable_progress_bar"] is not False and not any(isinstance(c, ProgressBar) for c in own):
            house.append(RunProgress())
        if fitting:
            house += house_callbacks(self.config_init["fit"], self.model.labels is not None, self.results, self.exact)
            settings["plugins"] = [*listed(settings["plugins"]), self.files]
        settings["callbacks"], settings["profiler"] = own + house, settings["profiler"] or Unprofiled()
        if fitting and settings["precision"] is None:
            cuda = settings["accelerator"] != "cpu" and torch.cuda.is_available()
            chosen = self.beginning.stored.get("precision")
            settings["precision"] = chosen or precision.choose(self.model.model, self.datamodule.batch_size, cuda)
            self.config[self.verb]["trainer"]["precision"] = settings["precision"]  # for the run's config.yaml
        try:
            trainer = self._instantiate_trainer(settings, [])
        except RuntimeError as error:
            if "stateful callback" not in str(error):
                raise
            raise UserError("trainer.callbacks has a ModelCheckpoint like the house's own: set checkpoint.*") from error
        except (ValueError, TypeError) as error:  # what the Trainer's constructor refuses is a setting of the user's
            raise UserError(" ".join(str(error).split())) from error
        put_precision(trainer, self.model)
        trainer.callbacks = in_order(trainer.callbacks)  # type: ignore[attr-defined]
        return trainer

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        settings = {**super()._prepare_subcommand_kwargs(subcommand), "weights_only": True}
        if self.verb != "fit":  # the weights alone: Lightning would ask for the callbacks of the training too
            settings["ckpt_path"] = None
            self.beginning.give_weights(self.model)
        return settings

    def fit(self, **kwargs: Any) -> None:
        """Lightning's own, in a run folder; one that is stopped says how it goes on."""
        trainer = self.trainer
        with listening(starts_others=trainer.world_size > 1), quiet_event_writers():
            try:
                if self.house_logger and not trainer.fast_dev_run:  # type: ignore[attr-defined]
                    trainer.logger = self._run_logger()
                if trainer.strategy.root_device.type == "cpu":
                    keep_freed_memory()
                trainer.fit(**kwargs)
            except Stopped as stop:
                lost = self.files.retry()
                if not self.results.started:
                    self._drop_unused()
                if lost:
                    raise lost_checkpoint(lost) from stop
                if not (self.results.started and (self.callback("last").path.parents[1] / ENDED).is_file()):
                    self._say_how_it_goes_on(stop)
                    if started_by_another():  # which speaks for both, and must not take this one for dead
                        raise SystemExit(0) from stop
                    raise
            except Exception as error:
                self.files.retry()  # a checkpoint that met a full disk is in memory alone
                mistake = self._mistake_behind(error, kwargs.get("ckpt_path"))
                if mistake is None:
                    raise  # a bug, and what it left behind helps to find it
                if not (self.results.started and isinstance(error, UserError)):  # a run that has diverged says how
                    self._drop_unused()
                raise mistake from (error if mistake is not error else None)

    def _mistake_behind(self, error: Exception, checkpoint: Any) -> UserError | None:
        """Return the message for an exception that is the user's, or that of a checkpoint; None for a bug."""
        if isinstance(error, UserError):
            return error
        if isinstance(error, MisconfigurationException):
            return UserError(" ".join(str(error).split()))
        if isinstance(error, OSError) and self.begun and not self.results.started:
            folder = self.begun[0]
            if is_of_disk(error, folder):
                return unwritable_run(folder, error)
        if checkpoint is not None and self.trainer.global_step <= self.beginning.update:  # no update was made since
            return UserError(f"{checkpoint} cannot be restored ({quote(error):.200}); LIGHTSEQ_DEBUG=1 shows where")
        if isinstance(error, ValueError) and not self.results.started:
            return UserError(" ".join(str(error).split()))
        return None

    def _run_logger(self) -> TensorBoardLogger:
        runs = runs_of(self._get(self.config_init, "trainer")["default_root_dir"], self.datamodule.dataset_name)
        folder = self.beginning.folder
        if folder is None and self.trainer.is_global_zero:  # the other processes are told which one it is
            folder, made = claim_version(runs)
            self.begun = folder, frozenset(), made
            self.locks.enter_context(held(folder))
        elif folder is not None and self.trainer.is_global_zero:
            self.begun = folder, frozenset(folder.iterdir()), []
        if self.begun:
            check_room(self.begun[0])
        return run_logger(runs, folder, self.beginning.update if self.beginning.resumed else None)

    def _drop_unused(self) -> None:
        if self.begun:
            drop_unused(*self.begun)

    def _unsaved(self) -> UserError | None:
        """Return the message about checkpoints that should be on the disk at the end of a run, and are not."""
        trainer, last = self.trainer, self.callback("last").path
        if lost := self.files.retry():
            return lost_checkpoint(lost)
        chosen = self._get(self.config_init, "trainer")["enable_checkpointing"] is False or trainer.fast_dev_run  # type: ignore[attr-defined]
        if chosen or not self.results.started or not trainer.is_global_zero:
            return None
        return None if any(last.parent.glob("*.ckpt")) else missing_checkpoint(last)

    def _say_how_it_goes_on(self, stop: Stopped) -> None:
        if self.trainer.is_global_zero:
            path = self.callback("last").path
            words = f"--resume {path.parent.parent}" if self.house_logger else f"--ckpt_path {path}"
            goes_on = f"fit {words} goes on" if path.is_file() else "there is no checkpoint yet"
            note(f"stopped by {signal.Signals(stop.number).name} after update {self.trainer.global_step}; {goes_on}")

    def after_fit(self) -> None:
        """Print what came of the run.

        Raises:
            UserError: It should have a checkpoint on the disk, and has none, or not the last one.
        """
        unsaved = self._unsaved()
        folder = folder_of(self.trainer)
        if self.trainer.is_global_zero and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            paths = (self.callback("checkpoint").best_model_path, self.callback("last").path)
            path = next((str(path) for path in paths if path and Path(path).is_file()), "")
            print_results(self.datamodule, self.model.labels is None, self.results.best, path, folder)
        if unsaved:
            if self.begun:
                (self.begun[0] / ENDED).unlink(missing_ok=True)  # it can go on from an older checkpoint
            raise unsaved

    def validate(self, **kwargs: Any) -> None:
        """Lightning's own table cuts numbers off and shows a column a data loader."""
        print_values(self.trainer.validate(**{**kwargs, "verbose": False}), self.trainer.is_global_zero)

    def test(self, **kwargs: Any) -> None:
        """As ``validate``."""
        print_values(self.trainer.test(**{**kwargs, "verbose": False}), self.trainer.is_global_zero)

    def predict(self, **kwargs: Any) -> None:
        """Lightning's own would throw the predictions away."""
        batches: Any = self.trainer.predict(**kwargs) or []
        source = self.datamodule.predict_dataloader().source
        order = source.begun() if isinstance(source, DocumentBatches) else None
        print_predictions(batches, order, self.model.vocabulary, self.model.labels, self.datamodule.store.tagged)


def run(verb: str, words: Sequence[str]) -> int:
    """Build everything from the configuration and call the trainer.

    Raises:
        UserError: A mistake in the configuration, found before anything is written.
    """
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in UNTRUE_HERE:
        warnings.filterwarnings("ignore", message=message)
    jsonargparse.set_parsing_settings(config_read_mode_fsspec_enabled=False)
    atexit.register(gc.freeze)  # else the interpreter takes seconds to take apart what the system frees at once
    try:
        import_named_modules(words)
        with ExitStack() as locks:
            SequenceCLI(verb, words, locks)
            leave_group()
    except MisconfigurationException as error:
        raise UserError(" ".join(str(error).split())) from error
    return 0

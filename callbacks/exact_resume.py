"""A run that goes on from a checkpoint is the run that was never interrupted, to the last bit."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from torch.optim.lr_scheduler import LambdaLR

from ..data import SequenceData
from ..system import SequenceSystem
from .agreement import gathered
from .loop_progress import settle
from .restored_state import check_loops, check_optimizer, check_run_record, check_schedules, restorable_states

KEY = "lightseq"
"""Of a checkpoint: what this callback adds to Lightning's own."""

NUMPY_KEYS = 624
"""Numbers in the state of the Mersenne Twister, and its largest position."""


class ExactResume(Callback):
    """Stores what Lightning leaves out of a checkpoint, and puts it back when a run goes on.

    Of every rank: the states of the random-number generators, the hidden state that the next window begins with, the
    sums of what is logged next, the gradients of an update that is only half gathered. Of the run: how many ranks
    there are, the precision, which text it is. And the loops' counters are written as they stand
    between two batches, wherever the checkpoint is taken: of the other places Lightning guesses what was left to do.

    A validation that had not ended is run again from its start. A run whose last update was made, but which had not
    ended (``same_run``), does what was left to do: its validation, its last samples.
    """

    def __init__(self) -> None:
        self.same_run = False
        """Whether the very run goes on, rather than a longer one from its checkpoint."""
        self._validated, self._due = -1, False
        self._stored: dict[str, Any] | None = None
        self._ranks: list[dict[str, Any]] | None = None
        self._bounds: tuple[int | None, int] | None = None
        self._options: list[dict[str, Any]] = []
        self._optimizers: object = None
        self._schedules: object = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._validated, self._due, self._stored, self._ranks, self._bounds = -1, False, None, None, None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._validated, self._due = trainer.fit_loop.epoch_loop.batch_progress.total.ready, False

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != "fit":
            return
        assert isinstance(pl_module, SequenceSystem)
        loops = checkpoint["loops"]["fit_loop"]
        due = settle(trainer, loops, self._validated)
        checkpoint["epoch"] = loops["epoch_progress"]["current"]["completed"]
        data = trainer.datamodule  # type: ignore[attr-defined]
        own = data if isinstance(data, SequenceData) else None
        checkpoint[KEY] = {
            "world_size": trainer.world_size,
            "precision": str(trainer.precision),
            "text": own and own.store.key,
            "validation_due": due or self._due,
            "ending": trainer.should_stop,
            "accumulate": trainer.accumulate_grad_batches,
            # as they were read, until they are put back
            "ranks": self._ranks or gathered(rank_state(pl_module)),
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._optimizers = checkpoint.get("optimizer_states")
        self._schedules = checkpoint.get("lr_schedulers")
        check_loops(checkpoint.get("loops", {}), trainer)
        checkpoint["callbacks"] = restorable_states(trainer, checkpoint.get("callbacks", {}))
        self._stored = check_run_record(checkpoint, KEY, "the checkpoint") or None  # Lightning alone has none
        if self._stored is not None:
            self._ranks, self._due = self._stored["ranks"], self._stored["validation_due"]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Of a run with no update left Lightning would do nothing, not even end it: until it has begun, nothing bounds
        it. The optimiser is fresh here, and has the options of the settings."""
        if self._optimizers is not None and not (isinstance(pl_module, SequenceSystem) and pl_module.sharding):
            check_optimizer(trainer.optimizers, self._optimizers)
        if self._schedules is not None:
            check_schedules(trainer, self._schedules)
        self._optimizers = self._schedules = None
        own = ("params", "fused")  # what a checkpoint's moments are kept for stays
        self._options = [{k: v for k, v in g.items() if k not in own} for g in trainer.optimizers[0].param_groups]
        if self._stored and self._stored["ending"] and self.same_run:
            self._bounds = trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps
            trainer.fit_loop.max_epochs = trainer.fit_loop.epoch_loop.max_steps = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._stored is None:
            return
        if self.same_run:
            trainer.accumulate_grad_batches = self._stored["accumulate"]  # a callback of the user's may have set it
        else:
            self._take_options(trainer)
        if self._bounds is not None:
            trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps = self._bounds
            trainer.should_stop = True
        if self._due:
            self._validate(trainer)
        self._validated = trainer.fit_loop.epoch_loop.batch_progress.total.ready

    def _take_options(self, trainer: pl.Trainer) -> None:
        """Learning rate and weight decay are those asked for now, which the checkpoint's have overwritten."""
        scheduler = trainer.lr_scheduler_configs[0].scheduler
        assert isinstance(scheduler, LambdaLR)
        scheduler.base_lrs = [options["initial_lr"] for options in self._options]
        for group, options, share in zip(
            trainer.optimizers[0].param_groups, self._options, scheduler.lr_lambdas, strict=True
        ):
            group.update(options, lr=options["initial_lr"] * share(scheduler.last_epoch))

    def _validate(self, trainer: pl.Trainer) -> None:
        """As Lightning does after a batch. What it logs stands at the update before, here as there."""
        epoch_loop, logged = trainer.fit_loop.epoch_loop, trainer._logger_connector
        first = logged._first_loop_iter
        epoch_loop._batches_that_stepped = trainer.global_step - 1
        epoch_loop.val_loop.restarting = False
        trainer.validating = True
        epoch_loop.val_loop.run()
        trainer.training = True
        logged._first_loop_iter = first

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Earlier would be too early: whatever makes an iterator draws random numbers."""
        if self._ranks is None:
            return
        assert isinstance(pl_module, SequenceSystem)
        own = self._ranks[trainer.global_rank]
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step
        load_rank_state(pl_module, own)
        self._ranks = None


def rank_state(system: SequenceSystem) -> dict[str, Any]:
    """What this rank goes on with beside the weights, as plain types and tensors on the CPU."""
    half_done = system.trainer.fit_loop._should_accumulate() and system.sharding is None  # parts are no plain tensors
    own = {name: p.grad.cpu() for name, p in system.named_parameters() if p.grad is not None} if half_done else {}
    return {**system.carried.state_dict(), "gradients": own, "random": random_states()}


def load_rank_state(system: SequenceSystem, state: dict[str, Any]) -> None:
    """Go on from where ``rank_state`` was taken."""
    system.carried.load_state_dict(state)
    for name, gradient in state["gradients"].items():
        parameter = system.get_parameter(name)
        if gradient.shape != parameter.shape:
            raise ValueError(f"the gradient of {name} has the shape {tuple(gradient.shape)}")
        parameter.grad = gradient.to(system.device).contiguous()
    set_random_states(state["random"])


def random_states() -> dict[str, Any]:
    """The states of all global random-number generators of this process, as plain types and tensors. What is of
    lightseq draws from those of torch alone, dropout; a plugin may draw from any."""
    version, internal, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": [version, torch.tensor(internal), gauss],  # as a list each of its numbers is pickled by itself
        "numpy": [torch.tensor(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Go on drawing where ``random_states`` was taken."""
    _check_random_states(states)
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(map(int, internal)), gauss))
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))


def _check_random_states(states: dict[str, Any]) -> None:
    """Refuse states that a generator would take and read beyond: NumPy looks at none of these numbers.

    Raises:
        ValueError: A state of another size, or a position outside of it.
    """
    keys, position, has_gauss, _ = states["numpy"]
    fits = keys.shape == (NUMPY_KEYS,) and 0 <= position <= NUMPY_KEYS and has_gauss in (0, 1)
    if not fits or states["torch"].shape != torch.get_rng_state().shape:
        raise ValueError("the states of the random-number generators have other sizes")

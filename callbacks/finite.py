"""A loss or a gradient that is not finite."""

import math
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning import Callback
from torch import Tensor
from torch.distributed.tensor import DTensor

from ..atomic import open_whole
from ..checkpoint import LAST, PREVIOUS
from ..errors import UserError, quote
from ..gradient import Refused
from ..system import SequenceSystem
from ..types import Batch, NonNegativeInt
from .places import folder_of

USUAL_RATE, WARM_UP = 3e-3, 100
"""Of the learning rate that is no mistake, and the updates in which it may rise, as advised."""

TOLD = 3
"""Updates left out that are told of."""

LOOK_EVERY = 50
"""Updates between two looks on a GPU, where nothing is logged."""


class FiniteGuard(Callback):
    """Ends a training whose loss or gradient is not finite, before the weights are.

    The update is not made: weights, moments and checkpoints stay finite. The run ends on all ranks with exit status 1
    and says at which update, at what learning rate and with what gradient norm, and what to try. The update's batches
    are in ``not_finite.pt`` in the run folder (``not_finite.rank1.pt``, ... of further ranks): a dict that
    ``torch.load(..., weights_only=True)`` reads, with ``batches``, each a dict of ``tokens``, ``targets`` and
    ``reset``, and ``update``, ``epoch``, ``rank``.

    To look costs nothing on a CPU, where every update is looked at. On a GPU it waits for the device, and only the
    updates that are logged are looked at, unless some may be skipped: an update before them may have been made, and
    ``all_finite`` says whether weights can be saved. In 16-mixed precision a gradient that is not finite is no fault:
    the scaler of losses meets some by design, and leaves those updates out itself.

    Args:
        skip: Updates in a row that may be left out, with a warning, before training ends. Rows begin afresh after each.
    """

    def __init__(self, skip: NonNegativeInt = 0) -> None:
        self.skip = skip
        self._folder = Path()
        self._batches: list[Batch] = []
        self._last, self._in_a_row, self._skipped = 0, 0, 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._folder = folder_of(trainer) or Path(trainer.default_root_dir)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SequenceSystem)
        waits = pl_module.device.type != "cpu" and not self.skip
        logged = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it late
        pl_module.look_every = (logged or LOOK_EVERY) if waits else 1
        pl_module.refused, self._last, self._in_a_row, self._skipped = None, 0, 0, 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, SequenceSystem)
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._batches.clear()
        self._batches.append(batch)
        refused = pl_module.refused
        if refused is None:
            return
        pl_module.refused = None
        self._in_a_row = self._in_a_row + 1 if refused.update == self._last + 1 else 1
        self._last = refused.update
        if self._in_a_row > self.skip:
            self._stop(trainer, pl_module, refused)
        elif trainer.is_global_zero:
            self._warn(refused)

    def _warn(self, refused: Refused) -> None:
        self._skipped += 1
        if self._skipped > TOLD:
            return
        end = "; no more of these are told" if self._skipped == TOLD else ""
        row = f", {self._in_a_row} in a row" if self._in_a_row > 1 else ""
        warnings.warn(f"update {refused.update} is left out{row}: {what(refused)}{end}", stacklevel=2)

    def _stop(self, trainer: pl.Trainer, system: SequenceSystem, refused: Refused) -> None:
        """End on all ranks, which see the same.

        Raises:
            UserError: On the first rank, with all there is to say.
            SystemExit: On the others, without a status: where one has failed Lightning kills the first, which may not
                have ended yet.
        """
        written = self._write_batches(trainer, refused)
        trainer.strategy.barrier("not finite")
        if trainer.global_rank:
            raise SystemExit(0)
        since = f", but the {system.look_every - 1} before it were not looked at" if system.look_every > 1 else ""
        raise UserError(
            f"training has diverged: {what(refused)}. No update was made with it{since}. {self._kept()}; {written}. "
            f"Try {', or '.join(advice(trainer, system, refused))}",
            status=1,
        )

    def _write_batches(self, trainer: pl.Trainer, refused: Refused) -> str:
        """Where they are, in words."""
        rank = trainer.global_rank
        place = self._folder / (f"not_finite.rank{rank}.pt" if rank else "not_finite.pt")
        batches = [
            {"tokens": batch.tokens.cpu(), "targets": batch.targets.cpu(), "reset": batch.reset.cpu()}
            for batch in self._batches
        ]
        content = {"batches": batches, "update": refused.update, "epoch": trainer.current_epoch, "rank": rank}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open_whole(place) as file:
                torch.save(content, file)
        except (OSError, RuntimeError) as error:  # torch's own of a full disk
            return f"the batch could not be written ({quote(error)})"
        return f"the batch is in {place}"

    def _kept(self) -> str:
        """The newest checkpoint that is finite, in words."""
        for name in (LAST, PREVIOUS):
            path = self._folder / "checkpoints" / name
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
            except Exception:  # there is none, or a damaged one, for which torch has half a dozen kinds
                continue
            if finite(list(content["state_dict"].values())):
                return f"{path}, after update {content['global_step']}, is finite"
        return "There is no checkpoint that is finite"


def all_finite(trainer: pl.Trainer) -> bool:
    """Whether weights, and what the optimisers keep of their gradients, are finite: what a checkpoint would go on from.
    Waits for a GPU; all ranks must ask, where weights are sharded."""
    kept: list[Tensor] = list(trainer.lightning_module.parameters())
    for optimizer in trainer.optimizers:
        kept += [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    return finite(kept)


def finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers are."""
    return all(_finite(tensor) for tensor in tensors if tensor.numel())


def _finite(tensor: Tensor) -> bool:
    """By the largest, which takes a quarter of the time that a flag for every number does."""
    if isinstance(tensor, DTensor):
        flag: DTensor = tensor.isfinite().all()  # type: ignore[assignment]  # of its own kind, torch does not say
        return bool(flag.full_tensor())
    return not tensor.is_floating_point() or bool(tensor.abs().max().isfinite())


def what(refused: Refused) -> str:
    """What has happened, in words."""
    rate, norm = f"learning rate {refused.learning_rate:.4g}", f"gradient norm {refused.gradient_norm:.4g}"
    if math.isfinite(refused.loss):
        return f"the gradient of update {refused.update} is not finite ({rate}, {norm}, loss {refused.loss:.4g})"
    before = "" if math.isnan(refused.logged_loss) else f"; train/loss was {refused.logged_loss:.4g}"
    return f"the loss of update {refused.update} is {refused.loss} ({rate}, {norm}{before})"


def advice(trainer: pl.Trainer, system: SequenceSystem, refused: Refused) -> list[str]:
    """What to try, by what the run is like."""
    rate = system.learning_rate
    words = [f"--model.learning_rate {rate / 3 if rate < 1 else USUAL_RATE:.1g}"]
    if not trainer.gradient_clip_val:
        words.append("--trainer.gradient_clip_val 1.0, which is off")
    if not system.warmup_steps:
        words.append(f"--model.warmup_steps {WARM_UP}")
    if str(trainer.precision) not in ("32-true", "64-true"):
        words.append("--trainer.precision 32-true")
    if refused.loss < 2 * math.log(system.model.head.out_features):  # no worse than a fresh network: one to go on with
        words.append("--finite.skip 3, which leaves such updates out")
    return words

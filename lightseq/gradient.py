"""The gradient of an update: how long it is, and the update that cannot be made."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


class Refused(NamedTuple):
    """An update that was not made, since its loss or its gradient was not finite."""

    update: int
    """Its number, from 1."""
    loss: float
    """Nats a token of all since the last log, of all ranks. All before this update were finite."""
    gradient_norm: float
    """Before it is clipped."""
    learning_rate: float
    """That it would have been made with."""
    logged_loss: float = math.nan
    """``train/loss`` as it was logged last; NaN before the first."""


def gradients_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """In the order of the optimiser, in which they are clipped: the last bit of a sum depends on it."""
    return [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def total_norm(gradients: list[Tensor]) -> Tensor:
    """The length of all gradients as one vector, a scalar; of sharded ones (FSDP2) on every rank that of the whole."""
    norm = nn.utils.get_total_norm(gradients)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm


def clip(optimizer: torch.optim.Optimizer, most: float, by_value: bool, norm: Tensor) -> None:
    """Shorten the gradients in place.

    Args:
        optimizer: Whose.
        most: What is left at the most, of each value, or of the length of all gradients as one vector.
        by_value: Which of the two.
        norm: That length.
    """
    own = [p for group in optimizer.param_groups for p in group["params"]]
    if by_value:
        nn.utils.clip_grad_value_(own, most)
    else:
        nn.utils.clip_grads_with_norm_(own, most, norm)


def refusal(update: int, sums: Tensor, norm: Tensor, rate: float, scaled: bool) -> Refused | None:
    """What is wrong with an update, None where it can be made. Waits for the device.

    Args:
        update: Its number, from 1.
        sums: Nats and tokens since the last log, of all ranks.
        norm: Of its gradient.
        rate: The learning rate.
        scaled: Whether losses are scaled: the scaler meets gradients that are not finite now and then, and leaves those
            updates out itself.
    """
    (nats, count, *_), length = sums.tolist(), float(norm)
    if math.isfinite(nats) and (scaled or math.isfinite(length)):
        return None
    return Refused(update, nats / max(1, count), length, rate)

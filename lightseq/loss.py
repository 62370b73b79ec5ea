"""The one loss: cross-entropy at every time step."""

import torch
from torch import Tensor
from torch.nn import functional

from .types import IGNORE_INDEX


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Nats summed and tokens counted, so that whoever adds up several batches divides once, at the end.

    -ln softmax(logits)[target] at each scored time step. Language modelling scores every step, tagging every step
    against labels, classification the last step only: the targets say which.

    Args:
        logits: (B, T, V).
        targets: (B, T) int64, ``IGNORE_INDEX`` where nothing is scored.
        smoothing: Share of a target's probability that is spread evenly over all V (Szegedy et al. 2016, section 7).

    Returns:
        The sum over scored steps (float32, or float64 for float64 logits), and their number (int64), both scalars.
    """
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()  # a sum over thousands of steps needs more than 8 bits
    nats = functional.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=IGNORE_INDEX,
        reduction="sum",
        label_smoothing=smoothing,
    )
    return nats, (targets != IGNORE_INDEX).sum()

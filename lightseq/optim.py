"""How weights move: the optimisers, which of them moves what, and the schedule of the learning rate."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias, overload

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from .model import SequenceModel

OptimizerName: TypeAlias = Literal["adamw", "adam", "sgd", "muon"]
Schedule: TypeAlias = Literal["constant", "cosine", "linear"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that takes singular values between 0 and 1 close to 1 in few rounds (Jordan et al. 2024)."""

ROUNDS = 3
"""Five are usual. Three learn as much and take three fifths of the time."""

FUSED = ("cpu", "cuda")
"""Devices on which all weights may be moved by one kernel; torch has some for others too, which nobody has tried."""


def build_optimizer(
    name: OptimizerName,
    model: SequenceModel,
    learning_rate: float,
    weight_decay: float = 0.0,
    precision: torch.dtype | None = None,
    fused: bool = True,
) -> torch.optim.Optimizer:
    """An optimiser of a network's weights, weight decay on matrices alone.

    Args:
        name: AdamW (Loshchilov and Hutter 2019), Adam, plain gradient descent, or Muon, which moves the backbone's
            matrices, and leaves embedding, head, biases and norms to AdamW.
        model: The network.
        learning_rate: At its highest.
        weight_decay: A share of the weight an update, times the learning rate.
        precision: As ``Muon``.
        fused: Whether to move all weights by one kernel, where torch has one: several times faster, on a CPU too.
            Lightning clips no gradients for one where losses are scaled.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() == 2]
    others = {"params": [p for p in trained if p.dim() != 2], "weight_decay": 0.0}
    if name != "muon":
        optimizer: type[torch.optim.AdamW | torch.optim.Adam | torch.optim.SGD]
        optimizer = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
        sharded = name == "sgd" and any(isinstance(p, DTensor) for p in trained)  # for which torch has none
        kernel = fused and not sharded and all(p.device.type in FUSED for p in trained)
        return optimizer([{"params": matrices, "weight_decay": weight_decay}, others], lr=learning_rate, fused=kernel)
    own = set(model.backbone.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in matrices if p in own], "matrices": model.backbone.gates},
        {"params": [p for p in matrices if p not in own]},
        others,
    ]
    return Muon(groups, learning_rate, weight_decay, precision=precision)


def planned_updates(batches: float, accumulate: int, epochs: int | None, steps: int) -> float:
    """The updates of a whole run; infinite where nothing bounds them.

    Args:
        batches: Of an epoch.
        accumulate: Batches of an update; the last one of an epoch may have fewer.
        epochs: At the most; None and -1 are without end.
        steps: Updates at the most; -1 is without end.
    """
    by_epochs = math.ceil(batches / accumulate) * (math.inf if epochs in (None, -1) else epochs)
    return min(by_epochs, math.inf if steps == -1 else steps)


def share_of_rate(update: int, total: Callable[[], float], warmup: int, schedule: Schedule) -> float:
    """The share of the learning rate at an update. Only its number counts, so that a resumed run is equal.

    Args:
        update: Counted from 0.
        total: Gives the updates of the whole run, infinite where nothing bounds them; asked only after the first, when
            Lightning knows.
        warmup: Updates in which the rate rises linearly from nothing.
        schedule: After that: constant, or down to zero at the last update, by a cosine or a line.
    """
    if update < warmup:
        return (update + 1) / (warmup + 1)
    if schedule == "constant" or update == 0:
        return 1.0
    done = (update - warmup) / max(1.0, total() - warmup)
    if schedule == "linear":
        return max(0.0, 1.0 - done)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for matrices, AdamW for everything else.

    A matrix moves along the orthogonal matrix nearest to its momentum, so that every direction learns at the same
    pace, the rare ones too. Updates are scaled to the size that Adam's have (Liu et al. 2025, arXiv 2502.16982, eq. 4),
    so that one learning rate serves both.

    A group of parameters says in ``matrices`` how many matrices of equally many rows stand one above the other in each
    of its parameters: 4 for an LSTM, whose gates share a weight. Each is made orthogonal by itself. 0 is Adam's.

    Args:
        groups: Groups of parameters, each with ``params``, and ``matrices`` or ``weight_decay`` where they differ.
        lr: Learning rate.
        weight_decay: Decoupled from the gradient, as in AdamW.
        momentum: Of the matrices; Nesterov's.
        betas: Adam's, for the rest.
        precision: What matrices are made orthogonal in; bfloat16 is enough where the device multiplies it faster. None
            is that of the weights.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        precision: torch.dtype | None = None,
    ) -> None:
        self.precision = precision
        super().__init__(
            groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "matrices": 0}
        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            own = [p for p in group["params"] if p.grad is not None]
            if not own:
                continue
            torch._foreach_mul_(own, 1 - group["lr"] * group["weight_decay"])
            if group["matrices"]:
                self._orthogonal(own, group)
            else:
                self._adam(own, group)
        return loss

    def _orthogonal(self, own: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in own:
            state, gradient = self.state[parameter], parameter.grad
            assert gradient is not None
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            momentum = state["momentum"].lerp_(gradient, 1 - group["momentum"])
            ahead = gradient.lerp(momentum, group["momentum"])
            parts = ahead.view(group["matrices"], -1, ahead.shape[-1])
            update = orthogonal(parts.to(self.precision or parts.dtype))
            scale = 0.2 * max(parts.shape[1:]) ** 0.5  # 0.2 is about the root mean square of Adam's updates
            parameter.sub_(update.reshape(parameter.shape).to(parameter.dtype), alpha=group["lr"] * scale)

    def _adam(self, own: list[Tensor], group: dict[str, Any]) -> None:
        """Kingma and Ba 2015 (arXiv 1412.6980), algorithm 1."""
        gradients, states = [p.grad for p in own if p.grad is not None], [self.state[p] for p in own]
        for parameter, state in zip(own, states, strict=True):
            if not state:
                state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["updates"] = 0
            state["updates"] += 1
        means, squares = [s["mean"] for s in states], [s["square"] for s in states]
        first, second = group["betas"]
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        roots = torch._foreach_sqrt(squares)
        torch._foreach_div_(roots, [(1 - second ** s["updates"]) ** 0.5 for s in states])
        torch._foreach_add_(roots, 1e-8)
        torch._foreach_addcdiv_(own, means, roots, [-group["lr"] / (1 - first ** s["updates"]) for s in states])


def orthogonal(matrices: Tensor) -> Tensor:
    """The orthogonal matrices nearest to the given ones, roughly: large singular values become about 0.7 to 1.2, those
    below a hundredth of all together are raised about fortyfold.

    Newton and Schulz's iteration with the coefficients of Jordan et al. 2024.

    Args:
        matrices: (..., rows, columns).
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x

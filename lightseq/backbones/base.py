"""What a backbone is, and the two things that happen to its state between windows."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn

from ..types import State

Stepper: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]
"""``(ids (B,), state) -> (y (B, output_size), state)``: one time step of the sampler, without gradients."""


class Run(Protocol):
    """A text's way through the network, without gradients: what it carries is its own, and may be overwritten."""

    def __call__(self, ids: Tensor) -> Tensor:
        """The next time step: (B,) -> y (B, output_size), which may be overwritten by the one after."""

    @property
    def state(self) -> State:
        """Where it is, in tensors that no later time step writes into."""


class Steps:
    """The ``Run`` of a stepper.

    Args:
        step: The stepper.
        state: Where it begins.
    """

    def __init__(self, step: Stepper, state: State) -> None:
        self.step, self.state = step, state

    def __call__(self, ids: Tensor) -> Tensor:
        y, self.state = self.step(ids, self.state)
        return y


def without_gradients(step: Stepper) -> Stepper:
    """The same, without gradients whoever calls it. To enter ``torch.no_grad`` at every time step would cost as much as
    one of its products."""

    def stepped(ids: Tensor, state: State) -> tuple[Tensor, State]:
        if not torch.is_grad_enabled():
            return step(ids, state)
        with torch.no_grad():
            return step(ids, state)

    return stepped


class Backbone(nn.Module, ABC):
    """A recurrent network over embedded time steps, the state an argument and a return value.

    T steps at once, T steps in pieces, and T single steps agree in eval mode, from any state: values, final state and
    gradients. ``lightseq.testing.check_backbone`` holds a plugin to it. A plugin's constructor takes ``input_size``,
    ``hidden_size``, ``num_layers``, ``dropout`` and whatever else is its own (``model.backbone_args``).
    """

    output_size: int
    """The width of what ``forward`` returns."""

    gates: int = 1
    """How many matrices of equally many rows stand one above the other in each matrix of weights: an optimiser that
    treats matrices as such, as Muon does, takes them apart. It is so of all of the backbone's matrices, or 1."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size

    @abstractmethod
    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a window.

        Args:
            x: (B, T, D).
            state: Tensors with the batch on dimension 1; None is ``initial_state``.

        Returns:
            y (B, T, output_size) and the state after the last time step.
        """

    def initial_state(self, batch_size: int) -> State:
        """The state that a document starts from: zeros, of the shapes that one time step returns."""
        parameter = next(self.parameters())
        x = torch.zeros(batch_size, 1, self.input_size, dtype=parameter.dtype, device=parameter.device)
        with torch.no_grad():
            _, state = self(x, None)
        return tuple(torch.zeros_like(part) for part in state)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step, differentiable: x (B, D) -> y (B, output_size). The reference for everything faster."""
        y, state = self(x.unsqueeze(1), state)
        return y.squeeze(1), state

    def stepper(self, embedding: Tensor) -> Stepper:
        """A function for the sampler, its weights prepared once. What it returns is new: it writes into nothing that
        it was given, nor into what it returned before.

        Args:
            embedding: (V, D), the row of each token.
        """
        weights = embedding.detach()

        @without_gradients
        def advance(ids: Tensor, state: State) -> tuple[Tensor, State]:
            return self.step(weights.index_select(0, ids), state)

        return advance

    def runner(self, embedding: Tensor) -> Callable[[State], Run]:
        """What begins a ``Run`` at a state, its weights prepared once: for the sampler, under ``torch.no_grad``. A
        network that may write into its own memory is faster than its ``stepper``, which this is otherwise.

        Args:
            embedding: (V, D), the row of each token.
        """
        return partial(Steps, self.stepper(embedding))

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """Named internals (gates, candidates, cell values), each (B, T, ...), for the inspector. Default: none."""
        return {}


def reset_rows(state: State, initial: State, reset: Tensor) -> State:
    """The initial state in the rows that start afresh, the carried one in the others.

    Args:
        state: Carried tensors, the batch on dimension 1.
        initial: Tensors of the same shapes.
        reset: (B,) bool.
    """
    return tuple(
        torch.where(reset.view(1, -1, *(1,) * (old.dim() - 2)), new.to(old.dtype), old)
        for old, new in zip(state, initial, strict=True)
    )


def detach(state: State) -> State:
    """The same values, cut off from the graph of the window before: truncated backpropagation through time."""
    return tuple(part.detach() for part in state)

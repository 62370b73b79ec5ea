"""The classical networks one time step after the other, as the sampler takes them: what ``cells.py`` says, in as few
operations as may be. At one row an operation costs more than the numbers in it.

All is written into memory that is there from the beginning, weights are transposed and contiguous, and products that
are added are one product.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ..types import State
from .one_row import add_product, alone, gru_row, lstm_row, rnn_row, take_row

Bind: TypeAlias = Callable[[Tensor, State], Callable[[], None]]
"""(room for ``bias`` + x ``w_input`` (B, GH), one layer's state, each (B, H)) -> what overwrites both, the state with
that of the next time step."""


class Layer(NamedTuple):
    """A layer prepared."""

    w_input: Tensor
    """(D, GH)."""
    bias: Tensor
    """(GH,)."""
    bind: Bind
    bind_row: Bind
    """The same at one row on a CPU."""


Prepare: TypeAlias = Callable[[Sequence[Tensor]], Layer]
"""A layer's weights in torch's order, W_i (GH, D), W_h (GH, H), b_i (GH,), b_h (GH,) -> the layer prepared."""

Give: TypeAlias = Callable[[int, Tensor, Tensor], Tensor]
"""(a layer's number, what it reads, its hidden state) -> what it gives to the one above."""


class LayersRun:
    """A ``Run`` of layers.

    Args:
        table: (V, GH) the first layer's ``bias`` + x ``w_input`` of each token.
        layers: From the first on.
        give: None gives the hidden state.
        state: Where it begins, each (L, B, H).
    """

    def __init__(self, table: Tensor, layers: Sequence[Layer], give: Give | None, state: State) -> None:
        self._table, self._give = table, give
        parts = [part.detach().clone(memory_format=torch.contiguous_format).unbind() for part in state]
        self._own, lone = list(zip(*parts, strict=True)), alone(state)
        rooms = [table.new_empty(state[0].shape[1], table.shape[1]) for _ in layers]
        fills = [(take_row if lone else _take_rows)(table, rooms[0])]
        for layer, room in zip(layers[1:], rooms[1:], strict=True):
            fills.append((add_product if lone else _add_product)(layer.bias, layer.w_input, room))
        binds = [layer.bind_row if lone else layer.bind for layer in layers]
        updates = [bind(room, own) for bind, room, own in zip(binds, rooms, self._own, strict=True)]
        self._steps = list(zip(fills, updates, [own[0] for own in self._own], strict=True))

    def __call__(self, ids: Tensor) -> Tensor:
        x = ids
        for number, (fill, update, hidden) in enumerate(self._steps):
            fill(x)
            update()
            x = hidden if self._give is None else self._give(number, x, hidden)
        return x

    @property
    def state(self) -> State:
        return tuple(torch.stack(parts) for parts in zip(*self._own, strict=True))


def _take_rows(table: Tensor, room: Tensor) -> Callable[[Tensor], object]:
    return lambda ids: torch.index_select(table, 0, ids, out=room)


def _add_product(bias: Tensor, weight: Tensor, room: Tensor) -> Callable[[Tensor], object]:
    return lambda x: torch.addmm(bias, x, weight, out=room)


def _prepare_rnn(
    activate: Callable[..., object], activate_row: Callable[..., object], weights: Sequence[Tensor]
) -> Layer:
    """``tanh_cell``, ``relu_cell``; the activation by torch and by NumPy, both with ``out``."""
    w_input, w_hidden, b_input, b_hidden = weights
    recurrent = w_hidden.T.contiguous()

    def bind(total: Tensor, state: State) -> Callable[[], None]:
        (hidden,) = state

        def update() -> None:
            activate(total.addmm_(hidden, recurrent), out=hidden)

        return update

    return Layer(w_input.T.contiguous(), b_input + b_hidden, bind, partial(rnn_row, activate_row, recurrent))


prepare_tanh = partial(_prepare_rnn, torch.tanh, np.tanh)
prepare_relu = partial(_prepare_rnn, partial(torch.clamp_min, min=0.0), partial(np.maximum, 0.0))


def prepare_gru(weights: Sequence[Tensor]) -> Layer:
    """``gru_cell``. The candidate's two products stay apart, for the reset gate is between them."""
    w_input, w_hidden, b_input, b_hidden = weights
    recurrent, size = w_hidden.T.contiguous(), w_hidden.shape[1]

    def bind(from_input: Tensor, state: State) -> Callable[[], None]:
        (hidden,) = state
        from_hidden = torch.empty_like(from_input)
        gates, candidate = from_input.split_with_sizes((2 * size, size), 1)
        h_gates, h_candidate = from_hidden.split_with_sizes((2 * size, size), 1)
        reset, kept = gates.chunk(2, 1)

        def update() -> None:
            torch.addmm(b_hidden, hidden, recurrent, out=from_hidden)
            gates.add_(h_gates).sigmoid_()
            candidate.addcmul_(reset, h_candidate).tanh_()
            torch.lerp(candidate, hidden, kept, out=hidden)

        return update

    return Layer(w_input.T.contiguous(), b_input, bind, partial(gru_row, recurrent, b_hidden))


def prepare_lstm(weights: Sequence[Tensor]) -> Layer:
    """``lstm_cell``, the candidate put last so that the three gates are one sigmoid."""
    w_input, w_hidden, b_input, b_hidden = (_candidate_last(weight) for weight in weights)
    recurrent, size = w_hidden.T.contiguous(), w_hidden.shape[1]

    def bind(total: Tensor, state: State) -> Callable[[], None]:
        hidden, cell = state
        gates = total[:, : 3 * size]
        i, f, o, g = total.chunk(4, 1)

        def update() -> None:
            total.addmm_(hidden, recurrent)
            gates.sigmoid_()
            g.tanh_()
            cell.mul_(f).addcmul_(i, g)
            torch.tanh(cell, out=hidden).mul_(o)

        return update

    return Layer(w_input.T.contiguous(), b_input + b_hidden, bind, partial(lstm_row, recurrent))


def _candidate_last(weight: Tensor) -> Tensor:
    i, f, g, o = weight.chunk(4)
    return torch.cat([i, f, o, g])

"""The classical networks at one row on a CPU: what ``stepping.py`` does, in the same memory, by NumPy, whose calls cost
less than torch's and whose product of a vector and a matrix is faster.

Each function has what torch has: the hidden-to-hidden weights (H, GH), room for the rest of the sum (1, GH), and one
layer's state, each (1, H).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..types import State


def alone(state: State) -> bool:
    """Whether ``state`` (L, B, H) is of one row, in numbers that NumPy knows, on the CPU."""
    first = state[0]
    return first.shape[1] == 1 and first.device.type == "cpu" and first.dtype in (torch.float32, torch.float64)


def take_row(table: Tensor, room: Tensor) -> Callable[[Tensor], None]:
    """ids (1,) -> none, with the token's row of the (V, GH) table put into the room."""
    rows, total = table.numpy(), room.numpy()[0]

    def fill(ids: Tensor) -> None:
        total[:] = rows[int(ids.item())]

    return fill


def add_product(bias: Tensor, weight: Tensor, room: Tensor) -> Callable[[Tensor], None]:
    """x (1, D) -> none, with ``bias`` + x ``weight`` put into the room."""
    first, matrix, total = bias.numpy(), weight.numpy(), room.numpy()[0]

    def fill(x: Tensor) -> None:
        np.dot(x.numpy()[0], matrix, total)
        np.add(total, first, total)

    return fill


def rnn_row(activate: Callable[..., object], recurrent: Tensor, room: Tensor, state: State) -> Callable[[], None]:
    """``tanh_cell``, ``relu_cell``; ``activate`` takes ``out``."""
    weight, total, hidden = recurrent.numpy(), room.numpy()[0], state[0].numpy()[0]
    product = np.empty_like(total)

    def update() -> None:
        np.dot(hidden, weight, product)
        np.add(total, product, total)
        activate(total, out=hidden)

    return update


def gru_row(recurrent: Tensor, bias: Tensor, room: Tensor, state: State) -> Callable[[], None]:
    """``gru_cell``; ``bias`` (3H,) is that of the hidden state's product."""
    weight, own, total, hidden = recurrent.numpy(), bias.numpy(), room.numpy()[0], state[0].numpy()[0]
    product, size = np.empty_like(total), len(hidden)
    gates, candidate = total[: 2 * size], total[2 * size :]
    h_gates, h_candidate = product[: 2 * size], product[2 * size :]
    reset, kept = gates[:size], gates[size:]

    def update() -> None:
        np.dot(hidden, weight, product)
        np.add(product, own, product)
        np.add(gates, h_gates, gates)
        _sigmoid(gates)
        np.multiply(reset, h_candidate, h_candidate)
        np.add(candidate, h_candidate, candidate)
        np.tanh(candidate, candidate)
        np.subtract(hidden, candidate, hidden)
        np.multiply(hidden, kept, hidden)
        np.add(hidden, candidate, hidden)

    return update


def lstm_row(recurrent: Tensor, room: Tensor, state: State) -> Callable[[], None]:
    """``lstm_cell``, the candidate last."""
    weight, total = recurrent.numpy(), room.numpy()[0]
    hidden, cell = (part.numpy()[0] for part in state)
    product, size = np.empty_like(total), len(hidden)
    gates = total[: 3 * size]
    i, f, o, g = total.reshape(4, size)

    def update() -> None:
        np.dot(hidden, weight, product)
        np.add(total, product, total)
        _sigmoid(gates)
        np.tanh(g, g)
        np.multiply(cell, f, cell)
        np.multiply(i, g, g)
        np.add(cell, g, cell)
        np.tanh(cell, hidden)
        np.multiply(hidden, o, hidden)

    return update


def _sigmoid(x: NDArray[Any]) -> None:
    """s(x) = (1 + tanh(x / 2)) / 2: nothing in it overflows."""
    np.multiply(x, 0.5, x)
    np.tanh(x, x)
    np.multiply(x, 0.5, x)
    np.add(x, 0.5, x)

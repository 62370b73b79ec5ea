"""One time step of the classical recurrent networks, as pure functions that read as their equations."""

from collections.abc import Callable
from typing import TypeAlias

from torch import Tensor

from ..types import State

Internals: TypeAlias = dict[str, Tensor]
Cell: TypeAlias = Callable[[Tensor, Tensor, State], tuple[State, Internals]]
"""(W_i x + b_i (B, GH), W_h h + b_h (B, GH), one layer's state, each (B, H)) -> that state and the named internals."""


def tanh_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Elman 1990: h' = tanh(W_i x + b_i + W_h h + b_h)."""
    hidden = (from_input + from_hidden).tanh()
    return (hidden,), {"hidden": hidden}


def relu_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Le et al. 2015 (arXiv 1504.00941): h' = max(0, W_i x + b_i + W_h h + b_h)."""
    hidden = (from_input + from_hidden).relu()
    return (hidden,), {"hidden": hidden}


def gru_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Cho et al. 2014 (arXiv 1406.1078), with the reset gate after the product as cuDNN has it.

    r = s(x_r + h_r); z = s(x_z + h_z); n = tanh(x_n + r h_n); h' = (1 - z) n + z h. So z is the share that is kept.
    """
    (hidden,) = state
    x_r, x_z, x_n = from_input.chunk(3, -1)
    h_r, h_z, h_n = from_hidden.chunk(3, -1)
    reset = (x_r + h_r).sigmoid()
    update = (x_z + h_z).sigmoid()
    candidate = (x_n + reset * h_n).tanh()
    hidden = candidate + update * (hidden - candidate)
    return (hidden,), {"reset": reset, "update": update, "candidate": candidate, "hidden": hidden}


def lstm_cell(from_input: Tensor, from_hidden: Tensor, state: State) -> tuple[State, Internals]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    i, f, o = s(..); g = tanh(..); c' = f c + i g; h' = o tanh(c').
    """
    _, cell = state
    i, f, g, o = (from_input + from_hidden).chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    cell = f * cell + i * g
    hidden = o * cell.tanh()
    return (hidden, cell), {"input": i, "forget": f, "candidate": g, "output": o, "cell": cell, "hidden": hidden}

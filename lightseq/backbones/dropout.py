"""What is left out while a network trains, drawn afresh for every window."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..types import State

KERNELS: dict[str, Callable[..., tuple[Tensor, ...]]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "GRU": torch.gru,
    "LSTM": torch.lstm,
}
"""The function behind a recurrent module of torch's, by the module's ``mode``."""


def drop_values(x: Tensor, share: float, locked: bool) -> Tensor:
    """A share of the values at zero, the others scaled up so that the mean stays (Srivastava et al. 2014).

    Args:
        x: (B, T, D).
        share: In [0, 1).
        locked: One mask for all time steps of a row (Gal and Ghahramani 2016, arXiv 1512.05287).
    """
    rows, _, width = x.shape
    return x * _mask(x, (rows, 1, width) if locked else x.shape, share) if share > 0 else x


def drop_weights(weights: Sequence[Tensor], share: float, packed: bool) -> list[Tensor]:
    """DropConnect on the hidden-to-hidden matrix, one mask for a whole window (Merity et al. 2017, arXiv 1708.02182).

    Args:
        weights: One layer's, in torch's order: W_i (GH, D), W_h (GH, H), b_i (GH,), b_h (GH,).
        share: In [0, 1).
        packed: Give views of one buffer, in the order in which cuDNN keeps a layer: of loose weights it would make such
            a buffer itself, with a warning. Other kernels need no copy of the weights that are not dropped.
    """
    w_input, w_hidden, *biases = weights
    parts = [w_input, w_hidden * _mask(w_hidden, w_hidden.shape, share), *biases]
    if not packed:
        return parts
    buffer = torch.cat([part.flatten() for part in parts])
    pieces = torch.split(buffer, [part.numel() for part in parts])
    return [piece.view_as(part) for piece, part in zip(pieces, parts, strict=True)]


def run_dropped(layer: nn.RNNBase, x: Tensor, state: State | Tensor, share: float) -> tuple[Tensor, ...]:
    """A layer over a window with ``drop_weights``: its kernel is called with those, and the module keeps its own.

    Args:
        layer: Of one layer, with biases, the batch first.
        x: (B, T, D).
        state: As the module takes it: (1, B, H), or of an LSTM two of these.
        share: In [0, 1).

    Returns:
        The hidden states (B, T, H), and each part of the state after the last time step.
    """
    weights = drop_weights(layer.all_weights[0], share, packed=x.is_cuda)
    return KERNELS[layer.mode](x, state, weights, True, 1, 0.0, True, False, True)


def _mask(like: Tensor, shape: Sequence[int], share: float) -> Tensor:
    # torch's own dropout draws Bernoulli numbers, three times as slow on an AMD processor
    kept = torch.rand(shape, device=like.device) >= share
    return kept.to(like.dtype) / (1 - share)

"""The mLSTM of xLSTM: a matrix as memory, into which values are written under their keys.

In a window its hidden states are a masked product of queries and keys, as in attention, in chunks of time steps; from
chunk to chunk, and from window to window, the memory is carried.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, logsigmoid

from ..errors import UserError
from ..types import PositiveFloat, PositiveInt, Probability, State
from .blocks import Blocks, linear
from .cells import Internals
from .scan import precise

CHUNK = 64
"""Time steps whose products of queries and keys are taken at once: T of them cost T * CHUNK products, not T * T."""

FLOOR = 1e-6
"""What a memory is divided by at the least, so that one that cancels in the normaliser alone does not blow up."""

EPSILON = 1e-2
"""Under the root of the heads' norms. What is read is a value times a number that may pass through 0, and a norm makes
a step of that: as steep as 1 / sqrt(EPSILON), which at 1e-5 is too steep for products in bfloat16."""


class Window(NamedTuple):
    """What a memory of N heads, each K wide, is given in T time steps."""

    query: Tensor
    """q, (B, N, T, K)."""
    key: Tensor
    """k, (B, N, T, K)."""
    value: Tensor
    """v, (B, N, T, K)."""
    log_input: Tensor
    """The logarithm of the input gate i, (B, N, T)."""
    log_forget: Tensor
    """The logarithm of the forget gate f, (B, N, T)."""


class MLSTM(Blocks):
    """Beck et al. 2024 (arXiv 2405.04517, section 2.3), in residual blocks.

    The state is (matrix (L, B, heads, H / heads, H / heads), normaliser (L, B, heads, H / heads), stabiliser
    (L, B, heads), what the convolutions look back at). Forget gates start between 0.95 and 0.998, from head to head,
    so that a gradient reaches back through a window. ``trace`` gives ``input`` and ``forget``, (B, T, L, heads),
    ``output`` and ``hidden``, (B, T, L, H); the input gate is an exponential, so it may be above 1.

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L, the blocks.
        dropout: Share of the values dropped on input, on what every block adds, and on output.
        conv: Time steps that the convolution before the memory sees, the present one included.
        expansion: Width of the second half of a block, over H; rounded to a multiple of 8.
        locked: One dropout mask for all time steps of a window (Gal and Ghahramani 2016, arXiv 1512.05287).
        heads: Memories of a layer, each on its own share of the hidden state. None: four where they divide it into 8
            or more each, else one.

    Raises:
        UserError: ``heads`` does not divide H, or leaves a head a single number, which its norm makes a constant.
    """

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        conv: PositiveInt = 4,
        expansion: PositiveFloat = 2.0,
        locked: bool = False,
        heads: PositiveInt | None = None,
    ) -> None:
        if heads is not None and (hidden_size % heads or hidden_size == heads):
            raise UserError(
                f"mlstm: heads must divide hidden_size {hidden_size} into 2 or more each, and {heads} do not"
            )
        # before the base class, which makes the mixers
        self.heads = heads or (4 if hidden_size % 4 == 0 and hidden_size >= 32 else 1)
        super().__init__(input_size, hidden_size, num_layers, dropout, conv, expansion, locked)

    def make_mixer(self, hidden_size: int) -> "MLSTMMixer":
        return MLSTMMixer(hidden_size, self.heads)


class MLSTMMixer(nn.Module):
    """h = o norm(C q / max(|n q|, 1)), the norm over each head by itself; q, k, v and the gates are linear in x.

    Args:
        size: H.
        heads: Memories.
    """

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        width = size // heads
        self.parts, self.heads = ((heads, width, width), (heads, width), (heads,)), heads
        self.query, self.key, self.value, self.output = (linear(size, size) for _ in range(4))
        self.input, self.forget = linear(size, heads), linear(size, heads)
        with torch.no_grad():
            self.forget.bias.copy_(torch.linspace(3.0, 6.0, heads))
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State, Internals]:
        """x (B, T, H) -> y (B, T, H), the parts after the window, and ``input``, ``forget``, ``output``, ``hidden``."""
        vectors = (precise(part(x)) for part in (self.query, self.key, self.value))
        query, key, value = (vector.view(*x.shape[:2], self.heads, -1).transpose(1, 2) for vector in vectors)
        log_input, log_forget = precise(self.input(x)), logsigmoid(precise(self.forget(x)))
        gates = (log_input.transpose(1, 2), log_forget.transpose(1, 2))
        read, state = remember(Window(query, key * key.shape[-1] ** -0.5, value, *gates), state)
        normed = layer_norm(read.transpose(1, 2), read.shape[-1:], eps=EPSILON).flatten(2)
        output = precise(self.output(x)).sigmoid()
        hidden = output * (normed * self.weight + self.bias)
        internals = {"input": log_input.exp(), "forget": log_forget.exp(), "output": output, "hidden": hidden}
        return hidden, state, internals


def remember_step(now: Window, state: State) -> tuple[Tensor, State]:
    """One time step: C' = f C + i k v^T; n' = f n + i k; C' q / max(|n' q|, 1), with i an exponential.

    Memory and normaliser are kept as shares of exp(m), and m grows with the largest input gate that is not forgotten,
    so that none overflows. It is never below 0: what is smaller than 1 needs no scaling.

    Args:
        now: Each part without its dimension of time steps.
        state: C exp(-m) (B, N, K, K), n exp(-m) (B, N, K) and m (B, N).

    Returns:
        What is read, (B, N, K), and the state.
    """
    matrix, normaliser, stabiliser = state
    carried = now.log_forget + stabiliser
    top = carried.maximum(now.log_input.clamp_min(0))
    kept, written = (carried - top).exp().unsqueeze(-1), (now.log_input - top).exp().unsqueeze(-1) * now.key
    matrix = torch.addcmul(kept.unsqueeze(-1) * matrix, written.unsqueeze(-1), now.value.unsqueeze(-2))
    normaliser = kept * normaliser + written
    read, size = (now.query.unsqueeze(-2) @ matrix).squeeze(-2), (now.query * normaliser).sum(-1)
    return _divide(read, size, top), (matrix, normaliser, top)


def remember(window: Window, state: State) -> tuple[Tensor, State]:
    """A window of time steps, each as ``remember_step`` defines it.

    Args:
        window: All of it.
        state: As ``remember_step``.

    Returns:
        What is read, (B, N, T, K), and the state after the last time step.
    """
    if window.query.shape[2] == 1:
        read, state = remember_step(Window(*(part.squeeze(2) for part in window)), state)
        return read.unsqueeze(2), state
    reads = []
    for chunk in zip(*(torch.split(part, CHUNK, 2) for part in window), strict=True):
        read, state = _remember_chunk(Window(*chunk), state)
        reads.append(read)
    return torch.cat(reads, 2), state


def _remember_chunk(chunk: Window, state: State) -> tuple[Tensor, State]:
    """With F_t the sum of log f up to t: what was written at s counts exp(F_t - F_s) i_s at t, and what was carried
    exp(F_t); so m_t = F_t + max(m_0, max over s of (max(log i_s, 0) - F_s))."""
    query, key, value, log_input, log_forget = chunk
    matrix, normaliser, stabiliser = state
    forgotten = log_forget.cumsum(-1)
    peak = stabiliser.unsqueeze(-1).maximum((log_input.clamp_min(0) - forgotten).cummax(-1).values)
    future = torch.ones(2 * forgotten.shape[-1:], dtype=torch.bool, device=query.device).triu(1)
    shares = (log_input - forgotten).unsqueeze(-2) - peak.unsqueeze(-1)
    shares = shares.masked_fill(future, -torch.inf).exp()
    carried = (stabiliser.unsqueeze(-1) - peak).exp().unsqueeze(-1)
    scores = query @ key.mT * shares
    read = scores @ value + carried * (query @ matrix)
    size = scores.sum(-1) + (carried * query * normaliser.unsqueeze(2)).sum(-1)
    written, kept, top = shares[..., -1, :, None] * key, carried[..., -1:, :], forgotten + peak
    matrix = kept * matrix + written.mT @ value
    normaliser = kept.squeeze(2) * normaliser + written.sum(2)
    return _divide(read, size, top), (matrix, normaliser, top[..., -1])


def _divide(read: Tensor, size: Tensor, stabiliser: Tensor) -> Tensor:
    """C q / max(|n q|, 1), all of it scaled by exp(-m)."""
    return read / size.abs().maximum((-stabiliser).exp()).clamp_min(FLOOR).unsqueeze(-1)

"""The frame that the modern recurrent networks share: residual blocks around a recurrence, their mixer.

After Griffin (De et al. 2024, arXiv 2402.19427, section 2). Everything but the mixer and a short convolution looks at
one time step alone, and the mixers look at a whole window at once.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..types import PositiveFloat, PositiveInt, Probability, State
from .base import Backbone, Stepper, without_gradients
from .cells import Internals
from .dropout import drop_values

EPSILON = 1e-6
"""Under the root of a norm: what is all zeros stays so, with a gradient that is finite."""


class Mixer(Protocol):
    """What carries something from time step to time step: a module of one layer."""

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of what it carries, without the batch. Zeros of them are the beginning of a document."""

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State, Internals]:
        """x (B, T, H) and its parts (B, ...) -> y (B, T, H), its parts after the window, and named internals, each
        (B, T, ...)."""


class Blocks(Backbone):
    """A stack of residual blocks; a subclass says which mixer is in them.

    x = W x; then in every block x = x + out(gelu(gate(n)) * mixer(conv(in(n)))) with n = norm(x), and
    x = x + down(gelu(gate(n)) * up(n)); a last norm. The state is the mixers' parts, each (L, B, ...), and the inputs
    that the convolutions look back at, (L, B, conv - 1, H).

    Args:
        input_size: D.
        hidden_size: H.
        num_layers: L, the blocks.
        dropout: Share of the values dropped on input, on what every block adds, and on output.
        conv: Time steps that the convolution before the mixer sees, the present one included.
        expansion: Width of the second half of a block, over H; rounded to a multiple of 8.
        locked: One dropout mask for all time steps of a window (Gal and Ghahramani 2016, arXiv 1512.05287).
    """

    blocks: Sequence["Block"]

    def __init__(
        self,
        input_size: PositiveInt,
        hidden_size: PositiveInt,
        num_layers: PositiveInt = 1,
        dropout: Probability = 0.0,
        conv: PositiveInt = 4,
        expansion: PositiveFloat = 2.0,
        locked: bool = False,
    ) -> None:
        super().__init__(input_size)
        self.output_size, self.dropout, self.locked = hidden_size, dropout, locked
        self.project = linear(input_size, hidden_size)
        width, scale = max(8, 8 * round(hidden_size * expansion / 8)), (2 * num_layers) ** -0.5
        mixers = [self.make_mixer(hidden_size) for _ in range(num_layers)]
        blocks = nn.ModuleList(Block(mixer, hidden_size, conv, width, scale) for mixer in mixers)
        self.blocks = blocks  # type: ignore[assignment]  # it says not of what
        self.norm = nn.RMSNorm(hidden_size, EPSILON)
        self.parts = (*mixers[0].parts, (conv - 1, hidden_size))

    @abstractmethod
    def make_mixer(self, hidden_size: int) -> Mixer:
        """A block's own mixer, its weights drawn."""

    def initial_state(self, batch_size: int) -> State:
        weight = self.project.weight
        precision = torch.promote_types(weight.dtype, torch.float32)
        shapes = [(len(self.blocks), batch_size, *part) for part in self.parts]
        return tuple(weight.new_zeros(shape, dtype=precision) for shape in shapes)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        state = self.initial_state(len(x)) if state is None else state
        y, state, _ = self._run(self.project(self._drop(x)), state)
        return self._drop(y), state

    def stepper(self, embedding: Tensor) -> Stepper:
        weight = self.norm.weight.detach()
        with torch.no_grad():
            table = self.project(embedding).to(weight.dtype)
            steps = [block.stepper() for block in self.blocks]

        def advance(ids: Tensor, state: State) -> tuple[Tensor, State]:
            x, states = table.index_select(0, ids), []
            for step, *own in zip(steps, *(part.unbind() for part in state), strict=True):
                x, after = step(x, tuple(own))
                states.append(after)
            return normed(x).mul_(weight), tuple([torch.stack(parts) for parts in zip(*states, strict=True)])

        return without_gradients(advance)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        """What the mixer names, each (B, T, L, ...)."""
        state = self.initial_state(len(x)) if state is None else state
        _, _, internals = self._run(self.project(x), state)
        return {name: torch.stack([layer[name] for layer in internals], 2) for name in internals[0]}

    def _run(self, x: Tensor, state: State) -> tuple[Tensor, State, list[Internals]]:
        """x (B, T, H) through every block: y (B, T, H), the state after the window, and each layer's internals."""
        states, internals = [], []
        x = x.to(self.norm.weight.dtype)  # under autocast too the residual sum is kept in full precision
        for block, *own in zip(self.blocks, *(part.unbind() for part in state), strict=True):
            x, after, named = block(x, tuple(own), self._drop)
            states.append(after)
            internals.append(named)
        return self.norm(x), tuple(torch.stack(parts) for parts in zip(*states, strict=True)), internals

    def _drop(self, x: Tensor) -> Tensor:
        return drop_values(x, self.dropout, self.locked) if self.training else x


class Block(nn.Module):
    """One residual block.

    Args:
        mixer: Its recurrence.
        size: H.
        conv: Taps of the convolution.
        width: Of the second half.
        scale: Of the weights that lead back to the residual sum, so that its variance does not grow with L.
    """

    def __init__(self, mixer: Mixer, size: int, conv: int, width: int, scale: float) -> None:
        super().__init__()
        self.norm, self.inlet, self.gate = nn.RMSNorm(size, EPSILON), linear(size, size), linear(size, size)
        self.conv, self.mixer, self.outlet = Convolution(size, conv), mixer, linear(size, size, scale)
        self.wide_norm, self.wide_gate = nn.RMSNorm(size, EPSILON), linear(size, width)
        self.up, self.down = linear(size, width), linear(width, size, scale)

    def forward(self, x: Tensor, state: State, drop: Callable[[Tensor], Tensor]) -> tuple[Tensor, State, Internals]:
        """x (B, T, H), the mixer's parts and the convolution's tail -> y (B, T, H), those, and named internals."""
        *parts, tail = state
        normed = self.norm(x)
        seen, tail = self.conv(self.inlet(normed), tail)
        mixed, after, internals = self.mixer(seen, tuple(parts))
        gate = functional.gelu(self.gate(normed))
        x = x + drop(self.outlet(gate * mixed.to(gate.dtype)))
        normed = self.wide_norm(x)
        x = x + drop(self.down(functional.gelu(self.wide_gate(normed)) * self.up(normed)))
        return x, (*after, tail), internals

    def stepper(self) -> Stepper:
        """One time step for the sampler: x (B, H) and the state, as ``forward``, -> y (B, H) and that state. What reads
        one norm is one product, the norm's weights within it."""
        first, second = _product(self.norm, self.inlet, self.gate), _product(self.wide_norm, self.wide_gate, self.up)
        outlet, down = self.outlet.weight.T.contiguous(), self.down.weight.T.contiguous()
        taps = self.conv.weight.squeeze(1)

        def advance(x: Tensor, state: State) -> tuple[Tensor, State]:
            *parts, tail = state
            read, gate = first(x).chunk(2, 1)
            seen = torch.cat([tail.to(x.dtype), read.unsqueeze(1)], 1)
            read = (seen * taps).sum(1).add_(self.conv.bias)
            mixed, after, _ = self.mixer(read.unsqueeze(1), tuple(parts))
            gate = functional.gelu(gate).mul_(mixed.squeeze(1))
            x = x + torch.addmm(self.outlet.bias, gate, outlet)  # under autocast too in full precision
            gate, up = second(x).chunk(2, 1)
            x = x + torch.addmm(self.down.bias, functional.gelu(gate).mul_(up), down)
            return x, (*after, seen[:, 1:].to(tail.dtype))

        return advance


def _product(norm: nn.RMSNorm, *layers: nn.Linear) -> Callable[[Tensor], Tensor]:
    """x (B, H) -> what the layers make of its norm, side by side."""
    weight = (torch.cat([layer.weight for layer in layers]) * norm.weight).T.contiguous()
    bias = torch.cat([layer.bias for layer in layers])
    return lambda x: torch.addmm(bias, normed(x), weight)


def normed(x: Tensor) -> Tensor:
    """What ``nn.RMSNorm`` gives without its weights, at one row in a sixth of its time."""
    return x * x.square().mean(-1, keepdim=True).add_(EPSILON).rsqrt_()


class Convolution(nn.Module):
    """Each channel's own weighted sum over the last few time steps: depthwise and causal.

    Args:
        size: H.
        taps: Time steps that it sees, the present one included.
    """

    def __init__(self, size: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(taps, 1, size).uniform_(-(taps**-0.5), taps**-0.5))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, H) and the inputs before it (B, taps - 1, H) -> y (B, T, H), and the inputs that the next reads."""
        length = x.shape[1]
        seen = torch.cat([tail.to(x.dtype), x], 1)
        # torch's own depthwise convolution takes twice as long on a CPU
        y = self.bias.to(x.dtype)
        for tap, weight in enumerate(self.weight.to(x.dtype)):
            y = y + seen[:, tap : tap + length] * weight
        return y, seen[:, length:].to(tail.dtype)


def linear(inputs: int, outputs: int, scale: float = 1.0) -> nn.Linear:
    """A linear layer whose outputs start with the variance of its inputs, times ``scale`` squared; no bias at first."""
    layer = nn.Linear(inputs, outputs)
    std = scale * inputs**-0.5
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)
    return layer

"""What the clauses of a backbone's contract share: windows of noise, ways to run over them, what counts as equal."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ..backbones import Backbone
from ..types import State

Run: TypeAlias = Callable[[Tensor, State], tuple[Tensor, State]]
"""``(x, state) -> (y, state)``, of a window or of one time step."""

ROWS, STEPS, VOCABULARY = 4, 7, 6

ODD, CHUNK, LONG = (1, 3, 3), (6, 64), (129, 171)
"""Windows, by the time steps of their pieces: odd ones, and such as go across the ends of chunks of 64 and of 128."""


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in double precision, from a generator of their own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def window(backbone: Backbone, time_steps: int = STEPS, seed: int = 0, rows: int = ROWS) -> Tensor:
    """x (B, T, D), every row twice as large as the one before: what saturates and what does not."""
    sizes = 2.0 ** torch.arange(-1, rows - 1, dtype=torch.float64)
    return noise(rows, time_steps, backbone.input_size, seed=seed) * sizes.view(-1, 1, 1)


@torch.no_grad()
def carried(backbone: Backbone, seed: int = 1) -> State:
    """A state that is not zero. The backbone itself returns it, so that it is one that can be."""
    state: State = backbone(window(backbone, 3, seed), None)[1]
    return state


def in_pieces(backbone: Backbone, lengths: Sequence[int]) -> Run:
    """Over a window piece by piece, the state carried."""

    def run(x: Tensor, state: State) -> tuple[Tensor, State]:
        ys = []
        for piece in x.split_with_sizes(lengths, 1):
            y, state = backbone(piece, state)
            ys.append(y)
        return torch.cat(ys, 1), state

    return run


def in_single_steps(advance: Run) -> Run:
    """Over a window of x, or of token ids, time step by time step."""

    def run(x: Tensor, state: State) -> tuple[Tensor, State]:
        ys = []
        for t in range(x.shape[1]):
            y, state = advance(x[:, t], state)
            ys.append(y)
        return torch.stack(ys, 1), state

    return run


def weigh(*outputs: Tensor) -> Tensor:
    """A sum that weighs every number differently, so that its gradient tells them apart."""
    parts = [_real(out) for out in outputs]
    return torch.stack([(part * noise(*part.shape, seed=9)).sum() for part in parts]).sum()


def same(message: str, expected: Iterable[Tensor], actual: Iterable[Tensor]) -> None:
    """Assert that tensors in double precision are equal, up to the rounding of the same sums in another order.

    Raises:
        AssertionError: ``message``, and by how much they are off.
    """
    for one, other in zip(expected, actual, strict=True):
        assert one.shape == other.shape, f"{message}: the shape is {tuple(other.shape)}, not {tuple(one.shape)}"
        if one.numel():
            gap, size = (_real(one) - _real(other)).abs().max().item(), _real(one).abs().max().item()
            assert gap <= 1e-9 * size + 1e-12, f"{message} (by {gap:.0e}, and the largest value is {size:.0e})"


def is_smooth(part: Tensor) -> bool:
    """Whether these numbers can have a gradient: a state may count, too."""
    return part.is_floating_point() or part.is_complex()


def _real(values: Tensor) -> Tensor:
    return (torch.view_as_real(values) if values.is_complex() else values).double()

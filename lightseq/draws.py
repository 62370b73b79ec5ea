"""Draws from logits at a temperature: which token comes next in every row of a batch."""

from collections.abc import Iterator

import torch
from torch import Tensor

NOISE = 1 << 16
"""Numbers of noise that are kept at the most, or those of one time step where these are more."""


class Drawer:
    """One token a row, time step after time step, by the Gumbel-max trick: argmax(logits / T + noise) is a draw from
    softmax(logits / T).

    Args:
        heat: (B, 1) temperatures; 0 takes the likeliest token.
        top_k: Draw among the k likeliest tokens only.
        top_p: Draw among the fewest tokens whose probabilities reach p only (Holtzman et al. 2020).
        generator: On the logits' device. Noise is taken from it for a few time steps at once, the same as one by one.
        ahead: Time steps to take noise for at once, at the most.
    """

    def __init__(
        self, heat: Tensor, top_k: int | None, top_p: float | None, generator: torch.Generator, ahead: int
    ) -> None:
        cold = heat == 0
        self._cold, self._heat = cold if bool(cold.any()) else None, heat.masked_fill(cold, 1.0)
        self._top_k, self._top_p, self._generator, self._ahead = top_k, top_p, generator, ahead
        self._whole = top_k is None and top_p is None
        self._noise: Iterator[Tensor] = iter(())

    def __call__(self, logits: Tensor) -> Tensor:
        """(B, V) -> (B,), of the shape and precision of the call before."""
        noise = next(self._noise, None)
        if noise is None:
            self._noise = iter(self._noise_of(logits))
            noise = next(self._noise)
        if self._whole:
            return torch.addcdiv(noise, logits, self._heat).argmax(1)
        scaled = logits / self._heat
        if self._top_k is not None and self._top_k < logits.shape[1]:
            least = scaled.topk(self._top_k, dim=1).values[:, -1:]
            scaled = scaled.masked_fill(scaled < least, -torch.inf)
        if self._top_p is not None:
            ordered, places = scaled.sort(dim=1, descending=True)
            before = ordered.softmax(1).cumsum(1).roll(1, 1)
            before[:, 0] = 0.0  # the likeliest token always stays
            scaled = scaled.scatter(1, places, ordered.masked_fill(before >= self._top_p, -torch.inf))
        return scaled.add_(noise).argmax(1)

    def _noise_of(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Gumbel noise of some time steps. The generator is asked once for each: how many there are changes nothing."""
        ahead = max(1, min(self._ahead, NOISE // logits.numel()))
        noise = logits.new_empty(ahead, *logits.shape)
        steps = noise.unbind()
        for step in steps:
            step.exponential_(generator=self._generator)
        noise.log_().neg_()
        if self._cold is not None:
            noise.masked_fill_(self._cold, 0.0)
        return steps

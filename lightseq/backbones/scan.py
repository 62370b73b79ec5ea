"""The linear recurrence h_t = decay_t h_{t-1} + inputs_t, which is all that the modern networks leave of a recurrence.

It is associative, so a device of many cores computes a window in about log2 T rounds, and its gradient is the same
recurrence run from the end.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Kernel: TypeAlias = Callable[[Tensor, Tensor, Tensor, bool], Tensor]
"""(decay (B, T, H), inputs (B, T, H), initial (B, H), whether time runs backwards) -> (B, T, H), without gradients."""

SHORT = 16
"""Time steps up to which a loop launches no more kernels than the rounds of ``doubling`` do."""


def scan(decay: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
    """h_t = decay_t h_{t-1} + inputs_t, from h_0 = initial.

    It is computed in float32, or float64 where one argument is, whatever autocast says: rounded to bfloat16, a decay
    near 1 would be 1, and a sum of many terms would stop growing.

    Args:
        decay: (B, T, H).
        inputs: (B, T, H).
        initial: (B, H).

    Returns:
        Every h_t, (B, T, H), in the precision that it is computed in.
    """
    decay, inputs, initial = precise(decay), precise(inputs), precise(initial)
    length = decay.shape[1]
    if length == 1:
        return torch.addcmul(inputs, decay, initial.unsqueeze(1))
    kernel = sequential if decay.device.type == "cpu" or length <= SHORT else doubling
    return scan_with(kernel, decay, inputs, initial)


def scan_with(kernel: Kernel, decay: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
    """``scan`` by one kernel, with gradients; all of one precision."""
    return _Scan.apply(kernel, decay, inputs, initial)  # type: ignore[no-untyped-call, no-any-return]


def precise(x: Tensor) -> Tensor:
    """The same values in at least float32, in which recurrences are computed and carried."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def looped(decay: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
    """``scan`` as it is defined, its gradients those that autograd finds: the reference for everything faster."""
    hidden, states = initial, []
    for t in range(decay.shape[1]):
        hidden = decay[:, t] * hidden + inputs[:, t]
        states.append(hidden)
    return torch.stack(states, 1)


def sequential(decay: Tensor, inputs: Tensor, initial: Tensor, backwards: bool) -> Tensor:
    """One kernel a time step, each writing its own slice of the result: the fastest on a CPU."""
    states = torch.empty_like(inputs, memory_format=torch.contiguous_format)
    order = -1 if backwards else 1
    hidden = initial
    steps = zip(decay.unbind(1)[::order], inputs.unbind(1)[::order], states.unbind(1)[::order], strict=True)
    for decay_t, input_t, state_t in steps:
        hidden = torch.addcmul(input_t, decay_t, hidden, out=state_t)
    return states


def doubling(decay: Tensor, inputs: Tensor, initial: Tensor, backwards: bool) -> Tensor:
    """Hillis and Steele 1986: after round k each time step has gathered the 2^k that end with it.

    Decays are multiplied and never divided by, so 0 and 1 are as good as any.
    """
    if backwards:
        return doubling(decay.flip(1), inputs.flip(1), initial, False).flip(1)
    first = torch.addcmul(inputs[:, :1], decay[:, :1], initial.unsqueeze(1))
    states, reach = torch.cat([first, inputs[:, 1:]], 1), 1
    while reach < decay.shape[1]:
        late = decay[:, reach:]
        states = torch.cat([states[:, :reach], torch.addcmul(states[:, reach:], late, states[:, :-reach])], 1)
        decay = torch.cat([decay[:, :reach], late * decay[:, :-reach]], 1)
        reach *= 2
    return states


class _Scan(torch.autograd.Function):
    """g_t = dy_t + decay_{t+1} g_{t+1}; d inputs_t = g_t; d decay_t = g_t h_{t-1}; d initial = decay_1 g_1."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, decay: Tensor, inputs: Tensor, initial: Tensor) -> Tensor:
        states = kernel(decay, inputs, initial, False)
        ctx.kernel = kernel
        ctx.save_for_backward(decay, initial, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        decay, initial, states = ctx.saved_tensors
        last = dy[:, -1:]
        gradient = torch.cat([ctx.kernel(decay[:, 1:], dy[:, :-1], dy[:, -1], True), last], 1)
        first = gradient[:, 0]
        d_decay = torch.cat([(first * initial).unsqueeze(1), gradient[:, 1:] * states[:, :-1]], 1)
        return None, d_decay, gradient, decay[:, 0] * first

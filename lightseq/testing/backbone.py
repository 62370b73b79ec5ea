"""The contract of a backbone."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor
from torch.testing import assert_close

from ..backbones import Backbone, detach, reset_rows
from ..types import State

ROWS, STEPS, CUTS = 4, 7, (0, 1, 4, 7)


def check_backbone(make: Callable[[], Backbone]) -> None:
    """Hold a backbone to the interface of ``lightseq.backbones.Backbone``, in double precision and eval mode.

    T steps at once, T steps in pieces and T single steps agree in values, final state and gradients; the sampler's
    stepper agrees in values and final state; all from a state that is not zero. The state has the batch on dimension 1,
    a reset row forgets what came before, and the trace has the batch and the time steps in front.

    Args:
        make: Builds the backbone, small; called once.

    Raises:
        AssertionError: Where it does not hold.
    """
    torch.manual_seed(0)
    backbone = make().double().eval()
    x = torch.randn(ROWS, STEPS, backbone.input_size, dtype=torch.float64, requires_grad=True)
    initial = backbone.initial_state(ROWS)
    for part in initial:
        assert part.shape[1] == ROWS, f"the state has the batch on dimension 1, not in {tuple(part.shape)}"
    with torch.no_grad():
        state = backbone(torch.randn(ROWS, 3, backbone.input_size, dtype=torch.float64), initial)[1]
    y, final = backbone(x, state)
    assert y.shape == (ROWS, STEPS, backbone.output_size), f"y is (B, T, output_size), not {tuple(y.shape)}"
    _check_pieces(backbone, x, state, y, final)
    _check_stepper(backbone, state)
    _check_start(backbone, x, state)
    for name, values in backbone.trace(x.detach(), state).items():
        assert values.shape[:2] == (ROWS, STEPS), f"trace {name!r} is (B, T, ...), not {tuple(values.shape)}"


def _check_pieces(backbone: Backbone, x: Tensor, state: State, y: Tensor, final: State) -> None:
    whole = _gradients(backbone, x, y, final)
    pieces, carried = [], state
    for start, stop in pairwise(CUTS):
        piece, carried = backbone(x[:, start:stop], carried)
        pieces.append(piece)
    _same("pieces", whole, _gradients(backbone, x, torch.cat(pieces, 1), carried))
    steps, carried = [], state
    for t in range(STEPS):
        step, carried = backbone.step(x[:, t], carried)
        steps.append(step)
    _same("single steps", whole, _gradients(backbone, x, torch.stack(steps, 1), carried))


def _gradients(backbone: Backbone, x: Tensor, y: Tensor, final: State) -> list[Tensor]:
    """Values, final state, and the gradients of a sum that weighs every one of them differently."""
    outputs = [y, *final]
    weights = [torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).view_as(out) for out in outputs]
    total = torch.stack([(out * weight).sum() for out, weight in zip(outputs, weights, strict=True)]).sum()
    gradients = torch.autograd.grad(total, [x, *backbone.parameters()], allow_unused=True, materialize_grads=True)
    return [*(out.detach() for out in outputs), *gradients]


def _same(what: str, whole: list[Tensor], other: list[Tensor]) -> None:
    for expected, actual in zip(whole, other, strict=True):
        assert_close(actual, expected, rtol=1e-9, atol=1e-11, msg=lambda text: f"{what} differ from the whole: {text}")


def _check_stepper(backbone: Backbone, state: State) -> None:
    embedding = torch.randn(6, backbone.input_size, dtype=torch.float64)
    ids = torch.randint(6, (ROWS, STEPS))
    with torch.no_grad():
        y, final = backbone(embedding[ids], state)
    advance, ys, carried = backbone.stepper(embedding), [], state
    for t in range(STEPS):
        out, carried = advance(ids[:, t], carried)
        ys.append(out)
    _same("the stepper's steps", [y, *final], [torch.stack(ys, 1), *carried])
    assert not any(part.requires_grad for part in carried), "the stepper runs without gradients"


def _check_start(backbone: Backbone, x: Tensor, state: State) -> None:
    fresh = backbone.initial_state(ROWS)
    with torch.no_grad():
        _same("no state", [backbone(x, fresh)[0]], [backbone(x, None)[0]])
        reset = torch.tensor([True, False, True, False])
        mixed = backbone(x, reset_rows(detach(state), fresh, reset))[0]
        carried, started = backbone(x, state)[0], backbone(x, fresh)[0]
    _same("a reset row", [torch.where(reset.view(-1, 1, 1), started, carried)], [mixed])

"""The contract of a backbone's gradients, and of how it computes while it is trained.

Every check takes a backbone in double precision and eval mode, and raises an AssertionError where it does not hold.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy

import torch
from torch import Tensor, nn

from ..backbones import Backbone
from ..backbones.recurrent import has_bfloat16_lstm
from ..types import State
from .windows import (
    CHUNK,
    LONG,
    ODD,
    ROWS,
    STEPS,
    Run,
    carried,
    in_pieces,
    in_single_steps,
    is_smooth,
    same,
    weigh,
    window,
)

SINGLE, HALF = 1e-3, 0.1
"""How far float32 may be off double precision, and bfloat16 autocast off float32, as a share of the outputs' norm.
Rounding is 6e-8 and 4e-3 of a number, some ten times that after layers and time steps; a mistake is off by about 1."""


def check_reach(backbone: Backbone) -> None:
    """A gradient reaches the first time step, the window before through the state, and every parameter."""
    before, x = window(backbone, seed=1).requires_grad_(), window(backbone).requires_grad_()
    y_before, state = backbone(before, None)
    y, _ = backbone(x, state)
    found = _gradients([y[:, -1]], {"x": x, "before": before})
    assert found["x"][:, 0].any(), f"none reaches the first of {STEPS} time steps from the last: nothing carries it"
    assert found["before"].any(), (
        "none reaches the window before through the carried state: use it as it comes and return it attached; "
        "whoever wants it cut off calls lightseq.backbones.detach"
    )
    idle = [name for name, gradient in _gradients([y_before, y], _trained(backbone)).items() if not gradient.any()]
    assert not idle, f"none reaches {', '.join(idle)}: use it, remove it, or set its requires_grad to False"


def check_gradients(backbone: Backbone) -> None:
    """T time steps at once, in pieces and one by one: gradients of x, the incoming state and the parameters."""
    starts: dict[str, Callable[[int], State]] = {
        "the initial": backbone.initial_state,
        "a carried": lambda rows: carried(backbone),
    }
    for start, pieces in (("the initial", ODD), ("a carried", ODD), ("a carried", CHUNK)):
        x = window(backbone, sum(pieces)).requires_grad_()
        whole = _of_everything(backbone, backbone, x, starts[start](ROWS))
        for way, run in (
            (f"in pieces of {pieces}", in_pieces(backbone, pieces)),
            ("by step()", in_single_steps(backbone.step)),
        ):
            parts = _of_everything(backbone, run, x, starts[start](ROWS))
            for name, gradient in whole.items():
                what = f"that of {name} over {sum(pieces)} time steps from {start} state {way} differs from at once"
                same(what, [gradient], [parts[name]])


def _of_everything(backbone: Backbone, run: Run, x: Tensor, state: State) -> dict[str, Tensor]:
    """Of a sum over outputs and final state. A state that is learned stays attached to its parameters."""
    state = tuple(p.detach().requires_grad_() if is_smooth(p) and not p.requires_grad else p for p in state)
    y, final = run(x, state)
    parts = {f"part {number} of the state": part for number, part in enumerate(state) if part.requires_grad}
    return _gradients([y, *(part for part in final if is_smooth(part))], {"x": x, **parts, **_trained(backbone)})


def _gradients(outputs: list[Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of a sum that weighs every output differently; zeros where there is none."""
    if not inputs:
        return {}
    found = torch.autograd.grad(
        weigh(*outputs), list(inputs.values()), retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return dict(zip(inputs, found, strict=True))


def check_derivative(backbone: Backbone) -> None:
    """The gradients are the derivatives that differences show: of x, of the parameters, and through the state."""
    before, x = window(backbone, 2, seed=1, rows=2).requires_grad_(), window(backbone, 3, rows=2).requires_grad_()

    def outputs(*_: Tensor) -> Tensor:
        y_before, state = backbone(before, None)
        return torch.cat([y_before, backbone(x, state)[0]], 1)

    def is_derivative(*inputs: Tensor) -> bool:
        return torch.autograd.gradcheck(outputs, inputs, fast_mode=True, atol=1e-7, raise_exception=False)

    inputs = {"x": x, "the window before": before, **_trained(backbone)}
    if not is_derivative(*inputs.values()):
        wrong = [name for name, values in inputs.items() if not is_derivative(values)]
        raise AssertionError(
            f"that of {', '.join(wrong or inputs)} differs from finite differences: its backward pass is wrong"
        )


def check_training(backbone: Backbone) -> None:
    """In training mode, with the same masks, rows and time steps see no more of each other than in eval mode."""
    backbone = deepcopy(backbone).train()
    before, x = window(backbone, seed=1), window(backbone).requires_grad_()

    def run(x: Tensor) -> list[Tensor]:
        torch.default_generator.manual_seed(0)
        y_before, state = backbone(before, None)
        return [y_before, backbone(x, state)[0]]

    y_before, y = run(x)
    found = _gradients([y_before, y], {"x": x, **_trained(backbone)})
    wild = [name for name, gradient in found.items() if not gradient.isfinite().all()]
    assert not wild, f"the gradient of {', '.join(wild)} is not finite"
    message = "what stands in row 0 changes the other rows: normalise over features, never over the batch"
    same(message, [y[1:]], [run(torch.cat([-x[:1], x[1:]]))[1][1:]])
    message = "x from time step 4 on changes outputs before it: an output depends on the past alone"
    same(message, [y[:, :4]], [run(torch.cat([x[:, :4], -x[:, 4:]], 1))[1][:, :4]])
    message = "the same windows and masks give other outputs the next time: what is carried belongs in the state"
    same(message, [y_before, y], run(x))


@torch.no_grad()
def check_single(backbone: Backbone) -> None:
    """In float32 a long window gives nearly what double precision gives."""
    x = window(backbone, sum(LONG)).float()
    off = _off(backbone(x.double(), None)[0], deepcopy(backbone).float()(x, None)[0])
    assert off <= SINGLE, (
        f"{x.shape[1]} time steps are off by {off:.1e} of their norm, more than {SINGLE:.0e}: a sum, product or "
        f"exponential over time steps overflows or cancels"
    )


def check_half(backbone: Backbone) -> None:
    """Under bfloat16 autocast two windows, the state carried, give nearly the outputs of float32, and gradients."""
    if any(isinstance(module, nn.LSTM) for module in backbone.modules()) and not has_bfloat16_lstm():
        return  # torch's own raises on this CPU
    single = deepcopy(backbone).float()
    before, x = window(single, seed=1).float(), window(single).float().requires_grad_()

    def run() -> Tensor:
        y_before, state = single(before, single.initial_state(ROWS))
        return torch.cat([y_before, single(x, state)[0]], 1)

    expected = run()
    with torch.autocast("cpu", torch.bfloat16):
        y = run()
    off = _off(expected, y)
    assert off <= HALF, (
        f"outputs are off by {off:.1e} of their norm, more than {HALF}: keep in float32 what is summed over time steps"
    )
    inputs = {"x": x, **_trained(single)}
    there = _gradients([expected], inputs)
    for name, gradient in _gradients([y], inputs).items():
        assert gradient.isfinite().all(), f"the gradient of {name} is not finite"
        assert gradient.any() or not there[name].any(), f"no gradient reaches {name}, and in float32 one does"


def _trained(backbone: nn.Module) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in backbone.named_parameters() if parameter.requires_grad}


def _off(expected: Tensor, actual: Tensor) -> float:
    """The norm of the difference, as a share of the norm; nan where a number is not finite."""
    off: float = ((actual.double() - expected.double()).norm() / expected.double().norm()).item()
    return off

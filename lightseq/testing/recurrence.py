"""The contract of a backbone's recurrence: what an output and a state depend on.

Every check takes a backbone in double precision and eval mode, and raises an AssertionError where it does not hold.
"""

import torch
from torch import Tensor

from ..backbones import Backbone, detach, reset_rows
from ..backbones.base import Run
from ..types import State
from .windows import (
    CHUNK,
    LONG,
    ODD,
    ROWS,
    STEPS,
    VOCABULARY,
    carried,
    in_pieces,
    in_single_steps,
    noise,
    same,
    weigh,
    window,
)


@torch.no_grad()
def check_start(backbone: Backbone) -> None:
    """No state is the initial state, and that is the same in every row."""
    x, initial, alone = window(backbone), backbone.initial_state(ROWS), backbone.initial_state(1)
    message = "the rows of initial_state(B) differ, or change with B: every document starts from the same state"
    same(message, [part.expand(-1, ROWS, *part.shape[2:]) for part in alone], initial)
    (y, final), (other, then) = backbone(x, initial), backbone(x, None)
    message = "forward(x, None) differs from forward(x, initial_state(B)): None stands for the initial state"
    same(message, [y, *final], [other, *then])


def check_rows(backbone: Backbone) -> None:
    """A row's output and state are its own, whatever stands in the others and however many there are."""
    x, state = window(backbone).requires_grad_(), carried(backbone)
    y, final = backbone(x, state)
    first = torch.arange(ROWS) == 0
    other, then = backbone(_replace(x, first.view(-1, 1, 1)), reset_rows(state, carried(backbone, 2), first))
    message = "what stands in row 0 changes the other rows: they are other texts, nothing is computed across them"
    same(message, _rows(~first, y, final), _rows(~first, other, then))
    seen = torch.autograd.grad(weigh(y[1:]), x)[0][:1]
    same(f"in the gradient, {message}", [torch.zeros_like(seen)], [seen])
    second = torch.arange(ROWS) == 1
    alone = backbone(x[second], tuple(part[:, second] for part in state))
    message = "a row alone differs from the same row in a batch: how many rows there are changes nothing"
    same(message, _rows(second, y, final), [alone[0], *alone[1]])


def check_causality(backbone: Backbone) -> None:
    """An output is of its own time step and those before it, so that what stands after a row's end is inert."""
    x, state = window(backbone).requires_grad_(), carried(backbone)
    y = backbone(x, state)[0]
    for time_step in (1, 4, STEPS - 1):
        later = torch.arange(STEPS).view(1, -1, 1) >= time_step
        message = f"x from time step {time_step} on changes outputs before it: an output depends on the past alone"
        same(message, [y[:, :time_step]], [backbone(_replace(x, later), state)[0][:, :time_step]])
        seen = torch.autograd.grad(weigh(y[:, :time_step]), x, retain_graph=True)[0][:, time_step:]
        same(f"in the gradient, {message}", [torch.zeros_like(seen)], [seen])
    padding = torch.arange(STEPS) >= torch.tensor([[2], [5], [3], [STEPS]])
    other = backbone(_replace(x, padding.unsqueeze(2)), state)[0]
    message = "what stands after a row's end changes outputs before it, or another row: padding is inert"
    same(message, [y[~padding]], [other[~padding]])


@torch.no_grad()
def check_reset(backbone: Backbone) -> None:
    """``reset_rows`` gives a fresh start in the rows it names and changes no others; ``detach`` changes no value."""
    x, state, fresh = window(backbone), carried(backbone), backbone.initial_state(ROWS)
    reset = torch.tensor([True, False, True, False])
    mixed = backbone(x, reset_rows(state, fresh, reset))
    message = "a row that was reset differs from one that starts afresh: the state holds all that is carried"
    same(message, _rows(reset, *backbone(x, fresh)), _rows(reset, *mixed))
    message = "a row that was not reset changes where others are: the rows of a state are independent"
    same(message, _rows(~reset, *backbone(x, state)), _rows(~reset, *mixed))
    with torch.enable_grad():
        attached = backbone(x, None)[1]
    message = "a state gives other outputs once it is detached: its values are all there is to it"
    same(message, [backbone(x, attached)[0]], [backbone(x, detach(attached))[0]])


@torch.no_grad()
def check_split(backbone: Backbone) -> None:
    """T time steps at once, in pieces and one by one: outputs and final state."""
    for pieces in ((1,), ODD, CHUNK, LONG):
        x = window(backbone, sum(pieces))
        ways = {f"in pieces of {pieces}": in_pieces(backbone, pieces)}
        if pieces != LONG:
            ways["by step()"] = in_single_steps(backbone.step)
        for start, state in _starts(backbone).items():
            whole = backbone(x, state)
            for way, run in ways.items():
                _agree(f"{sum(pieces)} time steps from {start} {way}", whole, run(x, state))


def check_stepper(backbone: Backbone) -> None:
    """T calls of the sampler's stepper: outputs and final state, without gradients."""
    embedding = noise(VOCABULARY, backbone.input_size)
    ids = torch.arange(ROWS * STEPS).view(ROWS, STEPS) ** 2 % VOCABULARY
    advance = backbone.stepper(embedding)
    for start, state in _starts(backbone).items():
        y, final = in_single_steps(advance)(ids, state)
        attached = any(part.requires_grad for part in (y, *final))
        assert not attached, "what it returns carries gradients: it is for the sampler, under torch.no_grad()"
        with torch.no_grad():
            whole = backbone(embedding[ids], state)
            _agree(f"{STEPS} time steps from {start}", whole, (y, final))
            _agree(f"{STEPS} time steps of runner() from {start}", whole, _run(backbone.runner(embedding)(state), ids))


def _run(run: Run, ids: Tensor) -> tuple[Tensor, State]:
    """What a ``Run`` gives, and where it ends; where it was is looked at too."""
    outputs = [run(now).clone() for now in ids[:, :1].unbind(1)]
    before = run.state
    kept = tuple(part.clone() for part in before)
    outputs += [run(now).clone() for now in ids[:, 1:].unbind(1)]
    unchanged = all(torch.equal(*pair) for pair in zip(before, kept, strict=True))
    assert unchanged, "runner(): a later time step writes into the state that it has given"
    return torch.stack(outputs, 1), run.state


def _starts(backbone: Backbone) -> dict[str, State]:
    return {"the initial state": backbone.initial_state(ROWS), "a carried state": carried(backbone)}


def _agree(what: str, whole: tuple[Tensor, State], other: tuple[Tensor, State]) -> None:
    right = "than forward() at once: all that the past does to the future is in the state"
    same(f"{what} give other outputs {right}", whole[:1], other[:1])
    same(f"{what} leave another state {right}", whole[1], other[1])


def _replace(x: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, noise(*x.shape, seed=3), x.detach())


def _rows(rows: Tensor, y: Tensor, state: State) -> list[Tensor]:
    return [y[rows], *(part[:, rows] for part in state)]

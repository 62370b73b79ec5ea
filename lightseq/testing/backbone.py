"""The contract of a backbone."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..backbones import Backbone
from ..errors import quote
from ..types import State
from .gradients import check_derivative, check_gradients, check_half, check_reach, check_single, check_training
from .recurrence import check_causality, check_reset, check_rows, check_split, check_start, check_stepper
from .windows import ROWS, STEPS, VOCABULARY, carried, noise, same, window


def check_backbone(make: Callable[[], Backbone]) -> None:
    """Hold a backbone to the interface of ``lightseq.backbones.Backbone``, on the CPU.

    Its parameters are first moved a little, as an optimiser moves them: one that starts at zero would hide what is
    wrong behind it. In eval mode and double precision, unless it says otherwise:

    - the state: a tuple of tensors, the batch on dimension 1, of the same shapes wherever it comes from;
    - side effects: no call draws a random number, keeps anything in the network, or changes what it was given;
    - the start: no state is the initial state, the same in every row;
    - rows: each depends on itself alone, in a batch of any size;
    - causality: an output depends on its time step and those before it, so that padding is inert;
    - reset: ``reset_rows`` makes a row start afresh, ``detach`` changes no value;
    - split equals whole: T time steps at once, in pieces and one by one give the same outputs, state and gradients,
      from the initial state and from a carried one, in windows of 1 to 300 time steps; so does the sampler's stepper;
    - gradients: one reaches every parameter, the first time step, and the window before through the carried state; and
      it is the derivative, by ``torch.autograd.gradcheck``;
    - the trace: tensors with the batch and the time steps in front, the same in pieces;
    - training mode: rows and causality hold there too, and nothing is kept;
    - float32 is near double precision in a long window, bfloat16 autocast near float32, and with finite gradients
      (where the processor computes in it);
    - the state dict holds all that matters.

    Args:
        make: Builds the backbone, small, a new one at each of two calls. Give it some dropout.

    Raises:
        AssertionError: Where it does not hold: the clause, what is wrong, what would be right. An exception that the
            backbone raised is the cause.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(0)
        backbone, other = make(), make()
        with _clause("class"):
            _check_class(backbone, other)
        for network in (backbone, other):
            network.double().eval()
        _move(backbone)
        for clause, check in CLAUSES.items():
            with _clause(clause):
                check(backbone)
        with _clause("state dict"):
            _check_state_dict(backbone, other)


@contextmanager
def _clause(name: str) -> Iterator[None]:
    """Say at which clause it was, whatever is raised."""
    try:
        yield
    except AssertionError as error:
        error.args = (f"{name}: {error}",)
        raise
    except Exception as error:  # whatever a stranger's backbone raises is its own fault
        raise AssertionError(f"{name}: {quote(error)}") from error


def _check_class(backbone: Backbone, other: Backbone) -> None:
    name = type(backbone).__name__
    assert isinstance(backbone, Backbone), f"{name} is no lightseq.backbones.Backbone"
    assert backbone is not other, "make() gives one backbone twice: build a new one at every call"
    for size, value in (("input_size", backbone.input_size), ("output_size", backbone.output_size)):
        assert type(value) is int, f"{size} is a whole number, not {value!r}"
    for parameter, weight in backbone.named_parameters():
        assert weight.dim() != 2 or len(weight) % backbone.gates == 0, (
            f"{parameter} has {len(weight)} rows, which are no {backbone.gates} matrices as the attribute gates says: "
            "leave it at 1 where other matrices stand beside those of the gates"
        )


@torch.no_grad()
def _move(backbone: Backbone) -> None:
    for parameter in backbone.parameters():
        if parameter.requires_grad:
            parameter.add_(0.1 * torch.randn_like(parameter))


def check_state(backbone: Backbone) -> None:
    """Outputs and states have the documented shapes, wherever they come from."""
    ids, embedding = torch.zeros(ROWS, dtype=torch.int64), noise(VOCABULARY, backbone.input_size)
    for rows, time_steps in ((ROWS, STEPS), (3, 1), (1, STEPS), (1, 1)):
        x, initial = window(backbone, time_steps, rows=rows), backbone.initial_state(rows)
        shapes = _shapes("initial_state()", initial, rows)
        many, one = (rows, time_steps, backbone.output_size), (rows, backbone.output_size)
        for name, (y, state), shape in (
            ("forward()", backbone(x, initial), many),
            ("forward() without a state", backbone(x, None), many),
            ("step()", backbone.step(x[:, 0], initial), one),
            ("the stepper", backbone.stepper(embedding)(ids[:rows], initial), one),
        ):
            assert y.shape == shape, f"y of {name} is {tuple(y.shape)}, not (B, [T,] output_size), here {shape}"
            found = _shapes(name, state, rows)
            assert found == shapes, f"{name} gives a state of {found}, and initial_state() one of {shapes}"


def _shapes(name: str, state: Any, rows: int) -> list[tuple[int, ...]]:
    plain = type(state) is tuple and all(isinstance(part, Tensor) for part in state)
    assert plain, f"{name} gives a state that is no tuple of tensors: it is a {type(state).__name__}"
    for part in state:
        there = part.dim() > 1 and part.shape[1] == rows
        assert there, f"{name} gives a state of {tuple(part.shape)} for {rows} rows: the batch is on dimension 1"
    return [tuple(part.shape) for part in state]


def check_side_effects(backbone: Backbone) -> None:
    """A call leaves everything as it finds it, and gives the same at every time."""
    x, other, state = window(backbone), window(backbone, seed=2), carried(backbone)
    ids, embedding = torch.arange(ROWS) % VOCABULARY, noise(VOCABULARY, backbone.input_size)
    calls: dict[str, Callable[[], Any]] = {
        "forward()": lambda: backbone(x, state),
        "step()": lambda: backbone.step(x[:, 0], state),
        "stepper()": lambda: backbone.stepper(embedding)(ids, state),
        "trace()": lambda: backbone.trace(x, state),
        "initial_state()": lambda: backbone.initial_state(ROWS),
    }
    for training in (True, False):
        backbone.train(training)
        for name, call in calls.items():
            given = [x, embedding, *state]
            before, copies, drawn = _surroundings(backbone), [part.clone() for part in given], torch.get_rng_state()
            call()
            assert _surroundings(backbone) == before, (
                f"{name} changes train or eval mode, or the default dtype, for good"
            )
            intact = all(torch.equal(part, copy) for part, copy in zip(given, copies, strict=True))
            assert intact, f"{name} writes into x or the state that it was given: return a new tensor"
            same_draw = training or torch.equal(torch.get_rng_state(), drawn)
            assert same_draw, f"{name} draws from torch's global generator in eval mode: dropout is for training alone"
    with torch.no_grad():
        for start in (None, state):
            first = backbone(x, start)[0]
            backbone(other, None)
            again = backbone(x, start)[0]
            message = "a window gives other outputs after another was read: what is carried belongs in the state"
            same(message, [first], [again])


def _surroundings(backbone: Backbone) -> tuple[list[bool], torch.dtype, bool]:
    return [module.training for module in backbone.modules()], torch.get_default_dtype(), torch.is_grad_enabled()


@torch.no_grad()
def check_trace(backbone: Backbone) -> None:
    """Names, and tensors (B, T, ...) that are the same in pieces; outputs stay what they are."""
    x, state = window(backbone), carried(backbone)
    y = backbone(x, state)[0]
    whole = _trace(backbone, x, state)
    same("outputs are others after trace() was called: observing changes nothing", [y], [backbone(x, state)[0]])
    parts = _trace(backbone, x[:, :4], state), _trace(backbone, x[:, 4:], backbone(x[:, :4], state)[1])
    for name, values in whole.items():
        message = f"{name!r} of a window in two pieces, the state carried, differs from at once"
        same(message, [values], [torch.cat([part[name] for part in parts], 1)])
    fresh = _trace(backbone, x, backbone.initial_state(ROWS))
    same("trace(x, None) differs from that of initial_state(B)", fresh.values(), _trace(backbone, x, None).values())


def _trace(backbone: Backbone, x: Tensor, state: State | None) -> dict[str, Tensor]:
    trace = backbone.trace(x, state)
    for name, values in trace.items():
        assert isinstance(values, Tensor), f"{name!r} is no tensor but {values!r:.60}"
        fits = values.shape[:2] == x.shape[:2]
        assert fits, f"{name!r} is {tuple(values.shape)}, not (B, T, ...), here {tuple(x.shape[:2])} in front"
    return trace


@torch.no_grad()
def _check_state_dict(backbone: Backbone, other: Backbone) -> None:
    """Parameters and buffers, as a checkpoint stores them, make another instance the same."""
    file = io.BytesIO()
    torch.save(backbone.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    x, state = window(backbone), carried(backbone)
    message = "another instance gives other outputs with the same state dict: keep numbers in parameters and buffers"
    same(message, [backbone(x, None)[0], backbone(x, state)[0]], [other(x, None)[0], other(x, state)[0]])


CLAUSES: dict[str, Callable[[Backbone], None]] = {
    "state": check_state,
    "side effects": check_side_effects,
    "start": check_start,
    "rows": check_rows,
    "causality": check_causality,
    "reset": check_reset,
    "split equals whole": check_split,
    "stepper": check_stepper,
    "gradient": check_reach,
    "gradient of a split": check_gradients,
    "derivative": check_derivative,
    "trace": check_trace,
    "training mode": check_training,
    "float32": check_single,
    "bfloat16": check_half,
}

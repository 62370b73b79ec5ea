"""The contract of a backbone: built-in ones and a stranger's keep it, and every clause catches one that does not."""

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional

from lightseq import registry
from lightseq.backbones import Backbone
from lightseq.backbones.base import Steps
from lightseq.testing import check_backbone

BUILT_IN = [p.name for p in registry.plugins(registry.BACKBONES) if registry.distribution(p) == "lightseq-rnn"]


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_built_in_keep_the_contract(name: str, num_layers: int) -> None:
    sizes = {"input_size": 3, "hidden_size": 5, "num_layers": num_layers}
    check_backbone(lambda: registry.build(registry.BACKBONES, name, None, dropout=0.25, **sizes))


class Plain(Backbone):
    """A plugin that writes ``forward`` and nothing else."""

    def __init__(self) -> None:
        super().__init__(3)
        self.output_size, self.core = 5, nn.GRU(3, 5, batch_first=True)

    def forward(self, x, state=None):
        y, hidden = self.core(x, None if state is None else state[0])
        return y, (hidden,)


class Decay(Backbone):
    """h_t = a h_{t-1} + c_t for all time steps at once: a between 0 and 1 is learned, c is a projection of x."""

    def __init__(self) -> None:
        super().__init__(3)
        self.output_size, self.project = 5, nn.Linear(3, 5)
        self.gate = nn.Parameter(torch.linspace(-1, 2, 5))

    def forward(self, x, state=None):
        hidden = x.new_zeros(1, len(x), 5) if state is None else state[0]
        y = self.scan(self.project(x), hidden[0])
        return y, (y[:, -1].unsqueeze(0),)

    def scan(self, c, hidden):
        """c (B, T, H), hidden (B, H) -> (B, T, H)."""
        age = torch.arange(c.shape[1]).view(-1, 1, 1) - torch.arange(-1, c.shape[1]).view(1, -1, 1)
        decay = (age.clamp(min=0) * functional.logsigmoid(self.gate)).exp() * (age >= 0)
        return torch.einsum("tsh,bsh->bth", decay, torch.cat([hidden.unsqueeze(1), c], 1))


class LearnedStart(Plain):
    """An initial state that is learned, and zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(1, 1, 5))

    def initial_state(self, batch_size):
        return (self.start.expand(1, batch_size, 5).contiguous(),)

    def forward(self, x, state=None):
        return super().forward(x, state or self.initial_state(len(x)))


class Counts(Plain):
    """A state of several kinds: hidden, the number of time steps so far, and a part that has no numbers."""

    def forward(self, x, state=None):
        nothing = x.new_zeros(1, len(x), 0)
        hidden, count, empty = state or (x.new_zeros(1, len(x), 5), torch.zeros(1, len(x)).long(), nothing)
        y, (hidden,) = super().forward(x, (hidden,))
        now = count.view(-1, 1, 1) + torch.arange(x.shape[1]).view(1, -1, 1)
        return y + now.to(y.dtype).sin(), (hidden, count + x.shape[1], empty)


class Stabilised(Decay):
    """A mean whose weights are exponentials, kept in range by the largest exponent, which is cut off the graph."""

    def forward(self, x, state=None):
        total, weight, most = state or [x.new_zeros(1, len(x), 5)] * 3
        ys = []
        for value in self.project(x).unbind(1):
            exponent = value * self.gate
            before, most = most, torch.maximum(most, exponent).detach()
            keep, add = (before - most).exp(), (exponent - most).exp()
            total, weight = keep * total + add * value, keep * weight + add
            ys.append((total / (weight + (-most).exp()))[0])
        return torch.stack(ys, 1), (total, weight, most)


class Rotates(Decay):
    """A complex state that turns while it decays."""

    def forward(self, x, state=None):
        factor = torch.polar(self.gate.sigmoid(), self.gate)
        hidden = torch.zeros(1, len(x), 5, dtype=factor.dtype) if state is None else state[0]
        ys = []
        for value in self.project(x).to(self.gate.dtype).unbind(1):
            hidden = factor * hidden + value
            ys.append(hidden[0].imag + hidden[0].real)
        return torch.stack(ys, 1), (hidden,)


class Chunks(Decay):
    """64 time steps at once, and on from there."""

    def scan(self, c, hidden):
        ys = []
        for chunk in c.split(64, 1):
            ys.append(super().scan(chunk, hidden))
            hidden = ys[-1][:, -1]
        return torch.cat(ys, 1)


class Drops(Plain):
    """Dropout, and a mask that is drawn once for the window."""

    def forward(self, x, state=None):
        y, state = super().forward(functional.dropout(x, 0.25, self.training), state)
        return y * functional.dropout(y.new_ones(len(y), 1, 5), 0.25, self.training), state


@pytest.mark.parametrize("kind", [Plain, Decay, LearnedStart, Counts, Stabilised, Rotates, Chunks, Drops])
def test_strangers_of_all_kinds_keep_the_contract(kind: type[Backbone]) -> None:
    check_backbone(kind)


class ForgetsItsState(Plain):
    def forward(self, x, state=None):
        return super().forward(x)


class DropsItsTail(Plain):
    """A causal convolution that begins with zeros in every window."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3)

    def forward(self, x, state=None):
        return super().forward(self.conv(functional.pad(x.mT, (2, 0))).mT, state)


class IgnoresTheStart(Decay):
    def scan(self, c, hidden):
        return super().scan(c, torch.zeros_like(hidden))


class OnePowerTooFew(Decay):
    """h_{-1} weighs a^t in h_t, in place of a^{t+1}."""

    def scan(self, c, hidden):
        return super().scan(c, hidden / self.gate.sigmoid())


class PositiveStart(Decay):
    """A scan in log space, which takes no negative start."""

    def scan(self, c, hidden):
        return super().scan(c, hidden.clamp(min=1e-9))


class ForgetsAtTheBorder(Decay):
    """Every chunk of 64 starts from the window's start."""

    def scan(self, c, hidden):
        return torch.cat([super(ForgetsAtTheBorder, self).scan(chunk, hidden) for chunk in c.split(64, 1)], 1)


class StepDisagrees(Plain):
    def step(self, x, state):
        y, state = super().step(x, state)
        return 1.001 * y, state


class LooksAhead(Plain):
    def forward(self, x, state=None):
        return super().forward(x.roll(-1, 1), state)


class SamePadding(Plain):
    """A convolution that is not causal."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 3, 3, padding="same")

    def forward(self, x, state=None):
        return super().forward(self.conv(x.mT).mT, state)


class CentresOverTime(Plain):
    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y - y.mean(1, keepdim=True), state


class CentresOverTheBatch(Plain):
    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y - y.mean(0), state


class MixesStates(Plain):
    """The state of a row goes to the next."""

    def forward(self, x, state=None):
        y, (hidden,) = super().forward(x, state)
        return y, (hidden.roll(1, 1),)


class StartsTogether(Plain):
    """What it does in a row that starts afresh, it does where all of them do."""

    def forward(self, x, state=None):
        y, carried = super().forward(x, state)
        return (y if state and state[0].any() else y.tanh()), carried


class BatchFirstState(Plain):
    def forward(self, x, state=None):
        y, (hidden,) = super().forward(x, None if state is None else (state[0].transpose(0, 1).contiguous(),))
        return y, (hidden.transpose(0, 1),)


class AsManyLayersAsRows(BatchFirstState):
    """The batch on dimension 0, and on dimension 1 a number that can be mistaken for it."""

    def __init__(self) -> None:
        super().__init__()
        self.core = nn.GRU(3, 5, 4, batch_first=True)


class ListState(Plain):
    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y, list(state)


class OtherStart(Plain):
    def initial_state(self, batch_size):
        return (self.core.bias_hh_l0.new_zeros(1, batch_size, 5), self.core.bias_hh_l0.new_zeros(1, batch_size, 5))


class OtherWidth(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.output_size = 6


class Squeezes(Plain):
    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y.squeeze(), state


class StartsAnywhere(LearnedStart):
    """An initial state for each row."""

    def initial_state(self, batch_size):
        return (self.start + torch.arange(batch_size).view(1, -1, 1),)


class NoneIsZero(LearnedStart):
    """An initial state that is learned, and not used where there is none."""

    def forward(self, x, state=None):
        return Plain.forward(self, x, state)


class KeepsItsState(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.last = None

    def forward(self, x, state=None):
        known = self.last is not None and len(x) == self.last.shape[1]
        y, (self.last,) = super().forward(x, (self.last,) if state is None and known else state)
        return y, (self.last,)


class KeepsItsPosition(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.position = 0

    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        self.position += x.shape[1]
        return y + torch.arange(self.position - x.shape[1], self.position).view(1, -1, 1).sin(), state


class DropsAlways(Plain):
    def forward(self, x, state=None):
        return super().forward(functional.dropout(x, 0.25), state)


class DrawsInTheTrace(Plain):
    """A number that nobody uses."""

    def trace(self, x, state=None):
        torch.rand(())
        return {}


class StaysInEvalMode(Plain):
    def trace(self, x, state=None):
        return {"hidden": self.eval()(x, state)[0]}


class WritesIntoTheState(Plain):
    def step(self, x, state):
        y, (hidden,) = super().step(x, state)
        state[0].copy_(hidden.detach())
        return y, state


class EarlyStepper(Plain):
    """A stepper that has the weights of the beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.early = [deepcopy(self.core)]

    def stepper(self, embedding):
        core = self.early[0].double()

        @torch.no_grad()
        def advance(ids, state):
            y, hidden = core(embedding[ids].unsqueeze(1), state[0])
            return y.squeeze(1), (hidden,)

        return advance


class AttachedStepper(Plain):
    def stepper(self, embedding):
        return lambda ids, state: self.step(embedding[ids], state)


class EarlyRunner(Plain):
    """A runner that begins at the initial state."""

    def runner(self, embedding):
        return lambda state: Steps(self.stepper(embedding), tuple(torch.zeros_like(part) for part in state))


class OverwritingRunner(Plain):
    """A runner whose state is the memory that the next time step writes into."""

    def runner(self, embedding):
        step = self.stepper(embedding)

        class Run(Steps):
            def __call__(self, ids):
                y, after = step(ids, self.state)
                self.state[0].copy_(after[0])
                return y

        return lambda state: Run(step, tuple(part.clone() for part in state))


class DetachesInside(Plain):
    def forward(self, x, state=None):
        return super().forward(x, None if state is None else (state[0].detach(),))


class SeesThree(DropsItsTail):
    """No recurrence but a convolution, its tail in the state."""

    def forward(self, x, state=None):
        x = torch.cat([x.new_zeros(len(x), 2, 3) if state is None else state[0][0], x], 1)
        return functional.pad(self.conv(x.mT).mT, (0, 2)), (x[:, -2:].unsqueeze(0),)


class NeverUsed(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(5, 5)


class Scaled(torch.autograd.Function):
    """The identity, and half its gradient."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return 0.5 * gradient


class WrongGradientOfTheStart(Decay):
    def scan(self, c, hidden):
        return super().scan(c, Scaled.apply(hidden))


class WrongGradientOfTheInput(Decay):
    def scan(self, c, hidden):
        return super().scan(Scaled.apply(c), hidden)


class TimeFirstTrace(Plain):
    def trace(self, x, state=None):
        return {"hidden": self(x, state)[0].transpose(0, 1)}


class FreshTrace(Plain):
    """A trace that begins afresh, whatever the state."""

    def trace(self, x, state=None):
        return {"hidden": self(x)[0]}


class NormsTheBatch(Plain):
    """In eval mode the rows are independent, in training mode they share their statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return self.norm(y.mT).mT, state


class LooksAheadInTraining(Plain):
    def forward(self, x, state=None):
        return super().forward(x.roll(-1, 1) if self.training else x, state)


class Overflows(Decay):
    """A scan by cumulative sums, whose terms grow without bound."""

    def scan(self, c, hidden):
        log = functional.logsigmoid(self.gate) * torch.arange(1, c.shape[1] + 1).unsqueeze(1)
        return log.exp() * (hidden.unsqueeze(1) + (c * (-log).exp()).cumsum(1))


class MixesTypes(Decay):
    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return torch.lerp(y.to(self.gate.dtype), self.project(x), 0.5), state


class SubtractsInHalf(Decay):
    """1 - a of an a that bfloat16 rounds to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.keep = nn.Linear(3, 5)
        nn.init.constant_(self.keep.bias, 9.0)
        nn.init.constant_(self.keep.weight, 0.0)

    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y * (1 - self.keep(x).sigmoid()), state


class Unsaved(Plain):
    """A matrix that is drawn, and in no state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.randn(5, 5)

    def forward(self, x, state=None):
        y, state = super().forward(x, state)
        return y @ self.mix.to(y.dtype), state


class FourOfThree(Plain):
    gates = 4


BROKEN = {
    FourOfThree: "class: core.weight_ih_l0 has 15 rows, which are no 4 matrices",
    OtherWidth: r"state: y of forward\(\) is \(4, 7, 5\), not .* here \(4, 7, 6\)",
    OtherStart: r"state: forward\(\) gives .* and initial_state\(\) one of \[\(1, 4, 5\), \(1, 4, 5\)\]",
    BatchFirstState: r"state: initial_state\(\) gives a state of \(4, 1, 5\) for 4 rows: the batch is on dimension 1",
    AsManyLayersAsRows: r"state: initial_state\(\) gives a state of \(3, 4, 5\) for 3 rows: the batch",
    ListState: r"state: forward\(\) gives a state that is no tuple of tensors: it is a list",
    Squeezes: "state: y of forward",
    KeepsItsState: "side effects: a window gives other outputs after another was read",
    KeepsItsPosition: "side effects: a window gives other outputs after another was read",
    DropsAlways: r"side effects: forward\(\) draws from torch's global generator in eval mode",
    DrawsInTheTrace: r"side effects: trace\(\) draws from torch's global generator in eval mode",
    StaysInEvalMode: r"side effects: trace\(\) changes train or eval mode",
    WritesIntoTheState: r"side effects: step\(\) writes into x or the state",
    StartsAnywhere: r"start: the rows of initial_state\(B\) differ",
    NoneIsZero: r"start: forward\(x, None\) differs",
    CentresOverTheBatch: "rows: what stands in row 0 changes the other rows",
    MixesStates: "rows: what stands in row 0 changes the other rows",
    LooksAhead: "causality: x from time step 1 on changes outputs before it",
    SamePadding: "causality: x from time step 1 on changes outputs before it",
    CentresOverTime: "causality: x from time step 1 on changes outputs before it",
    StartsTogether: "reset: a row that was reset differs from one that starts afresh",
    ForgetsItsState: r"split equals whole: 7 time steps from the initial state in pieces of \(1, 3, 3\) give other",
    DropsItsTail: r"split equals whole: 7 time steps from the initial state in pieces of \(1, 3, 3\) give other",
    IgnoresTheStart: "split equals whole: 7 time steps from the initial state in pieces",
    OnePowerTooFew: "split equals whole: 7 time steps from the initial state in pieces",
    PositiveStart: "split equals whole: 7 time steps from the initial state in pieces",
    ForgetsAtTheBorder: r"split equals whole: 70 time steps from the initial state in pieces of \(6, 64\)",
    StepDisagrees: r"split equals whole: 1 time steps from the initial state by step\(\) give other outputs",
    EarlyStepper: "stepper: 7 time steps from the initial state give other outputs",
    AttachedStepper: "stepper: what it returns carries gradients",
    EarlyRunner: r"stepper: 7 time steps of runner\(\) from a carried state give other outputs",
    OverwritingRunner: r"stepper: runner\(\): a later time step writes into the state that it has given",
    DetachesInside: "gradient: none reaches the window before through the carried state",
    SeesThree: "gradient: none reaches the first of 7 time steps",
    NeverUsed: "gradient: none reaches spare.weight, spare.bias: use it",
    WrongGradientOfTheStart: r"gradient of a split: that of x over 7 time steps from the initial state in pieces of",
    WrongGradientOfTheInput: "derivative: that of x, the window before, project.weight, project.bias differs",
    TimeFirstTrace: r"trace: 'hidden' is \(7, 4, 5\), not \(B, T, ...\), here \(4, 7\) in front",
    FreshTrace: "trace: 'hidden' of a window in two pieces, the state carried, differs from at once",
    NormsTheBatch: "training mode: what stands in row 0 changes the other rows: normalise over features",
    LooksAheadInTraining: "training mode: x from time step 4 on changes outputs before it",
    Overflows: "float32: 300 time steps are off by nan of their norm",
    MixesTypes: "bfloat16: RuntimeError: ",
    SubtractsInHalf: "bfloat16: outputs are off by .* of their norm, more than 0.1",
    Unsaved: "state dict: another instance gives other outputs with the same state dict",
}


@pytest.mark.parametrize("bug", BROKEN)
def test_every_clause_catches_one_that_breaks_it(bug: type[Backbone]) -> None:
    with pytest.raises(AssertionError, match=f"^{BROKEN[bug]}"):
        check_backbone(bug)


def test_what_is_no_backbone_and_what_is_one_alone() -> None:
    with pytest.raises(AssertionError, match=r"^class: GRU is no lightseq\.backbones\.Backbone"):
        check_backbone(lambda: nn.GRU(3, 5))  # type: ignore[arg-type, return-value]
    backbone = Plain()
    with pytest.raises(AssertionError, match=r"^class: make\(\) gives one backbone twice"):
        check_backbone(lambda: backbone)


def test_what_a_backbone_raises_is_the_cause() -> None:
    class Raises(Plain):
        def step(self, x, state):
            raise ValueError("no single\nsteps here")

    with pytest.raises(AssertionError, match=r"^state: ValueError: no single steps here$") as caught:
        check_backbone(Raises)
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("kind", [Plain, Drops, SamePadding])
def test_the_check_changes_nothing_and_its_message_depends_on_no_seed(kind: type[Backbone]) -> None:
    messages = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        with torch.no_grad():
            try:
                check_backbone(kind)
            except AssertionError as error:
                messages.append(str(error))
        assert torch.equal(torch.get_rng_state(), before)
    assert len(messages) == (2 if kind is SamePadding else 0)
    assert len(set(messages)) <= 1

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from lightseq import registry
from lightseq.backbones import Backbone, detach, reset_rows
from lightseq.backbones.recurrent import GRU, LSTM, RNN
from lightseq.testing import check_backbone

BUILT_IN = [point.name for point in registry.plugins(registry.BACKBONES) if point.value.startswith("lightseq.")]


def build(name: str, num_layers: int = 2, **own: object) -> Backbone:
    network = registry.build(
        registry.BACKBONES, name, own, input_size=3, hidden_size=5, num_layers=num_layers, dropout=0.25
    )
    assert isinstance(network, Backbone)
    return network


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", BUILT_IN)
def test_contract(name: str, num_layers: int) -> None:
    check_backbone(lambda: build(name, num_layers))


def test_contract_of_relu() -> None:
    check_backbone(lambda: build("rnn", activation="relu"))


def test_every_classical_backbone_is_an_entry_point() -> None:
    assert {"rnn", "gru", "lstm"} <= set(BUILT_IN)


class ForgetsItsState(Backbone):
    """A planted bug: every window starts afresh."""

    def __init__(self) -> None:
        super().__init__(3)
        self.output_size, self.core = 5, nn.GRU(3, 5, batch_first=True)

    def forward(self, x, state=None):
        y, hidden = self.core(x)
        return y, (hidden,)


class LooksAhead(Backbone):
    """A planted bug: an output sees the next input."""

    def __init__(self) -> None:
        super().__init__(3)
        self.output_size, self.core = 5, nn.GRU(3, 5, batch_first=True)

    def forward(self, x, state=None):
        y, hidden = self.core(x.roll(-1, 1), None if state is None else state[0])
        return y, (hidden,)


class BatchFirstState(ForgetsItsState):
    """A planted bug: the batch on dimension 0."""

    def forward(self, x, state=None):
        y, hidden = self.core(x, None if state is None else state[0].transpose(0, 1).contiguous())
        return y, (hidden.transpose(0, 1),)


@pytest.mark.parametrize("bug", [ForgetsItsState, LooksAhead, BatchFirstState])
def test_contract_catches(bug: type[Backbone]) -> None:
    with pytest.raises(AssertionError):
        check_backbone(bug)


class Plain(Backbone):
    """A plugin that writes ``forward`` and nothing else."""

    def __init__(self) -> None:
        super().__init__(3)
        self.output_size, self.core = 5, nn.GRU(3, 5, batch_first=True)

    def forward(self, x, state=None):
        y, hidden = self.core(x, None if state is None else state[0])
        return y, (hidden,)


def test_defaults_are_enough_for_a_plugin() -> None:
    check_backbone(Plain)


def test_forget_gate_bias_is_one() -> None:
    for _, _, from_input, from_hidden in build("lstm").core.all_weights:
        assert_close((from_input + from_hidden).chunk(4)[1], torch.ones(5))


@pytest.mark.parametrize(
    ("backbone", "names"),
    [
        (RNN(3, 5, 2), {"hidden"}),
        (GRU(3, 5, 2), {"reset", "update", "candidate", "hidden"}),
        (LSTM(3, 5, 2), {"input", "forget", "candidate", "output", "cell", "hidden"}),
    ],
)
def test_trace_names_what_the_equations_name(backbone: Backbone, names: set[str]) -> None:
    x = torch.randn(4, 6, 3)
    trace = backbone.eval().trace(x)
    assert set(trace) == names
    assert all(values.shape == (4, 6, 2, 5) for values in trace.values())
    assert_close(trace["hidden"][:, :, -1], backbone(x)[0])


def test_gates_are_between_zero_and_one() -> None:
    trace = LSTM(3, 5).trace(10 * torch.randn(4, 6, 3))
    for gate in ("input", "forget", "output"):
        assert trace[gate].min() >= 0
        assert trace[gate].max() <= 1
    assert_close(trace["hidden"], trace["output"] * trace["cell"].tanh())


def test_dropout_only_while_training() -> None:
    backbone, x = LSTM(3, 5, 1, dropout=0.5), torch.randn(4, 6, 3)
    assert not torch.equal(backbone(x)[0], backbone(x)[0])
    backbone.eval()
    assert torch.equal(backbone(x)[0], backbone(x)[0])


def test_reset_rows_and_detach() -> None:
    weight = torch.ones(1, requires_grad=True)
    state = (torch.full((2, 3, 4), 7.0) * weight, torch.full((1, 3, 4, 5), 8.0))
    initial = (torch.zeros(2, 3, 4), torch.zeros(1, 3, 4, 5))
    hidden, memory = reset_rows(detach(state), initial, torch.tensor([False, True, False]))
    assert not hidden.requires_grad
    assert hidden[:, 1].abs().sum() == memory[:, 1].abs().sum() == 0
    assert (hidden[:, [0, 2]] == 7).all()
    assert (memory[:, [0, 2]] == 8).all()

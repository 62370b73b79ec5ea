import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightseq import registry
from lightseq.backbones import Backbone, detach, reset_rows
from lightseq.backbones.cells import Cell, gru_cell, lstm_cell, relu_cell, tanh_cell
from lightseq.backbones.dropout import drop_weights, run_dropped
from lightseq.backbones.recurrent import GRU, LSTM, RNN, Recurrent, has_bfloat16_lstm
from lightseq.errors import UserError
from lightseq.testing import check_backbone

CLASSICAL = ["rnn", "gru", "lstm"]
OPTIONS: dict[str, dict[str, object]] = {
    "input_dropout": {"input_dropout": 0.5},
    "output_dropout": {"output_dropout": 0.5},
    "locked": {"locked": True},
    "weight_drop": {"weight_drop": 0.5},
    "residual": {"residual": True},
    "layer_norm": {"layer_norm": True},
    "orthogonal": {"orthogonal": True},
    "initial_state": {"initial_state": "learned"},
}
ALL = {key: value for option in OPTIONS.values() for key, value in option.items()}


def build(name: str, num_layers: int = 2, input_size: int = 3, dropout: float = 0.25, **own: object) -> Recurrent:
    network = registry.build(
        registry.BACKBONES, name, own, input_size=input_size, hidden_size=5, num_layers=num_layers, dropout=dropout
    )
    assert isinstance(network, Recurrent)
    return network.double()


def drawn(*args: object, **own: object) -> Recurrent:
    """A network whose parameters are all drawn, so that a norm or an initial state is not as it starts."""
    network = build(*args, **own)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5)
    return network


def window(rows: int = 4, time_steps: int = 6, width: int = 3) -> Tensor:
    return torch.randn(rows, time_steps, width, dtype=torch.float64)


def some_state(backbone: Recurrent, rows: int = 4) -> tuple[Tensor, ...]:
    return tuple(torch.randn_like(part) for part in backbone.initial_state(rows))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", CLASSICAL)
def test_contract_of_an_option(name: str, option: str) -> None:
    check_backbone(lambda: build(name, 3, **OPTIONS[option]))


@pytest.mark.parametrize(("num_layers", "input_size"), [(1, 3), (1, 5), (3, 5)])
@pytest.mark.parametrize("name", CLASSICAL)
def test_contract_of_all_options(name: str, num_layers: int, input_size: int) -> None:
    check_backbone(lambda: build(name, num_layers, input_size, **ALL))


@pytest.mark.parametrize("own", [{}, ALL], ids=["without options", "with all"])
def test_contract_of_relu(own: dict[str, object]) -> None:
    check_backbone(lambda: build("rnn", activation="relu", **own))


@pytest.mark.parametrize(
    ("cell", "layer"),
    [
        (tanh_cell, nn.RNN(3, 5, batch_first=True)),
        (relu_cell, nn.RNN(3, 5, batch_first=True, nonlinearity="relu")),
        (gru_cell, nn.GRU(3, 5, batch_first=True)),
        (lstm_cell, nn.LSTM(3, 5, batch_first=True)),
    ],
)
def test_the_fused_kernel_is_the_cell_time_step_by_time_step(cell: Cell, layer: nn.RNNBase) -> None:
    layer, x = layer.double(), window()
    state = tuple(torch.randn(4, 5, dtype=torch.float64) for _ in range(2 if cell is lstm_cell else 1))
    given = tuple(part.unsqueeze(0) for part in state)
    y, final = layer(x, given if cell is lstm_cell else given[0])
    final = final if cell is lstm_cell else (final,)
    w_input, w_hidden, b_input, b_hidden = layer.all_weights[0]
    ys = []
    for t in range(6):
        state, named = cell(x[:, t] @ w_input.T + b_input, state[0] @ w_hidden.T + b_hidden, state)
        assert named["hidden"] is state[0]
        ys.append(state[0])
    assert_close(torch.stack(ys, 1), y)
    assert_close(torch.stack(state), torch.cat(final))
    undropped = run_dropped(layer, x, given if cell is lstm_cell else given[0], 0.0)
    assert all(map(torch.equal, undropped, (y, *final)))


@pytest.mark.parametrize(("backbone", "stack"), [(RNN, nn.RNN), (GRU, nn.GRU), (LSTM, nn.LSTM)])
def test_without_options_it_is_the_stack_of_torch_from_the_same_seed(
    backbone: type[Recurrent], stack: type[nn.RNNBase]
) -> None:
    torch.manual_seed(0)
    ours = backbone(3, 5, 3)
    torch.manual_seed(0)
    theirs = stack(3, 5, 3, batch_first=True)
    if backbone is LSTM:
        with torch.no_grad():
            for _, _, b_input, b_hidden in theirs.all_weights:
                b_input[5:10], b_hidden[5:10] = 1.0, 0.0
    x = torch.randn(4, 6, 3)
    y, state = ours(x)
    expected, final = theirs(x)
    assert torch.equal(y, expected)
    assert all(map(torch.equal, state, final if backbone is LSTM else (final,)))


def test_relu_is_relu() -> None:
    y, _ = drawn("rnn", activation="relu", dropout=0.0)(window())
    assert y.min() == 0
    assert y.max() > 1


@pytest.mark.parametrize("orthogonal", [False, True])
def test_forget_gate_bias_is_one(orthogonal: bool) -> None:
    for layer in LSTM(3, 5, 2, orthogonal=orthogonal).layers:
        _, _, b_input, b_hidden = layer.all_weights[0]
        assert_close((b_input + b_hidden).chunk(4)[1], torch.ones(5))


@pytest.mark.parametrize(("backbone", "gates"), [(RNN, 1), (GRU, 3), (LSTM, 4)])
def test_every_gate_starts_orthogonal_where_asked(backbone: type[Recurrent], gates: int) -> None:
    network = backbone(3, 5, 2, orthogonal=True)
    for width, layer in zip((3, 5), network.layers, strict=True):
        w_input, w_hidden, b_input, b_hidden = layer.all_weights[0]
        assert len(w_hidden) == gates * 5
        for gate in w_hidden.split(5):
            assert_close(gate @ gate.T, torch.eye(5), rtol=0, atol=1e-5)
        bound = math.sqrt(6 / (width + 5))
        assert all(bound / 2 < gate.abs().max() <= bound for gate in w_input.split(5))
        assert b_hidden.abs().sum() == 0
        assert torch.count_nonzero(b_input) == (5 if backbone is LSTM else 0)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("width", [3, 5])
@pytest.mark.parametrize("name", CLASSICAL)
def test_layer_norm_and_residual_as_written_by_hand(name: str, width: int, layer_norm: bool, residual: bool) -> None:
    backbone = drawn(name, 3, width, dropout=0.0, residual=residual, layer_norm=layer_norm)
    below, finals = window(width=width), []
    y, state = backbone(below)
    for number, (layer, norm) in enumerate(zip(backbone.layers, backbone.norms, strict=True)):
        hidden, _ = layer(below)
        finals.append(hidden[:, -1])
        given = hidden
        if layer_norm:
            centred = hidden - hidden.mean(-1, keepdim=True)
            given = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias
        below = given + below if residual and number > 0 else given
    assert_close(y, below)
    assert_close(state[0], torch.stack(finals))


def passed_on(backbone: Recurrent, x: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """What was before each place where values are dropped, and what came after, in one pass of two layers."""
    read, given = [], []
    hooks = []
    for layer in backbone.layers:
        hooks.append(layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0])))
        hooks.append(layer.register_forward_hook(lambda _, inputs, outputs: given.append(outputs[0])))
    y, _ = backbone(x)
    for hook in hooks:
        hook.remove()
    return {"input": (x, read[0]), "between layers": (given[0], read[1]), "output": (given[1], y)}


PLACES = ["input", "between layers", "output"]


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("backbone", [RNN, GRU, LSTM])
def test_values_are_dropped_and_the_others_scaled_up(backbone: type[Recurrent], place: str, locked: bool) -> None:
    network, x = backbone(60, 60, 2, dropout=0.25, locked=locked), torch.randn(50, 3, 60)
    before, after = passed_on(network, x)[place]
    dropped = after == 0
    count = 50 * 60 if locked else 50 * 60 * 3
    assert abs(dropped.float().mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / count)
    assert_close(after, before.masked_fill(dropped, 0.0) / 0.75)


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("place", PLACES)
def test_locked_masks_are_equal_over_time_steps_and_differ_elsewhere(place: str, locked: bool) -> None:
    network, x = LSTM(30, 30, 2, dropout=0.5, locked=locked), torch.randn(4, 6, 30)
    mask, another = (passed_on(network, x)[place][1] == 0 for _ in range(2))
    time_steps = [torch.equal(mask[:, t], mask[:, t + 1]) for t in range(5)]
    assert all(time_steps) if locked else not any(time_steps)
    assert not any(torch.equal(mask[row], mask[row + 1]) for row in range(3))
    assert not torch.equal(mask, another)


@pytest.mark.parametrize("place", PLACES)
def test_each_place_has_its_own_share(place: str) -> None:
    shares = dict(zip(PLACES, (0.0, 0.75, 0.25), strict=True))
    network = GRU(60, 60, 2, 0.75, input_dropout=0.0, output_dropout=0.25)
    _, after = passed_on(network, torch.randn(50, 4, 60))[place]
    assert abs((after == 0).float().mean() - shares[place]) < 0.02


def test_nothing_is_dropped_after_training() -> None:
    plain, x = drawn("lstm", dropout=0.0), window()
    dropping = drawn("lstm", dropout=0.5, locked=True, weight_drop=0.5)
    dropping.load_state_dict(plain.state_dict())
    assert not torch.equal(dropping(x)[0], dropping(x)[0])
    dropping.eval()
    y, state = dropping(x)
    expected, final = plain(x)
    assert torch.equal(y, expected)
    assert all(map(torch.equal, state, final))


def run(backbone: Recurrent, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, dict[str, Tensor]]:
    """All that it gives, flat, and each parameter's gradient of a sum that weighs every value differently."""
    y, final = backbone(x, state)
    values = torch.cat([part.flatten() for part in (y, *final)])
    total = values @ torch.linspace(0.5, 1.5, len(values), dtype=values.dtype)
    names, parameters = zip(*backbone.named_parameters(), strict=True)
    return values, dict(zip(names, torch.autograd.grad(total, parameters), strict=True))


@pytest.mark.parametrize("own", [{}, {"residual": True, "layer_norm": True}], ids=["alone", "with norms"])
@pytest.mark.parametrize("name", CLASSICAL)
def test_weight_drop_drops_hidden_to_hidden_weights_alone(name: str, own: dict[str, object]) -> None:
    """A network that has the dropped weights as its own gives the same, and the gradients by the chain rule."""
    dropping, x = drawn(name, dropout=0.0, weight_drop=0.25, **own), window()
    state = some_state(dropping)
    values, gradients = run(dropping, x, state)
    masks = {}
    for key, gradient in gradients.items():
        kept = gradient != 0
        assert kept.all() != ("weight_hh" in key), key
        masks[key] = kept.double() / 0.75 if "weight_hh" in key else torch.ones_like(gradient)
    equal = drawn(name, dropout=0.0, **own)
    equal.load_state_dict({key: value * masks[key] for key, value in dropping.state_dict().items()})
    expected, whole = run(equal, x, state)
    assert_close(values, expected)
    assert_close(gradients, {key: value * masks[key] for key, value in whole.items()})


def test_weight_drop_drops_its_share_in_every_layer_afresh_in_every_window() -> None:
    backbone, x = GRU(60, 60, 2, weight_drop=0.25), torch.randn(2, 3, 60)
    state = (torch.randn(2, 2, 60),)
    (_, one), (_, other) = run(backbone, x, state), run(backbone, x, state)
    masks = [gradients[f"layers.{layer}.weight_hh_l0"] == 0 for gradients in (one, other) for layer in range(2)]
    for number, mask in enumerate(masks):
        assert abs(mask.float().mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / mask.numel())
        assert not any(torch.equal(mask, before) for before in masks[:number])


def test_dropped_weights_lie_in_one_buffer_as_cudnn_keeps_a_layer() -> None:
    weights = nn.LSTM(3, 5).double().all_weights[0]
    dropped = drop_weights(weights, 0.25, packed=True)
    start = dropped[0].data_ptr()
    for weight, own in zip(weights, dropped, strict=True):
        assert own.shape == weight.shape
        assert own.is_contiguous()
        assert own.data_ptr() == start
        start += 8 * own.numel()
    assert dropped[0].untyped_storage().nbytes() == 8 * sum(weight.numel() for weight in weights)


def test_where_no_buffer_is_needed_only_the_dropped_weights_are_copied() -> None:
    weights = nn.LSTM(3, 5).all_weights[0]
    dropped = drop_weights(weights, 0.25, packed=False)
    assert [own is weight for own, weight in zip(dropped, weights, strict=True)] == [True, False, True, True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", CLASSICAL)
def test_weight_drop_is_quiet_on_a_gpu(name: str) -> None:
    """cuDNN warns of weights that it has to copy, and a warning is an error here."""
    backbone = drawn(name, 3, **ALL).float().cuda()
    for half in (False, True):
        with torch.autocast("cuda", torch.bfloat16, enabled=half):
            y, state = backbone(torch.randn(4, 6, 3, device="cuda"))
            y, _ = backbone(torch.randn(4, 6, 3, device="cuda"), detach(state))
        y.float().square().sum().backward()


def test_the_initial_state_is_learned() -> None:
    backbone, x = drawn("lstm", dropout=0.0, initial_state="learned"), window()
    initial = backbone.initial_state(4)
    assert [part.shape for part in initial] == [(2, 4, 5)] * 2
    for part, start in zip(initial, backbone.start, strict=True):
        assert torch.count_nonzero(start) == start.numel()
        assert torch.equal(part, start.repeat(1, 4, 1))
    assert torch.equal(backbone(x)[0], backbone(x, initial)[0])
    assert backbone.start[0].grad is None
    backbone(x)[0].square().sum().backward()
    assert all(torch.count_nonzero(start.grad) == start.numel() for start in backbone.start)


def test_a_reset_row_has_the_learned_initial_state_and_gives_it_a_gradient() -> None:
    backbone = drawn("gru", dropout=0.0, initial_state="learned")
    carried, reset = some_state(backbone), torch.tensor([True, False, False, True])
    mixed = reset_rows(detach(carried), backbone.initial_state(4), reset)
    assert torch.equal(mixed[0][:, 0], backbone.start[0][:, 0])
    assert torch.equal(mixed[0][:, 1:3], carried[0][:, 1:3])
    y, _ = backbone(window(), mixed)
    fresh, kept = (torch.autograd.grad(y[rows].sum(), [*backbone.start], retain_graph=True) for rows in (reset, ~reset))
    assert fresh[0].abs().min() > 0
    assert kept[0].abs().max() == 0


@pytest.mark.parametrize("backbone", [RNN, GRU, LSTM])
def test_a_learned_initial_state_starts_at_zero(backbone: type[Recurrent]) -> None:
    initial = backbone(3, 5, 2, initial_state="learned").initial_state(4)
    expected = backbone(3, 5, 2).initial_state(4)
    assert len(initial) == len(expected)
    assert all(map(torch.equal, initial, expected))


def far(actual: Tensor, expected: Tensor) -> float:
    """The length of the difference, over that of what is expected."""
    return float((actual.double() - expected.double()).norm() / expected.double().norm())


@pytest.mark.parametrize("carried", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("own", [{}, {"weight_drop": 0.25}, ALL], ids=["without options", "weight drop", "all"])
@pytest.mark.parametrize("name", CLASSICAL)
def test_training_under_bfloat16_autocast_is_near(name: str, own: dict[str, object], carried: torch.dtype) -> None:
    backbone, windows = drawn(name, 3, **own).float(), torch.randn(2, 4, 6, 3)
    results = []
    for autocast in (False, True):
        torch.manual_seed(1)  # equal masks
        backbone.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            first, state = backbone(windows[0])
            second, _ = backbone(windows[1], tuple(part.to(carried) for part in state) if autocast else state)
        ys = torch.cat([first, second], 1).float()
        ys.square().sum().backward()
        gradients = [parameter.grad for parameter in backbone.parameters()]
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        results.append((ys.detach(), torch.cat([gradient.flatten() for gradient in gradients])))
    (ys, gradients), (near, near_gradients) = results
    assert far(near, ys) < 0.02  # a few of bfloat16's roundings, 2**-9 each
    runs_in_half = name != "lstm" or has_bfloat16_lstm()
    assert (far(near, ys) > 0) == (runs_in_half or carried == torch.bfloat16)
    assert far(near_gradients, gradients) < 0.05


TRACED = {
    "rnn": {"hidden"},
    "gru": {"reset", "update", "candidate", "hidden"},
    "lstm": {"input", "forget", "candidate", "output", "cell", "hidden"},
}


@pytest.mark.parametrize("own", [{}, ALL], ids=["without options", "with all"])
@pytest.mark.parametrize("name", CLASSICAL)
def test_trace_names_what_the_equations_name(name: str, own: dict[str, object]) -> None:
    backbone, x = drawn(name, **own).eval(), window()
    state = some_state(backbone)
    trace, (_, final) = backbone.trace(x, state), backbone(x, state)
    assert set(trace) == TRACED[name]
    assert all(values.shape == (4, 6, 2, 5) for values in trace.values())
    for part, values in zip(final, ("hidden", "cell"), strict=False):
        assert_close(trace[values][:, -1].transpose(0, 1), part)
    assert_close(backbone.trace(x), backbone.trace(x, backbone.initial_state(4)))


def test_gates_are_between_zero_and_one() -> None:
    trace = LSTM(3, 5).trace(10 * torch.randn(4, 6, 3))
    for gate in ("input", "forget", "output"):
        assert trace[gate].min() >= 0
        assert trace[gate].max() <= 1
    assert_close(trace["hidden"], trace["output"] * trace["cell"].tanh())


@pytest.mark.parametrize("again", [copy.deepcopy, lambda backbone: pickle.loads(pickle.dumps(backbone))])
@pytest.mark.parametrize("name", CLASSICAL)
def test_a_copy_trains_alike(name: str, again: Callable[[Backbone], Backbone]) -> None:
    backbone, x = drawn(name, **ALL), window()
    copied, outputs = again(backbone), []
    for network in (backbone, copied):
        torch.manual_seed(0)
        outputs.append(network(x)[0])
    assert torch.equal(*outputs)


def test_every_classical_backbone_is_an_entry_point() -> None:
    own = {point.name: point.value for point in registry.plugins(registry.BACKBONES)}
    assert {name: own.get(name) for name in CLASSICAL} == {
        "rnn": "lightseq.backbones.recurrent:RNN",
        "gru": "lightseq.backbones.recurrent:GRU",
        "lstm": "lightseq.backbones.recurrent:LSTM",
    }


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_option_is_an_argument_that_a_configuration_may_set(name: str) -> None:
    texts = {"input_dropout": "0.3", "output_dropout": None, "locked": "true", "weight_drop": "0.2"}
    assert registry.convert(registry.BACKBONES, name, texts) == {
        "input_dropout": 0.3,
        "output_dropout": None,
        "locked": True,
        "weight_drop": 0.2,
    }
    with pytest.raises(UserError, match="weight_drop"):
        registry.convert(registry.BACKBONES, name, {"weight_drop": 1.0})
    with pytest.raises(UserError, match="initial_state"):
        registry.convert(registry.BACKBONES, name, {"initial_state": "random"})


def test_reset_rows_and_detach() -> None:
    weight = torch.ones(1, requires_grad=True)
    state = (torch.full((2, 3, 4), 7.0) * weight, torch.full((1, 3, 4, 5), 8.0))
    initial = (torch.zeros(2, 3, 4), torch.zeros(1, 3, 4, 5))
    hidden, memory = reset_rows(detach(state), initial, torch.tensor([False, True, False]))
    assert not hidden.requires_grad
    assert hidden[:, 1].abs().sum() == memory[:, 1].abs().sum() == 0
    assert (hidden[:, [0, 2]] == 7).all()
    assert (memory[:, [0, 2]] == 8).all()

"""The modern networks: minGRU, minLSTM, RG-LRU and mLSTM, and the blocks around them."""

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from lightseq import registry
from lightseq.backbones.blocks import Blocks, Convolution
from lightseq.backbones.linear import RGLRU, MinGRU, MinGRUMixer, MinLSTM, MinLSTMMixer, RGLRUMixer
from lightseq.backbones.matrix import MLSTM, MLSTMMixer, Window, remember, remember_step
from lightseq.errors import UserError
from lightseq.testing import check_backbone
from lightseq.types import State

NAMES = {"mingru": MinGRU, "minlstm": MinLSTM, "rglru": RGLRU, "mlstm": MLSTM}
FAMILY = pytest.mark.parametrize("network", NAMES.values(), ids=NAMES)
ROWS, HEADS, WIDTH = 3, 2, 4


def test_every_one_is_an_entry_point() -> None:
    assert {name: registry.load(registry.BACKBONES, name) for name in NAMES} == NAMES


@pytest.mark.parametrize(("input_size", "num_layers"), [(5, 1), (3, 3)])
@FAMILY
def test_contract(network: type[Blocks], input_size: int, num_layers: int) -> None:
    check_backbone(lambda: network(input_size, 5, num_layers))


def test_contract_with_every_option() -> None:
    check_backbone(lambda: MLSTM(3, 6, 2, dropout=0.25, conv=1, expansion=0.5, locked=True, heads=2))


def drawn(mixer: nn.Module) -> tuple[Tensor, Tensor]:
    """A window and a hidden state that are not zero, for a mixer of 4 whose biases are not zero either."""
    with torch.no_grad():
        for parameter in mixer.double().parameters():
            parameter.add_(torch.randn_like(parameter))
    return torch.randn(ROWS, 6, 4, dtype=torch.float64), torch.randn(ROWS, 4, dtype=torch.float64)


def follows(mixer: nn.Module, x: Tensor, hidden: Tensor, expected: list[Tensor]) -> None:
    y, (last,), internals = mixer(x, (hidden,))
    assert_close(y, torch.stack(expected, 1))
    assert_close(last, expected[-1])
    assert_close(internals["hidden"], y)


def test_mingru_follows_its_equations() -> None:
    mixer = MinGRUMixer(4)
    x, start = drawn(mixer)
    hidden, expected = start, []
    for x_t in x.unbind(1):
        z = mixer.update(x_t).sigmoid()
        hidden = (1 - z) * hidden + z * mixer.candidate(x_t)
        expected.append(hidden)
    follows(mixer, x, start, expected)


def test_minlstm_follows_its_equations() -> None:
    mixer = MinLSTMMixer(4)
    x, start = drawn(mixer)
    hidden, expected = start, []
    for x_t in x.unbind(1):
        f, i = mixer.forget(x_t).sigmoid(), mixer.input(x_t).sigmoid()
        hidden = f / (f + i) * hidden + i / (f + i) * mixer.candidate(x_t)
        expected.append(hidden)
    follows(mixer, x, start, expected)


def test_rglru_follows_its_equations() -> None:
    mixer = RGLRUMixer(4)
    x, start = drawn(mixer)
    hidden, expected = start, []
    for x_t in x.unbind(1):
        r, i = mixer.recurrence(x_t).sigmoid(), mixer.input(x_t).sigmoid()
        a = mixer.logit.sigmoid() ** (8 * r)
        hidden = a * hidden + (1 - a**2).sqrt() * (i * x_t)
        expected.append(hidden)
    follows(mixer, x, start, expected)


def test_mlstm_follows_its_equations() -> None:
    """From its beginning, with an exponential input gate that nothing stabilises."""
    mixer = MLSTMMixer(HEADS * WIDTH, HEADS).double()
    nn.init.normal_(mixer.weight)
    nn.init.normal_(mixer.bias)
    x = torch.randn(ROWS, 6, HEADS * WIDTH, dtype=torch.float64)
    matrix, normaliser = x.new_zeros(ROWS, HEADS, WIDTH, WIDTH), x.new_zeros(ROWS, HEADS, WIDTH)
    expected = []
    for x_t in x.unbind(1):
        q, k, v = (part(x_t).view(ROWS, HEADS, WIDTH) for part in (mixer.query, mixer.key, mixer.value))
        i, f = mixer.input(x_t).exp(), mixer.forget(x_t).sigmoid()
        k = k / WIDTH**0.5
        matrix = f[..., None, None] * matrix + i[..., None, None] * torch.einsum("bnv,bnk->bnvk", v, k)
        normaliser = f[..., None] * normaliser + i[..., None] * k
        size = torch.einsum("bnk,bnk->bn", normaliser, q).abs().clamp_min(1)
        read = torch.einsum("bnvk,bnk->bnv", matrix, q) / size[..., None]
        centred = read - read.mean(-1, keepdim=True)
        normed = (centred / (centred.square().mean(-1, keepdim=True) + 1e-2).sqrt()).flatten(1)
        expected.append(mixer.output(x_t).sigmoid() * (normed * mixer.weight + mixer.bias))
    initial = tuple(x.new_zeros(ROWS, *part) for part in mixer.parts)
    y, _, internals = mixer(x, initial)
    assert_close(y, torch.stack(expected, 1))
    assert_close(internals["hidden"], y)


def memory(length: int) -> tuple[Window, State]:
    """A window of queries, keys, values and gates, and a state that is not zero."""
    vectors = [torch.randn(ROWS, HEADS, length, WIDTH) for _ in range(3)]
    gates = [torch.randn(ROWS, HEADS, length), torch.randn(ROWS, HEADS, length).sigmoid().log()]
    state = [torch.randn(ROWS, HEADS, WIDTH, WIDTH), torch.randn(ROWS, HEADS, WIDTH), torch.randn(ROWS, HEADS)]
    window = Window(*(part.double().requires_grad_() for part in (*vectors, *gates)))
    return window, tuple(part.double().requires_grad_() for part in state)


def step_by_step(window: Window, state: State) -> tuple[Tensor, State]:
    reads = []
    for now in zip(*(part.unbind(2) for part in window), strict=True):
        read, state = remember_step(Window(*now), state)
        reads.append(read)
    return torch.stack(reads, 2), state


def gradients(outputs: list[Tensor], of: list[Tensor]) -> list[Tensor]:
    """Of a sum that weighs every output differently."""
    weighted = [(out * torch.linspace(0.5, 1.5, out.numel()).view_as(out)).sum() for out in outputs]
    return list(torch.autograd.grad(torch.stack(weighted).sum(), of))


@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 130])
def test_chunks_of_a_matrix_memory_equal_its_steps(length: int) -> None:
    window, state = memory(length)
    found = []
    for read, final in (remember(window, state), step_by_step(window, state)):
        found.append([read, *final, *gradients([read, *final], [*window, *state])])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_what_a_matrix_memory_gives_does_not_depend_on_its_stabiliser() -> None:
    window, (matrix, normaliser, stabiliser) = memory(7)
    expected, _ = remember(window, (matrix, normaliser, stabiliser))
    by = torch.tensor([[-2.0, 3.0]], dtype=torch.float64)
    read, _ = remember(window, (matrix * by.exp()[..., None, None], normaliser * by.exp()[..., None], stabiliser - by))
    assert_close(read, expected)


def test_a_matrix_memory_takes_gates_beyond_what_an_exponential_holds() -> None:
    window, state = memory(70)
    large = Window(*(part.detach() for part in window[:3]), *(100 * part.detach() for part in window[3:]))
    assert large.log_input.float().exp().isinf().any()
    single = Window(*(part.float().requires_grad_() for part in large))
    expected, _ = step_by_step(large, state)
    read, final = remember(single, tuple(part.float() for part in state))
    off = (read - expected).norm() / expected.norm()
    assert off < 1e-2
    assert all(gradient.isfinite().all() for gradient in gradients([read, *final], [*single]))


def test_a_query_that_finds_nothing_reads_nothing() -> None:
    window, state = memory(7)
    single = Window(0 * window.query, window.key, window.value, window.log_input + 1e4, window.log_forget)
    read, _ = remember(single, state)
    assert (read == 0).all()


@pytest.mark.parametrize(("mixer", "gate", "bias"), [(MinGRUMixer, "update", -7.0), (MinLSTMMixer, "input", -7.7)])
def test_a_gate_that_is_nearly_shut_still_forgets_under_autocast(
    mixer: type[nn.Module], gate: str, bias: float
) -> None:
    own = mixer(4)
    for parameter in own.parameters():
        nn.init.zeros_(parameter)
    nn.init.constant_(own.get_submodule(gate).bias, bias)
    x, start = torch.randn(1, 500, 4), torch.ones(1, 4)
    expected = own(x, (start,))[0][:, -1]
    assert 0.5 < expected.min() < 0.8
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(own(x, (start,))[0][:, -1], expected, rtol=0.02, atol=0.0)


def test_a_convolution_sees_its_own_channel_and_the_past() -> None:
    convolution = Convolution(5, 3)
    nn.init.normal_(convolution.bias)
    x, tail = torch.randn(ROWS, 7, 5), torch.randn(ROWS, 2, 5)
    seen, weight = torch.cat([tail, x], 1), convolution.weight.squeeze(1)
    expected = [
        convolution.bias + seen[:, t] * weight[0] + seen[:, t + 1] * weight[1] + seen[:, t + 2] * weight[2]
        for t in range(7)
    ]
    y, last = convolution(x, tail)
    assert_close(y, torch.stack(expected, 1))
    assert torch.equal(last, x[:, -2:])
    first, carried = convolution(x[:, :1], tail)
    rest, last = convolution(x[:, 1:], carried)
    assert_close(torch.cat([first, rest], 1), y)
    assert torch.equal(last, x[:, -2:])


def test_a_block_reads_as_its_equations() -> None:
    backbone = MinGRU(3, 6, 1).double()
    for norm in (backbone.norm, backbone.blocks[0].norm, backbone.blocks[0].wide_norm):
        nn.init.normal_(norm.weight)
    block, gelu = backbone.blocks[0], nn.GELU()
    window = torch.randn(ROWS, 7, 3, dtype=torch.float64)
    x = backbone.project(window)

    def normed(x: Tensor, norm: nn.RMSNorm) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight

    n = normed(x, block.norm)
    seen, _ = block.conv(block.inlet(n), n.new_zeros(ROWS, 3, 6))
    x = x + block.outlet(gelu(block.gate(n)) * block.mixer(seen, (n.new_zeros(ROWS, 6),))[0])
    n = normed(x, block.wide_norm)
    x = x + block.down(gelu(block.wide_gate(n)) * block.up(n))
    assert_close(backbone(window)[0], normed(x, backbone.norm))


@pytest.mark.parametrize("cut", [1, 64, 129])
@FAMILY
def test_a_long_window_equals_its_pieces(network: type[Blocks], cut: int) -> None:
    backbone, x = network(3, 8, 2).double(), torch.randn(ROWS, 130, 3, dtype=torch.float64)
    y, final = backbone(x)
    first, state = backbone(x[:, :cut])
    rest, last = backbone(x[:, cut:], state)
    for one, other in zip((torch.cat([first, rest], 1), *last), (y, *final), strict=True):
        assert_close(one, other)


@FAMILY
def test_the_state_has_a_part_of_its_own_for_every_memory(network: type[Blocks]) -> None:
    backbone = network(3, 8, 2, conv=5, heads=2) if network is MLSTM else network(3, 8, 2, conv=5)
    own = [(2, ROWS, 2, 4, 4), (2, ROWS, 2, 4), (2, ROWS, 2)] if network is MLSTM else [(2, ROWS, 8)]
    expected = [*own, (2, ROWS, 4, 8)]
    initial = backbone.initial_state(ROWS)
    assert [part.shape for part in initial] == expected
    assert not any(part.any() for part in initial)
    assert [part.shape for part in backbone(torch.randn(ROWS, 6, 3))[1]] == expected


@FAMILY
def test_bfloat16_is_close_and_carries_full_precision(network: type[Blocks]) -> None:
    backbone, x = network(3, 16, 2), torch.randn(ROWS, 70, 3)
    expected, _ = backbone(x)
    with torch.autocast("cpu", torch.bfloat16):
        first, state = backbone(x[:, :30])
        rest, final = backbone(x[:, 30:], state)
    assert {part.dtype for part in (*state, *final)} == {torch.float32}
    y = torch.cat([first, rest], 1)
    assert (y - expected).norm() < 0.02 * expected.norm()
    (y - expected).square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in backbone.parameters())


@FAMILY
def test_weights_in_bfloat16_carry_full_precision_too(network: type[Blocks]) -> None:
    backbone, x = network(3, 16, 2), torch.randn(ROWS, 10, 3)
    expected, _ = backbone(x)
    y, state = backbone.bfloat16()(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert {part.dtype for part in state} == {torch.float32}
    assert (y - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (MinGRU, {"update", "candidate", "hidden"}),
        (MinLSTM, {"input", "forget", "candidate", "hidden"}),
        (RGLRU, {"recurrence", "input", "decay", "hidden"}),
    ],
)
def test_trace_names_what_the_equations_name(network: type[Blocks], names: set[str]) -> None:
    backbone, x = network(3, 5, 2), torch.randn(ROWS, 6, 3)
    trace, (hidden, _) = backbone.trace(x), backbone(x)[1]
    assert set(trace) == names
    assert all(values.shape == (ROWS, 6, 2, 5) for values in trace.values())
    assert_close(trace["hidden"][:, -1].transpose(0, 1), hidden)
    for gate in names - {"candidate", "hidden"}:
        assert trace[gate].min() > 0
        assert trace[gate].max() < 1


def test_trace_of_a_matrix_memory() -> None:
    backbone, x = MLSTM(3, 6, 3, heads=2), torch.randn(ROWS, 7, 3)
    trace, (_, _, stabiliser, _) = backbone.trace(x), backbone(x)[1]
    assert set(trace) == {"input", "forget", "output", "hidden"}
    assert trace["input"].shape == trace["forget"].shape == (ROWS, 7, 3, 2)
    assert trace["output"].shape == trace["hidden"].shape == (ROWS, 7, 3, 6)
    scale = torch.ones(ROWS, 3, 2)
    for written, kept in zip(trace["input"].unbind(1), trace["forget"].unbind(1), strict=True):
        scale = torch.maximum(kept * scale, written).clamp_min(1)
    assert_close(scale.log().transpose(0, 1), stabiliser)


def test_an_open_recurrence_gate_forgets_in_ten_to_a_thousand_time_steps() -> None:
    mixer = RGLRUMixer(500)
    nn.init.constant_(mixer.recurrence.bias, 100.0)
    state = (torch.zeros(1, 500),)
    decay = mixer(torch.zeros(1, 1, 500), state)[2]["decay"]
    assert 0.8999 < decay.min() < 0.91
    assert 0.989 < decay.max() < 0.9991
    assert abs(decay.mean() - 0.9495) < 0.01


def test_forget_gates_of_a_matrix_memory_start_nearly_open() -> None:
    forget = MLSTM(3, 64, 2).trace(torch.zeros(1, 1, 3))["forget"]
    assert_close(forget.flatten(0, 2), torch.tensor([3.0, 4.0, 5.0, 6.0]).sigmoid().expand(2, 4))


@pytest.mark.parametrize("bias", [-1e4, -100.0, 100.0, 1e4])
@FAMILY
def test_gradients_are_finite_where_gates_are_shut_or_open(network: type[Blocks], bias: float) -> None:
    backbone, x = network(3, 8, 2), torch.randn(ROWS, 70, 3, requires_grad=True)
    gates = ("update", "recurrence", "input", "forget", "output")
    for name, layer in backbone.named_modules():
        if name.rpartition(".")[2] in gates:
            nn.init.constant_(layer.bias, bias)
    y, state = backbone(x)
    torch.stack([part.sum() for part in (y, *state)]).sum().backward()
    assert all(part.isfinite().all() for part in (y, *state))
    assert x.grad is not None
    assert all(p.grad.isfinite().all() for p in (x, *backbone.parameters()))


def test_a_decay_of_exactly_one_has_a_gradient() -> None:
    mixer = RGLRUMixer(4)
    nn.init.constant_(mixer.logit, 200.0)
    y, _, internals = mixer(torch.randn(ROWS, 6, 4), (torch.randn(ROWS, 4),))
    assert (internals["decay"] == 1).all()
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in mixer.parameters())


@FAMILY
def test_dropout_only_while_training(network: type[Blocks]) -> None:
    backbone, x = network(3, 5, 1, dropout=0.5), torch.randn(ROWS, 6, 3)
    assert not torch.equal(backbone(x)[0], backbone(x)[0])
    backbone.eval()
    assert torch.equal(backbone(x)[0], backbone(x)[0])


@pytest.mark.parametrize("locked", [False, True])
def test_a_locked_mask_is_one_for_all_time_steps(locked: bool) -> None:
    y, _ = MinGRU(3, 50, 1, dropout=0.5, locked=locked)(torch.randn(ROWS, 6, 3))
    dropped = y == 0
    assert 0.3 < dropped.float().mean() < 0.7
    assert (dropped == dropped[:, :1]).all().item() == locked
    assert not torch.equal(dropped[0], dropped[1])


def test_dropout_falls_on_what_a_block_adds() -> None:
    backbone = MinGRU(4, 4, 1, dropout=0.5)
    block, seen = backbone.blocks[0], []
    x = torch.randn(ROWS, 6, 4)
    block(x, tuple(part[0] for part in backbone.initial_state(ROWS)), lambda branch: seen.append(branch) or 0 * branch)
    assert len(seen) == 2
    y, _, _ = block(x, tuple(part[0] for part in backbone.initial_state(ROWS)), torch.zeros_like)
    assert torch.equal(y, x)


def test_what_returns_to_the_residual_sum_starts_smaller_with_more_layers() -> None:
    for num_layers in (1, 8):
        block = MinGRU(3, 64, num_layers, expansion=4.0).blocks[0]
        expected = 0.88 * (2 * num_layers) ** -0.5  # 0.88 of the standard deviation is left within two of them
        assert_close(block.outlet.weight.std() * 64**0.5, torch.tensor(expected), rtol=0.1, atol=0.0)
        assert_close(block.down.weight.std() * 256**0.5, torch.tensor(expected), rtol=0.1, atol=0.0)


@pytest.mark.parametrize(("expansion", "width"), [(0.1, 8), (1.0, 24), (1.5, 40), (2.0, 56)])
def test_the_second_half_of_a_block_is_a_multiple_of_eight_wide(expansion: float, width: int) -> None:
    assert MinGRU(3, 27, 1, expansion=expansion).blocks[0].up.out_features == width


@pytest.mark.parametrize(("hidden_size", "heads"), [(5, 1), (12, 1), (34, 1), (32, 4), (256, 4)])
def test_heads_by_themselves_divide_the_hidden_size(hidden_size: int, heads: int) -> None:
    assert MLSTM(3, hidden_size).initial_state(ROWS)[2].shape == (1, ROWS, heads)


@pytest.mark.parametrize("heads", [3, 8, 16])
def test_heads_that_do_not_fit_are_refused(heads: int) -> None:
    with pytest.raises(UserError, match=f"heads must divide hidden_size 8 into 2 or more each, and {heads} do not"):
        MLSTM(3, 8, heads=heads)

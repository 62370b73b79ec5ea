import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.testing import assert_close

from lightseq.backbones import scan as module
from lightseq.backbones.scan import Kernel, doubling, looped, scan, scan_with, sequential

KERNELS = {"sequential": sequential, "doubling": doubling}
ROWS, WIDTH = 3, 5


def parts(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Decays between 0 and 1, both included, inputs, and an initial state that is not zero."""
    decay = torch.rand(ROWS, length, WIDTH, dtype=torch.float64).mul(1.5).sub(0.25).clamp(0, 1)
    inputs = torch.randn(ROWS, length, WIDTH, dtype=torch.float64)
    initial = torch.randn(ROWS, WIDTH, dtype=torch.float64)
    return [part.to(dtype).requires_grad_() for part in (decay, inputs, initial)]


def values_and_gradients(states: Tensor, of: list[Tensor]) -> list[Tensor]:
    """The states, and the gradients of a sum that weighs every one of them differently."""
    weights = torch.linspace(0.5, 1.5, states.numel(), dtype=states.dtype).view_as(states)
    return [states.detach(), *torch.autograd.grad((states * weights).sum(), of)]


def test_the_reference_reads_as_the_recurrence() -> None:
    decay, inputs, initial = (part.detach() for part in parts(3))
    first = decay[:, 0] * initial + inputs[:, 0]
    second = decay[:, 1] * first + inputs[:, 1]
    third = decay[:, 2] * second + inputs[:, 2]
    assert torch.equal(looped(decay, inputs, initial), torch.stack([first, second, third], 1))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 65, 129])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernels_give_the_values_and_gradients_of_the_reference(kernel: Kernel, length: int) -> None:
    given = parts(length)
    assert length < 7 or (given[0] == 0).any()
    assert length < 7 or (given[0] == 1).any()
    expected = values_and_gradients(looped(*given), given)
    for one, other in zip(values_and_gradients(scan_with(kernel, *given), given), expected, strict=True):
        assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 64, 65, 129])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_scan_in_every_precision(length: int, dtype: torch.dtype) -> None:
    given = parts(length, dtype)
    exact = [part.detach().double().requires_grad_() for part in given]
    states = scan(*given)
    assert states.dtype == torch.promote_types(dtype, torch.float32)
    found, expected = values_and_gradients(states, given), values_and_gradients(looped(*exact), exact)
    assert_close(found[0].double(), expected[0], rtol=1e-5, atol=1e-5)
    for gradient, other in zip(found[1:], expected[1:], strict=True):
        assert gradient.dtype == dtype
        rounding = 2**-8 if dtype == torch.bfloat16 else 1e-5
        assert_close(gradient.double(), other, rtol=rounding, atol=1e-4)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_gradient_is_the_derivative(kernel: Kernel, length: int) -> None:
    assert torch.autograd.gradcheck(lambda *given: scan_with(kernel, *given), parts(length))


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_a_long_memory_neither_fades_nor_overflows(kernel: Kernel) -> None:
    decay, inputs, initial = torch.ones(1, 1000, 2), torch.zeros(1, 1000, 2), torch.tensor([[3.0, -4.0]])
    assert torch.equal(scan_with(kernel, decay, inputs, initial)[:, -1], initial)
    assert_close(scan_with(kernel, decay, inputs + 1, 0 * initial)[0, :, 0], torch.arange(1.0, 1001.0))
    forgotten = decay.index_fill(1, torch.tensor([400]), 0.0)
    assert not scan_with(kernel, forgotten, inputs, initial)[:, 400:].any()


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_kernels_leave_what_they_are_given(kernel: Kernel) -> None:
    given = [part.detach() for part in parts(9)]
    before = [part.clone() for part in given]
    for backwards in (False, True):
        kernel(*given, backwards)
    for part, old in zip(given, before, strict=True):
        assert torch.equal(part, old)


def test_layouts_that_are_not_contiguous() -> None:
    decay, inputs, initial = parts(7)
    turned = [part.transpose(0, 1).contiguous().transpose(0, 1) for part in (decay, inputs)]
    assert not turned[0].is_contiguous()
    assert_close(scan(*turned, initial.T.contiguous().T), looped(decay, inputs, initial))
    (gradient,) = torch.autograd.grad(scan(*turned, initial).sum(), inputs)
    (expected,) = torch.autograd.grad(looped(decay, inputs, initial).sum(), inputs)
    assert_close(gradient, expected)


def test_autocast_does_not_round() -> None:
    given = [part.detach().float() for part in parts(33)]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(scan(*given), scan_with(sequential, *given))


@pytest.mark.parametrize(("device", "kernel"), [("cpu", sequential), ("cuda", doubling)])
def test_a_gpu_has_the_kernel_of_few_rounds(device: str, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without values, which need no GPU."""
    chosen: list[Kernel] = []
    monkeypatch.setattr(module, "scan_with", lambda kernel, *_: chosen.append(kernel))
    with FakeTensorMode():
        scan(*(torch.empty(shape, device=device) for shape in ((3, 65, 5), (3, 65, 5), (3, 5))))
    assert chosen == [kernel]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("length", [1, 2, 7, 65, 129])
def test_scan_on_a_gpu(length: int) -> None:
    given = parts(length, torch.float32)
    expected = values_and_gradients(looped(*given), given)
    there = [part.detach().cuda().requires_grad_() for part in given]
    for one, other in zip(values_and_gradients(scan(*there), there), expected, strict=True):
        assert_close(one.cpu(), other, rtol=1e-4, atol=1e-4)

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing import assert_close

from lightseq.backbones.recurrent import LSTM
from lightseq.model import SequenceModel, build_model
from lightseq.optim import ROUNDS, Muon, OptimizerName, build_optimizer, orthogonal, share_of_rate


def weights_and_gradients(*shape: int, times: int = 5) -> tuple[nn.Parameter, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(shape, generator=generator) for _ in range(times + 1))
    return nn.Parameter(start), gradients


def run(optimizer: torch.optim.Optimizer, parameter: nn.Parameter, gradients: list[torch.Tensor]) -> torch.Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (3, 5, 8)])
def test_an_orthogonal_matrix_keeps_the_directions_and_evens_their_sizes(shape: tuple[int, ...]) -> None:
    left, _, right = torch.linalg.svd(torch.randn(shape, dtype=torch.float64), full_matrices=False)
    sizes = torch.linspace(0.3, 3.0, left.shape[-1], dtype=torch.float64)
    inner = left.mT @ orthogonal(left * sizes @ right) @ right.mT
    even = inner.diagonal(dim1=-2, dim2=-1)
    assert even.min() > 0.6
    assert even.max() < 1.25
    assert_close(inner, torch.diag_embed(even), atol=1e-9, rtol=0)


def test_what_is_no_matrix_moves_as_with_adamw() -> None:
    parameter, gradients = weights_and_gradients(4, 5)
    other = nn.Parameter(parameter.detach().clone())
    ours = Muon([{"params": [parameter]}], lr=0.1, weight_decay=0.3, betas=(0.8, 0.95))
    theirs = torch.optim.AdamW([other], lr=0.1, weight_decay=0.3, betas=(0.8, 0.95))
    assert_close(run(ours, parameter, gradients), run(theirs, other, gradients), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_a_matrix_moves_as_with_the_muon_of_torch(shape: tuple[int, int]) -> None:
    parameter, gradients = weights_and_gradients(*shape)
    other = nn.Parameter(parameter.detach().clone())
    ours = Muon([{"params": [parameter], "matrices": 1}], lr=0.1, weight_decay=0.2)
    theirs = torch.optim.Muon([other], lr=0.1, weight_decay=0.2, ns_steps=ROUNDS, adjust_lr_fn="match_rms_adamw")
    start = parameter.detach().clone()
    moved = run(ours, parameter, gradients) - start
    assert moved.norm() > 0.3
    assert (moved - (run(theirs, other, gradients) - start)).norm() < 0.02 * moved.norm()  # theirs in bf16


def test_each_gate_is_a_matrix_of_its_own() -> None:
    together, gradients = weights_and_gradients(12, 5)
    apart = [nn.Parameter(part.clone()) for part in together.detach().chunk(4)]
    whole = run(Muon([{"params": [together], "matrices": 4}], lr=0.1), together, gradients)
    for i, part in enumerate(apart):
        own = Muon([{"params": [part], "matrices": 1}], lr=0.1)
        assert_close(run(own, part, [g.chunk(4)[i] for g in gradients]), whole.chunk(4)[i])


def test_half_the_bits_move_about_the_same() -> None:
    moved = []
    for precision in (None, torch.bfloat16):
        parameter, gradients = weights_and_gradients(8, 5)
        start = parameter.detach().clone()
        optimizer = Muon([{"params": [parameter], "matrices": 2}], lr=0.1, precision=precision)
        moved.append(run(optimizer, parameter, gradients) - start)
    assert not torch.equal(*moved)
    assert (moved[0] - moved[1]).norm() < 0.05 * moved[0].norm()


def test_a_stored_optimizer_goes_on_as_if_nothing_had_been() -> None:
    def make(parameters: list[nn.Parameter]) -> Muon:
        return Muon([{"params": parameters[:1], "matrices": 2}, {"params": parameters[1:]}], lr=0.1)

    matrix, gradients = weights_and_gradients(4, 3, times=6)
    vector = nn.Parameter(torch.ones(3))

    def go(optimizer: Muon, parameters: list[nn.Parameter], some: list[torch.Tensor]) -> None:
        for gradient in some:
            parameters[0].grad, parameters[1].grad = gradient.clone(), gradient[0].clone()
            optimizer.step()

    first = make([matrix, vector])
    go(first, [matrix, vector], gradients[:3])
    other = [copy.deepcopy(matrix), copy.deepcopy(vector)]
    second = make(other)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    go(first, [matrix, vector], gradients[3:])
    go(second, other, gradients[3:])
    assert torch.equal(matrix, other[0])
    assert torch.equal(vector, other[1])


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "muon"])
@pytest.mark.parametrize("backbone", ["lstm", "gru", "rnn"])
def test_every_weight_moves_and_vectors_do_not_decay(name: str, backbone: str) -> None:
    model = build_model(
        vocabulary=list("abcde"),
        labels=None,
        backbone=backbone,
        backbone_args=None,
        embedding_size=3,
        hidden_size=4,
        num_layers=2,
        dropout=0.0,
        tie_head=False,
    )
    optimizer = build_optimizer(name, model, 0.1, weight_decay=0.2)
    grouped = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(model.parameters()))
    for group in optimizer.param_groups:
        decays = {p.dim() > 1 for p in group["params"]}
        assert decays == {group["weight_decay"] == 0.2}
        if name == "muon" and group["matrices"]:
            assert group["matrices"] == {"lstm": 4, "gru": 3, "rnn": 1}[backbone]
            assert set(group["params"]) == {p for p in model.backbone.parameters() if p.dim() == 2}


@pytest.mark.parametrize(("name", "reference"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_one_kernel_moves_weights_as_many_do(name: OptimizerName, reference: type[torch.optim.AdamW]) -> None:
    def model() -> SequenceModel:
        torch.manual_seed(0)
        return SequenceModel(LSTM(3, 5, 2), 7, 3, 7).double()

    ours, theirs = model(), model()
    optimizer = build_optimizer(name, ours, 0.1)
    other = reference(theirs.parameters(), lr=0.1, weight_decay=0.0, foreach=False)
    assert all(group["fused"] for group in optimizer.param_groups)
    for update in range(5):
        for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.manual_seed(update)
            mine.grad, its.grad = torch.randn_like(mine), None
            its.grad = mine.grad.clone()
        optimizer.step()
        other.step()
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert_close(mine, its, rtol=1e-12, atol=1e-12)
    scaled = build_optimizer(name, ours, 0.1, fused=False)  # a scaler of losses refuses one kernel beside clipping
    assert not any(group["fused"] for group in scaled.param_groups)


def test_the_learning_rate_rises_and_falls() -> None:
    def rates(schedule: str, warmup: int) -> list[float]:
        return [share_of_rate(update, lambda: 12.0, warmup, schedule) for update in range(13)]

    assert rates("constant", 3) == [0.25, 0.5, 0.75] + [1.0] * 10
    assert rates("linear", 2)[2:] == pytest.approx([1 - i / 10 for i in range(11)])
    assert rates("cosine", 0) == pytest.approx([(1 + math.cos(math.pi * i / 12)) / 2 for i in range(13)])


def test_the_length_of_the_run_is_not_asked_before_it_is_known() -> None:
    assert share_of_rate(0, lambda: 1 / 0, 0, "cosine") == 1.0


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module")
def test_a_sharded_weight_has_a_kernel_of_its_own_only_where_torch_has_one(tmp_path: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        for name in ("sgd", "adamw", "adam"):
            model = SequenceModel(LSTM(3, 4), 5, 3, 5)
            fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
            optimizer = build_optimizer(name, model, 0.1)
            model(torch.tensor([[1, 2, 3]]))[0].sum().backward()
            before = [p.full_tensor().clone() for p in model.parameters()]
            optimizer.step()
            assert not all(map(torch.equal, before, (p.full_tensor() for p in model.parameters())))
    finally:
        dist.destroy_process_group()

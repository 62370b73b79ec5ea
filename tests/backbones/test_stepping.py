"""The sampler's way through a network: the same as ``step``, in memory of its own."""

import pytest
import torch
from torch.testing import assert_close

from lightseq import registry
from lightseq.backbones import Backbone
from lightseq.model import build_model

TOKENS, WIDTH, HIDDEN = 7, 3, 5
CLASSICAL = [("rnn", {}), ("rnn", {"activation": "relu"}), ("gru", {}), ("lstm", {})]
MODERN = [("mingru", {}), ("minlstm", {"conv": 1}), ("rglru", {}), ("mlstm", {})]
OPTIONS = [{}, {"residual": True}, {"layer_norm": True}, {"residual": True, "layer_norm": True}]
NETWORKS = [(name, own | more) for name, own in CLASSICAL for more in OPTIONS] + MODERN


def drawn(name: str, own: dict[str, object], layers: int, dtype: torch.dtype) -> Backbone:
    """A network whose parameters are all drawn, a learned initial state's too."""
    learned = {"initial_state": "learned"} if (name, own) not in MODERN else {}
    network = registry.build(
        registry.BACKBONES,
        name,
        own | learned,
        input_size=WIDTH,
        hidden_size=HIDDEN,
        num_layers=layers,
        dropout=0.2,
    )
    assert isinstance(network, Backbone)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5)
    return network.to(dtype).eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 64])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("name", "own"), NETWORKS, ids=lambda value: "-".join(value) if value else "plain")
@torch.no_grad()
def test_a_run_and_the_stepper_are_step(
    name: str, own: dict[str, object], layers: int, rows: int, dtype: torch.dtype
) -> None:
    network, embedding = drawn(name, own, layers, dtype), torch.randn(TOKENS, WIDTH, dtype=dtype)
    state = network.initial_state(rows)
    begun = [part.clone() for part in state]
    advance, run, taken = network.stepper(embedding), network.runner(embedding)(state), state
    precise = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {}
    kept, copies = [], []
    for ids in torch.randint(TOKENS, (6, rows)):
        expected, state = network.step(embedding[ids], state)
        y, taken = advance(ids, taken)
        for given in (y, run(ids)):
            assert_close(given, expected, **precise)
        for parts in (taken, run.state):
            assert_close(parts, state, **precise)
            kept += parts
            copies += [part.clone() for part in parts]
    assert all(map(torch.equal, kept, copies))  # no later time step wrote into them
    assert all(map(torch.equal, begun, network.initial_state(rows)))


@pytest.mark.parametrize(("name", "own"), CLASSICAL[1:] + MODERN[:1])
def test_a_run_of_some_rows_goes_on_where_the_whole_was(name: str, own: dict[str, object]) -> None:
    model = build_model(
        vocabulary=[str(token) for token in range(TOKENS)],
        labels=None,
        backbone=name,
        backbone_args=own,
        embedding_size=WIDTH,
        hidden_size=HIDDEN,
        num_layers=2,
        dropout=0.0,
        tie_head=False,
    )
    torch.nn.init.normal_(model.head.weight)
    begin, some, tokens = model.runner(), torch.tensor([3, 0]), torch.randint(TOKENS, (4, 6))
    with torch.no_grad():
        run = begin(model.initial_state(4))
        for ids in tokens.T[:3]:
            run(ids)
        few = begin(tuple(part[:, some] for part in run.state))
        for ids in tokens.T[3:]:
            run(ids)
            logits = few(ids[some])
        expected, state = model(tokens)
    assert_close(logits, expected[some, -1])
    assert_close(run.state, state)
    assert_close(few.state, tuple(part[:, some] for part in state))


@pytest.mark.parametrize("name", ["lstm", "mingru"])
def test_no_gradients_are_kept_whoever_asks(name: str) -> None:
    network = drawn(name, {}, 2, torch.float32)
    y, state = network.stepper(torch.randn(TOKENS, WIDTH))(torch.tensor([1, 2]), network.initial_state(2))
    assert not any(part.requires_grad for part in (y, *state))

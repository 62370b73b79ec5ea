import math

import pytest
import torch
from torch.testing import assert_close

from lightseq.errors import UserError
from lightseq.loss import cross_entropy
from lightseq.model import SequenceModel, build_model
from lightseq.types import IGNORE_INDEX

SETTINGS = {
    "vocabulary": list("abcde"),
    "labels": None,
    "backbone": "lstm",
    "backbone_args": None,
    "embedding_size": 3,
    "hidden_size": 6,
    "num_layers": 2,
    "dropout": 0.0,
    "tie_head": False,
}


def build(**settings: object) -> SequenceModel:
    return build_model(**{**SETTINGS, **settings})


def randomised(model: SequenceModel) -> SequenceModel:
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


@pytest.mark.parametrize("embedding_size", [3, None])
@pytest.mark.parametrize("backbone", ["rnn", "gru", "lstm"])
def test_the_first_loss_is_ln_v(backbone: str, embedding_size: int | None) -> None:
    model = build(backbone=backbone, embedding_size=embedding_size)
    logits, _ = model(torch.randint(5, (4, 7)))
    nats, count = cross_entropy(logits, torch.randint(5, (4, 7)))
    assert_close(nats / count, torch.tensor(math.log(5)))


@pytest.mark.parametrize("embedding_size", [3, None])
def test_the_stepper_agrees_with_the_network(embedding_size: int | None) -> None:
    model = randomised(build(embedding_size=embedding_size))
    tokens = torch.randint(5, (4, 7))
    logits, final = model(tokens)
    step, state = model.stepper(), model.initial_state(4)
    for t in range(7):
        one, state = step(tokens[:, t], state)
        assert_close(one, logits[:, t])
    assert_close(state, final)


def test_padding_does_not_change_the_loss() -> None:
    model = randomised(build())
    tokens, targets = torch.randint(5, (2, 4)), torch.randint(5, (2, 4))
    alone = cross_entropy(model(tokens)[0], targets)
    padded = torch.cat([tokens, torch.randint(5, (2, 3))], 1), torch.cat([targets, targets.new_full((2, 3), -100)], 1)
    together = cross_entropy(model(padded[0])[0], padded[1])
    assert IGNORE_INDEX == -100
    assert_close(alone, together)


def test_labels_give_the_head_its_size() -> None:
    assert build(labels=["x", "y"])(torch.randint(5, (4, 7)))[0].shape == (4, 7, 2)


def test_a_tied_head_is_the_embedding() -> None:
    model = build(embedding_size=6, tie_head=True)
    assert model.head.weight is model.embedding.weight
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in build(embedding_size=6).parameters())


@pytest.mark.parametrize("settings", [{"embedding_size": 3}, {"embedding_size": None}, {"labels": ["x"]}])
def test_a_head_that_cannot_be_tied(settings: dict[str, object]) -> None:
    with pytest.raises(UserError, match="tie_head needs an embedding as wide as the backbone's output"):
        build(**{"embedding_size": 6, "tie_head": True, **settings})


def test_a_backbone_that_is_none(plugin) -> None:
    plugin("odd", "lightseq.backbones", {"odd": "odd:Odd"}, "class Odd:\n    def __init__(self, **_): pass\n")
    with pytest.raises(UserError, match=r"'odd' is broken: Odd is no lightseq.backbones.Backbone"):
        build(backbone="odd")

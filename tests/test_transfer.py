"""Weights of an old run in a network of another vocabulary."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from lightseq.errors import UserError
from lightseq.model import SequenceModel, build_model
from lightseq.transfer import ARCHITECTURE, architecture, grown, transfer
from lightseq.vocabulary import BOUNDARY, Vocabulary

OLD = [BOUNDARY, *"abcde"]
TEXT = "adbbecaebd"
PLACE = Path("old.ckpt")

BACKBONES: dict[str, dict[str, Any]] = {
    "rnn": {},
    "gru": {},
    "lstm": {"layer_norm": True, "initial_state": "learned", "residual": True, "orthogonal": True},
    "mingru": {},
    "minlstm": {},
    "rglru": {},
    "mlstm": {"heads": 3},
}
INPUTS: dict[str, dict[str, Any]] = {
    "embedded": {"embedding_size": 4},
    "one-hot": {"embedding_size": None},  # and H is V: the vocabulary's dimension is no matter of sizes
    "tied": {"embedding_size": 6, "tie_head": True},
}


def settings(**own: Any) -> dict[str, Any]:
    common = {"vocabulary": OLD, "labels": None, "backbone": "lstm", "backbone_args": None, "embedding_size": 4}
    return {**common, "hidden_size": 6, "num_layers": 2, "dropout": 0.0, "tie_head": False, **own}


def trained(**own: Any) -> tuple[SequenceModel, dict[str, Any]]:
    """A network that no initialisation gives, and the checkpoint that it would be stored in."""
    model = build_model(**settings(**own)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    weights = {f"model.{name}": value.clone() for name, value in model.state_dict().items()}
    return model, {"state_dict": weights, "hyper_parameters": settings(**own)}


def begun(content: dict[str, Any], vocabulary: Sequence[str], **own: Any) -> tuple[SequenceModel, list[str]]:
    """A network of another vocabulary, with the weights."""
    stored = {**content["hyper_parameters"], **own, "vocabulary": list(vocabulary)}
    model = build_model(**stored).eval()
    return model, transfer(model, vocabulary, stored["labels"], content, PLACE)


def ids(vocabulary: Sequence[str], text: str = TEXT) -> Tensor:
    return torch.tensor([Vocabulary(vocabulary).encode(text)])


@torch.no_grad()
def check_kept(old: SequenceModel, before: Sequence[str], new: SequenceModel, now: Sequence[str]) -> None:
    """Hidden states and the rows of the head are equal bit for bit, logits up to the rounding of double precision."""
    hidden, states = zip(old.backbone(old.embed(ids(before))), new.backbone(new.embed(ids(now))), strict=True)
    assert torch.equal(*hidden)
    assert len(states[0]) == len(states[1])
    assert all(torch.equal(*parts) for parts in zip(*states, strict=True))
    shared = [token for token in before if token in now]
    rows = ([before.index(token) for token in shared], [now.index(token) for token in shared])
    for name in ("weight", "bias"):
        one, two = (getattr(model.head, name)[own] for model, own in zip((old, new), rows, strict=True))
        assert torch.equal(one, two)
    logits = [m.double()(ids(v))[0][..., own] for m, v, own in zip((old, new), (before, now), rows, strict=True)]
    assert logits[0].std() > 0.1
    assert_close(logits[0], logits[1], rtol=0, atol=1e-12)


def test_a_vocabulary_grows_by_what_it_lacks_and_loses_nothing() -> None:
    assert grown(OLD, [BOUNDARY, *"Bacé"]) == [*OLD, "B", "é"]
    assert grown(["c", "a"], ["é", "a", "B"]) == ["c", "a", "B", "é"]
    assert grown(OLD, OLD) == OLD
    assert grown(["the", " cat"], ["the", " sat"]) == ["the", " cat", " sat"]


def test_the_boundary_comes_and_goes_with_the_layout() -> None:
    assert grown(OLD, [*"af"]) == [*"abcdef"]
    assert grown([*"abcdef"], [BOUNDARY, *"ag"]) == [BOUNDARY, *"abcdefg"]


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_was_known_is_kept(backbone: str, inputs: str) -> None:
    """Documents of more characters, then a stream of as many tokens, then documents again."""
    old, content = trained(backbone=backbone, backbone_args=BACKBONES[backbone], **INPUTS[inputs])
    for text in ([BOUNDARY, *"Bé"], ["f"], [BOUNDARY, "g"]):
        vocabulary = grown(OLD, text)
        check_kept(old.float(), OLD, begun(content, vocabulary)[0], vocabulary)
    assert len(grown(OLD, ["f"])) == len(OLD)


def test_the_way_back_from_a_stream() -> None:
    stream = [*"abcde"]
    old, content = trained(vocabulary=stream)
    new, report = begun(content, OLD)
    check_kept(old, stream, new, OLD)
    assert report == ["from   old.ckpt: all weights; vocabulary 5 -> 6, new: the boundary of documents"]


@pytest.mark.parametrize("inputs", INPUTS)
def test_new_rows_begin_as_the_network_has_them_and_a_heads_beside_the_mean(inputs: str) -> None:
    old, content = trained(**INPUTS[inputs])
    vocabulary = grown(OLD, [BOUNDARY, *"AB"])
    torch.manual_seed(5)
    fresh = build_model(**settings(**INPUTS[inputs], vocabulary=vocabulary))
    torch.manual_seed(5)
    new, _ = begun(content, vocabulary)
    mean = old.head.weight.mean(0)
    assert_close(new.head.weight[6:], fresh.head.weight[6:] + mean)
    assert_close(new.head.bias[6:], old.head.bias.mean().expand(2))
    if inputs == "one-hot":
        assert torch.equal(new.backbone.layers[0].weight_ih_l0[:, 6:], fresh.backbone.layers[0].weight_ih_l0[:, 6:])
    elif inputs == "embedded":
        assert torch.equal(new.embedding.weight[6:], fresh.embedding.weight[6:])
    else:
        assert new.head.weight is new.embedding.weight
        assert not torch.equal(new.head.weight[6], new.head.weight[7])


@torch.no_grad()
def test_new_tokens_cost_the_old_text_little_whatever_its_rows_have_in_common() -> None:
    """No more than ln(1 + k / V), as many nats as k tokens more of average likelihood."""
    _, content = trained()
    content["state_dict"]["model.head.weight"] -= 7 * torch.randn(6)
    content["state_dict"]["model.head.bias"] -= 50
    vocabulary = grown(OLD, [BOUNDARY, *"ABC"])
    logits, _ = begun(content, vocabulary)[0](ids(vocabulary))
    cost = logits.logsumexp(-1) - logits[..., :6].logsumexp(-1)
    assert (cost > 0).all()
    assert (cost < math.log1p(3 / 6)).all()


def test_nothing_is_drawn_for_it() -> None:
    _, content = trained(embedding_size=None)
    new = build_model(**settings(embedding_size=None, vocabulary=[*OLD, "f"]))
    state = torch.get_rng_state()
    transfer(new, [*OLD, "f"], None, content, PLACE)
    assert torch.equal(torch.get_rng_state(), state)


def test_weights_in_double_precision_keep_every_digit_there_and_are_rounded_elsewhere() -> None:
    _, content = trained()
    content["state_dict"] = {name: value.double() + 1e-12 for name, value in content["state_dict"].items()}
    for precision in (torch.float64, torch.float32):
        new = build_model(**settings()).to(precision)
        transfer(new, OLD, None, content, PLACE)
        assert new.head.weight.dtype == precision
        assert torch.equal(new.head.weight, content["state_dict"]["model.head.weight"].to(precision))


def test_a_head_that_was_tied_may_be_loose() -> None:
    old, content = trained(**INPUTS["tied"])
    new, _ = begun(content, OLD, tie_head=False)
    assert new.head.weight is not new.embedding.weight
    check_kept(old, OLD, new, OLD)


def test_the_report_names_what_is_new() -> None:
    _, content = trained()
    assert begun(content, OLD)[1] == ["from   old.ckpt: all weights"]
    assert begun(content, [*OLD, "é", "\n", "\udcc3"])[1] == [
        "from   old.ckpt: all weights; vocabulary 6 -> 9, new: 'é', '\\n', byte 0xC3"
    ]
    assert begun(content, [*"abcdefghijklmn"])[1] == [
        "from   old.ckpt: all weights; vocabulary 6 -> 14, new: 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', ..., "
        "dropped: the boundary of documents"
    ]


def test_labels_are_told_apart_by_name() -> None:
    old, content = trained(labels=["noun", "other", "verb"])
    new, report = begun(content, [*OLD, "f"], labels=["adverb", "noun", "pronoun", "verb"])
    assert torch.equal(new.head.weight[[1, 3]], old.head.weight[[0, 2]])
    assert torch.equal(new.head.bias[[1, 3]], old.head.bias[[0, 2]])
    assert_close(new.head.weight[[0, 2]], old.head.weight[[0, 2]].mean(0).expand(2, -1))
    assert report == [
        "from   old.ckpt: all weights; vocabulary 6 -> 7, new: 'f'",
        "note   labels 3 -> 4, new: 'adverb', 'pronoun', dropped: 'other'",
    ]


TASKS: dict[str, tuple[list[str] | None, list[str] | None]] = {
    "it predicted text, and now 4 labels": (None, [*"abcd"]),  # called as tokens are
    "it predicted 6 labels, and now text": ([*"abcdef"], None),
    "it predicted 2 labels, and now 3 labels of other names": (["yes", "no"], [*"xyz"]),
}


@pytest.mark.parametrize("told", TASKS)
def test_the_head_of_another_task_begins_afresh(told: str) -> None:
    before, now = TASKS[told]
    old, content = trained(labels=before)
    new, report = begun(content, [*OLD, "f"], labels=now)
    assert not new.head.weight.any()
    assert not new.head.bias.any()
    assert torch.equal(new.embedding.weight[:6], old.embedding.weight)
    assert report == [
        "from   old.ckpt: all weights but the head's; vocabulary 6 -> 7, new: 'f'",
        f"note   the head begins afresh: {told}",
    ]


def test_a_tied_network_may_learn_labels() -> None:
    old, content = trained(**INPUTS["tied"])
    new, report = begun(content, OLD, labels=["x", "y"], tie_head=False)
    assert torch.equal(new.embedding.weight, old.embedding.weight)
    assert not new.head.weight.any()
    assert "all weights but the head's" in report[0]


SIZES = "backbone lstm, backbone_args None, embedding_size 4, hidden_size 6, num_layers 2, tie_head False"
HERE = f"in the new network; both must have {SIZES}"
MISFITS: dict[str, dict[str, Any]] = {
    rf"backbone.layers.0.weight_ih_l0 is \(24, 4\) in it and \(20, 4\) {HERE}": {"hidden_size": 5},
    rf"embedding.weight is \(6, 4\) in it and \(6, 3\) {HERE}": {"embedding_size": 3},
    rf"backbone.layers.1.weight_ih_l0 is \(24, 6\) in it and missing {HERE}": {"num_layers": 1},
    rf"backbone.layers.2.weight_ih_l0 is missing in it and \(24, 6\) {HERE}": {"num_layers": 3},
    rf"backbone.layers.0.weight_ih_l0 is \(24, 4\) in it and \(18, 4\) {HERE}": {"backbone": "gru"},
    "the head in it is not the embedding, so tie_head must be false": {"tie_head": True, "hidden_size": 4},
}


@pytest.mark.parametrize("message", MISFITS)
def test_a_weight_that_fits_nowhere_is_named(message: str) -> None:
    _, content = trained()
    with pytest.raises(UserError, match=rf"^old.ckpt: {message}$"):
        begun(content, OLD, **MISFITS[message])


def test_a_one_hot_network_is_no_embedded_one() -> None:
    _, content = trained()
    with pytest.raises(UserError, match=r"backbone.layers.0.weight_ih_l0 is \(24, 4\) in it and \(24, 6\) in the new"):
        begun(content, OLD, embedding_size=None)


def test_a_checkpoint_whose_weights_are_of_other_tokens() -> None:
    _, content = trained()
    content["hyper_parameters"]["vocabulary"] = [*OLD, "f"]
    with pytest.raises(UserError, match=r"embedding.weight is \(6, 4\) in it and \(7, 4\) in the new network"):
        begun(content, [*OLD, "f"])


TWICE = """
import torch
from lightseq.backbones import Backbone

class Twice(Backbone):
    '''Reads every input twice, and weighs it first.'''

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float, times: int = 2) -> None:
        super().__init__(input_size)
        self.output_size, self.times = hidden_size, times
        self.scale = torch.nn.Parameter(torch.ones(input_size))
        self.inlet = torch.nn.Linear(times * input_size, hidden_size)

    def forward(self, x, state=None):
        state = (torch.zeros(1, len(x), 1),) if state is None else state
        return self.inlet((self.scale * x).repeat(1, 1, self.times)), state
"""


def test_weights_of_a_strangers_backbone_with_a_place_a_token(plugin: Any) -> None:
    """Along whatever dimension; what grows by another number than one a token finds no place."""
    plugin("twice", "lightseq.backbones", {"twice": "twice_plugin:Twice"}, TWICE)
    old, content = trained(backbone="twice", backbone_args={"times": 1}, embedding_size=None)
    new, _ = begun(content, [*OLD, "f"])
    check_kept(old, OLD, new, [*OLD, "f"])
    assert torch.equal(new.backbone.scale[6:], torch.ones(1))
    _, content = trained(backbone="twice", embedding_size=None)
    begun(content, OLD)
    with pytest.raises(UserError, match=r"backbone.inlet.weight is \(6, 12\) in it and \(6, 14\) in the new network"):
        begun(content, [*OLD, "f"])


def ruled(
    said: dict[str, Any], stored: dict[str, Any], places: Sequence[str], labelled: bool = False
) -> tuple[dict[str, Any], list[str]]:
    where = {f"model.{name}": "my.yaml" for name in places}
    return architecture(settings(**said), settings(**stored), labelled, where)


def test_the_architecture_is_the_old_runs_and_the_rest_the_new_ones() -> None:
    stored = {"backbone": "gru", "hidden_size": 7, "dropout": 0.5, "tie_head": True, "backbone_args": {"locked": True}}
    own, notes = ruled({"dropout": 0.1}, stored, [])
    assert own == {name: settings(**stored)[name] for name in ARCHITECTURE}
    assert not {"dropout", "vocabulary", "labels"} & set(own)
    assert notes == []
    assert "tie_head" not in ruled({}, stored, [], labelled=True)[0]


def test_what_was_said_otherwise_is_noted_and_what_is_a_default_is_not() -> None:
    said = {"hidden_size": 9, "num_layers": 2, "embedding_size": 5}
    _, notes = ruled(said, {}, ["hidden_size", "num_layers", "dropout"])
    assert notes == ["my.yaml: model.hidden_size is 6 in the checkpoint, which rules"]
    assert ruled(said, {}, ["backbone_args"])[1] == []


def test_a_backbones_own_arguments() -> None:
    """As the text that a file or a flag is; what is left out while training is for the new run to say."""
    stored = {"backbone_args": {"layer_norm": "true", "weight_drop": "0.2", "locked": True}}
    said = {"layer_norm": True, "residual": "true", "orthogonal": "false", "weight_drop": "0.4"}
    own, notes = ruled({"backbone_args": said}, stored, [f"backbone_args.{name}" for name in said])
    assert own["backbone_args"] == {"layer_norm": "true", "weight_drop": "0.4", "locked": True}
    assert notes == ["my.yaml: model.backbone_args.residual is False in the checkpoint, which rules"]
    assert ruled({"backbone_args": said}, stored, ["backbone_args"])[1] == notes
    other, notes = ruled({"backbone": "mlstm", "backbone_args": {"heads": 2, "locked": True}}, {}, ["backbone"])
    assert other["backbone_args"] is None
    assert notes == ["my.yaml: model.backbone is lstm in the checkpoint, which rules"]


def test_an_argument_that_the_old_runs_backbone_lacks() -> None:
    with pytest.raises(UserError, match="'lstm' has no argument 'heads'"):
        ruled({"backbone_args": {"heads": 2}}, {}, [])

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from lightseq.backbones import Backbone
from lightseq.data import SequenceData
from lightseq.errors import UserError
from lightseq.inspection import Inspection, character_classes, entropy, inspect, shown, soften
from lightseq.loss import cross_entropy
from lightseq.model import SequenceModel, build_model
from lightseq.types import IGNORE_INDEX, State
from lightseq.vocabulary import Vocabulary

TOKENS = Vocabulary(["", *"abcdef"])
STREAM = Vocabulary(list("abcdef"))
BACKBONES = {
    "rnn": {"hidden": 8},
    "gru": {"reset": 8, "update": 8, "candidate": 8, "hidden": 8},
    "lstm": {"input": 8, "forget": 8, "candidate": 8, "output": 8, "cell": 8, "hidden": 8},
    "mingru": {"update": 8, "candidate": 8, "hidden": 8},
    "minlstm": {"input": 8, "forget": 8, "candidate": 8, "hidden": 8},
    "rglru": {"recurrence": 8, "input": 8, "decay": 8, "hidden": 8},
    "mlstm": {"input": 1, "forget": 1, "output": 8, "hidden": 8},
}


def model_of(vocabulary: list[str], labels: list[str] | None = None, backbone: str = "gru") -> SequenceModel:
    """A model that is sure of itself, in training mode with dropout."""
    torch.manual_seed(0)
    model = build_model(
        vocabulary=vocabulary,
        labels=labels,
        backbone=backbone,
        backbone_args=None,
        embedding_size=4,
        hidden_size=8,
        num_layers=2,
        dropout=0.5,
        tie_head=False,
    )
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)
    return model


class Plain(Backbone):
    """A running sum that names nothing, or what it is told to."""

    output_size = 4

    def __init__(self, named: Callable[[Tensor], dict[str, Tensor]]) -> None:
        super().__init__(4)
        self.named, self.weight = named, torch.nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        y = (x * self.weight).cumsum(1) + (0 if state is None else state[0].movedim(0, 1))
        return y, (y[:, -1:].movedim(1, 0),)

    def trace(self, x: Tensor, state: State | None = None) -> dict[str, Tensor]:
        return self.named(x)


def read(vocabulary: Vocabulary, text: str, **own: object) -> Inspection:
    return inspect(model_of(vocabulary.tokens), vocabulary, vocabulary.encode(text), **own)  # type: ignore[arg-type]


@pytest.mark.parametrize(("dataset", "arguments"), [("dinos", {}), ("vowels", {}), ("vowels", {"tagged": False})])
def test_the_losses_of_all_documents_are_those_of_an_evaluation(
    vowels: str, dataset: str, arguments: dict[str, bool]
) -> None:
    data = SequenceData(dataset, arguments, batch_size=7, window=5, test_fraction=0.0)
    store, vocabulary = data.store, Vocabulary(data.vocabulary)
    model = model_of(vocabulary.tokens, data.labels).eval()
    nats, count, state = 0.0, 0, None
    for batch in data.val_dataloader()[0]:
        if batch.reset.all():
            state = model.initial_state(len(batch.tokens))
        elif state is not None:
            initial = model.initial_state(len(batch.tokens))
            state = tuple(
                torch.where(batch.reset.view(1, -1, 1), new, old) for new, old in zip(initial, state, strict=True)
            )
        with torch.no_grad():
            logits, state = model(batch.tokens, state)
            more, scored = cross_entropy(logits.double(), batch.targets)
        nats, count = nats + float(more), count + int(scored)
    seen = []
    for document in data.parts["val"]:
        begin, end = store.offsets[document : document + 2].tolist()
        truth = None
        if store.label_ids is not None:
            truth = store.label_ids[begin:end].tolist() if store.tagged else [int(store.label_ids[document])]
        seen.append(inspect(model, vocabulary, store.tokens[begin:end].tolist(), data.labels, truth))
    assert sum(one.total for one in seen) == pytest.approx(nats, abs=1e-4, rel=1e-7)
    assert sum(int(one.scored.sum()) for one in seen) == count
    assert {one.task for one in seen} <= {"documents", "tagging", "classification"}


def test_a_document_is_read_from_boundary_to_boundary() -> None:
    seen = read(TOKENS, "cab")
    assert seen.task == "documents"
    assert seen.tokens == ["", "c", "a", "b"]
    assert [seen.outputs[target] for target in seen.targets] == ["c", "a", "b", ""]
    logits = model_of(TOKENS.tokens).eval()(torch.tensor([[0, 3, 1, 2]]))[0].detach()
    assert_close(seen.logits.float(), logits[0])
    nats, count = cross_entropy(logits, torch.tensor([[3, 1, 2, 0]]))
    assert seen.total == pytest.approx(float(nats), abs=1e-6)
    assert seen.mean == pytest.approx(float(nats / count), abs=1e-6)
    assert_close(seen.nats.float(), -logits[0].log_softmax(1)[range(4), [3, 1, 2, 0]])


def test_of_a_stream_the_first_token_is_not_scored_and_nothing_follows_the_last() -> None:
    seen = read(STREAM, "cabba")
    assert (seen.task, seen.tokens) == ("stream", list("cabba"))
    assert seen.targets.tolist() == [0, 1, 1, 0, IGNORE_INDEX]
    assert seen.scored.tolist() == [True] * 4 + [False]
    assert float(seen.nats[-1]) == 0
    logits = model_of(STREAM.tokens).eval()(torch.tensor([[2, 0, 1, 1]]))[0].detach()
    nats, _ = cross_entropy(logits, torch.tensor([[0, 1, 1, 0]]))
    assert seen.total == pytest.approx(float(nats), abs=1e-6)
    alone = read(STREAM, "c")
    assert (alone.total, alone.mean) == (0, 0)


@pytest.mark.parametrize(
    ("truth", "task", "targets"),
    [
        (None, "unlabelled", [IGNORE_INDEX] * 4),
        ([1], "classification", [IGNORE_INDEX] * 3 + [1]),
        ([0, 2, 1], "tagging", [IGNORE_INDEX, 0, 2, 1]),
    ],
)
def test_what_is_scored_of_labels(truth: list[int] | None, task: str, targets: list[int]) -> None:
    labels = ["x", "y", "z"]
    seen = inspect(model_of(TOKENS.tokens, labels), TOKENS, TOKENS.encode("cab"), labels, truth)
    assert (seen.task, seen.outputs, seen.targets.tolist()) == (task, labels, targets)
    assert seen.logits.shape == (4, 3)
    chosen = [-float(seen.logits[t].log_softmax(0)[i]) for t, i in enumerate(targets) if i >= 0]
    assert seen.total == pytest.approx(sum(chosen))
    assert seen.mean == pytest.approx(sum(chosen) / max(1, len(chosen)))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_trace_has_a_layer_and_a_unit_for_each_value(backbone: str) -> None:
    model = model_of(TOKENS.tokens, backbone=backbone)
    seen = inspect(model, TOKENS, TOKENS.encode("cab"))
    assert {name: tuple(values.shape) for name, values in seen.trace.items()} == {
        name: (4, 2, units) for name, units in BACKBONES[backbone].items()
    }
    if backbone in ("rnn", "gru", "lstm"):  # what the last layer shows is what the head reads
        assert_close(model.head(seen.trace["hidden"][:, -1]).double(), seen.logits, rtol=0, atol=1e-5)


def test_a_plugin_may_name_nothing_or_know_no_layers() -> None:
    def traced(named: Callable[[Tensor], dict[str, Tensor]]) -> dict[str, tuple[int, ...]]:
        model = SequenceModel(Plain(named), len(TOKENS), 4, len(TOKENS))
        return {name: tuple(v.shape) for name, v in inspect(model, TOKENS, [1, 2]).trace.items()}

    assert traced(lambda x: {}) == {}
    assert traced(lambda x: {"sum": x, "one": x[..., 0], "many": x[:, :, None, :, None].expand(-1, -1, 2, -1, 3)}) == {
        "sum": (3, 1, 4),
        "one": (3, 1, 1),
        "many": (3, 2, 12),
    }


def test_observing_changes_nothing() -> None:
    model = model_of(TOKENS.tokens)
    before, state = torch.get_rng_state(), {name: value.clone() for name, value in model.state_dict().items()}
    first = inspect(model, TOKENS, [1, 2, 3])
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert not first.logits.requires_grad
    assert not any(values.requires_grad for values in first.trace.values())
    assert torch.equal(inspect(model, TOKENS, [1, 2, 3]).logits, first.logits)  # no dropout, no state left over
    inspect(model.eval(), TOKENS, [1, 2, 3])
    assert not model.training


def test_the_mode_is_put_back_after_a_failure() -> None:
    def fail(x: Tensor) -> dict[str, Tensor]:
        raise ZeroDivisionError

    model = SequenceModel(Plain(fail), len(TOKENS), 4, len(TOKENS))
    with pytest.raises(ZeroDivisionError):
        inspect(model, TOKENS, [1])
    assert model.training


def test_mistakes() -> None:
    with pytest.raises(UserError, match="nothing to read in an empty text"):
        read(TOKENS, "")
    with pytest.raises(UserError, match="2 labels for a text of 3 tokens: one a token, or one for the text"):
        inspect(model_of(TOKENS.tokens, ["x", "y"]), TOKENS, [1, 2, 3], ["x", "y"], [0, 1])
    model = model_of(TOKENS.tokens)
    with torch.no_grad():
        model.head.bias[3] = math.nan
    with pytest.raises(UserError, match="logits are no numbers"):
        inspect(model, TOKENS, [1, 2, 3])


@pytest.mark.parametrize(
    ("temperature", "chances"),
    [
        (1.0, [0.5, 0.3, 0.2]),
        (0.5, [0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38]),
        (0.0, [1.0, 0.0, 0.0]),
        (1e-300, [1.0, 0.0, 0.0]),
        (1e300, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_a_temperature_divides_the_logits(temperature: float, chances: list[float]) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], dtype=torch.float64).log() + 7
    expected = torch.tensor([chances, chances[::-1]], dtype=torch.float64)
    assert_close(soften(logits, temperature), expected)


def test_a_temperature_of_almost_nothing_is_greedy() -> None:
    logits = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)
    assert_close(soften(logits, 1e-320), soften(logits, 0.0))


def test_entropy_is_in_bits() -> None:
    chances = torch.tensor([[0.25] * 4, [0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    assert_close(entropy(chances), torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64))


@pytest.mark.parametrize(
    ("token", "sign"),
    [
        ("", "■"),
        ("a", "a"),
        ("\n", "⏎"),
        (" ", "␣"),
        (" the", "␣the"),
        ("\t", "⇥"),
        ("\x1b", "␛"),
        ("\x7f", "U+007F"),
        ("\u202e", "U+202E"),
        ("\u0301", "U+0301"),
        ("\udce9", "0xE9"),
        ("\ud800", "U+D800"),
        ("<b>", "<b>"),
        ("日", "日"),
    ],
)
def test_every_token_can_be_seen(token: str, sign: str) -> None:
    assert shown(token) == sign
    shown(token).encode()


def test_classes_of_characters() -> None:
    classes = character_classes(["", *'A "hi" 7|\nb'])
    assert classes == {
        #                       A   "  h  i  "     7  |  \n b
        "line break": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        "space": [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        "boundary": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "capital": [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "digit": [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        "vowel": [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        "punctuation": [0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0],
        "bar line": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        "inside quotes": [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
        "position in the word": [0, 1, 0, 0, 1, 2, 0, 0, 1, 0, 0, 1],
        "position in the line": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1],
        "position in the text": list(range(12)),
    }
    assert list(character_classes(["b", "b"])) == [
        "position in the word",
        "position in the line",
        "position in the text",
    ]
    assert character_classes(["“", "a", "”", "b"])["inside quotes"] == [0, 1, 0, 0]
    assert character_classes(['"', "a", "", "b"])["inside quotes"] == [0, 1, 0, 0]  # a document that never closes them

"""What the history is worth, against a loop that does it one token at a time."""

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lightseq import memory
from lightseq.memory import measure
from lightseq.model import SequenceModel, build_model

VOCABULARY = ["", *"abcdef"]


def network(backbone: str, **own: object) -> SequenceModel:
    torch.manual_seed(3)
    model = build_model(
        vocabulary=VOCABULARY,
        labels=None,
        backbone=backbone,
        backbone_args=own,
        embedding_size=3,
        hidden_size=8,
        num_layers=2,
        dropout=0.0,
        tie_head=False,
    )
    for parameter in model.parameters():  # a head of zeros would not tell a history from another
        torch.nn.init.normal_(parameter, std=0.7)
    return model.eval()


def documents(count: int, longest: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = [*torch.randint(2, longest + 2, (count - 1,), generator=generator).tolist(), longest + 1]
    return [torch.randint(len(VOCABULARY), (length,), generator=generator) for length in lengths]


@torch.no_grad()
def one_by_one(model: SequenceModel, texts: Sequence[Tensor], skip: int, history: int) -> float:
    nats = []
    for text in texts:
        for position in range(skip, len(text) - 1):
            seen = text[max(0, position + 1 - history) : position + 1]
            logits, _ = model(seen[None], None)
            nats.append(-float(logits[0, -1].double().log_softmax(-1)[text[position + 1]]))
    return sum(nats) / len(nats)


@pytest.mark.parametrize(
    ("backbone", "own"),
    [("lstm", {"initial_state": "learned"}), ("rnn", {}), ("gru", {"layer_norm": True}), ("mingru", {})],
)
def test_each_history_is_that_of_a_naive_loop(backbone: str, own: dict[str, object]) -> None:
    model, texts = network(backbone, **own), documents(9, 11)
    found = measure(model, texts, histories=(1, 2, 3, 8, 16, 32))
    assert list(found.by_history) == [1, 2, 3, 8, 16]  # no text is longer than 16
    for history, loss in found.by_history.items():
        assert loss == pytest.approx(one_by_one(model, texts, 0, history), rel=1e-5)
    assert found.loss == found.by_history[16] == pytest.approx(one_by_one(model, texts, 0, 99), rel=1e-5)
    assert found.tokens == sum(len(text) - 1 for text in texts)
    assert set(found.errors.values()) == {0.0}


def test_what_only_warms_up_is_not_scored() -> None:
    """Windows and batches end in the middle of it."""
    model = network("gru")
    texts = [torch.arange(100) * step % len(VOCABULARY) for step in (1, 2, 3)]
    found = measure(model, texts, skip=70, histories=(1, 5, 64))
    assert found.tokens == 3 * (99 - 70)
    assert found.by_position == {}
    assert found.loss == pytest.approx(one_by_one(model, texts, 70, 999), rel=1e-5)
    for history, loss in found.by_history.items():
        assert loss == pytest.approx(one_by_one(model, texts, 70, history), rel=1e-5)


def test_a_sample_is_near_and_says_how_near(monkeypatch: pytest.MonkeyPatch) -> None:
    model, texts = network("lstm"), documents(60, 40)
    exact = measure(model, texts, histories=(2, 4, 8))
    monkeypatch.setattr(memory, "STEPS", 800)
    sampled = measure(model, texts, histories=(2, 4, 8))
    assert sampled.loss == exact.loss
    for history, error in sampled.errors.items():
        assert exact.errors[history] == 0 < error
        assert 0 < abs(sampled.by_history[history] - exact.by_history[history]) < 3 * error
    short = [torch.tensor([0, 1])] * sampled.tokens  # nothing can be cut of them: they halve what the others are worth
    halved = measure(model, [*texts, *short], histories=(2, 4, 8))
    monkeypatch.setattr(memory, "STEPS", 200)
    fewer = measure(model, texts, histories=(2, 4, 8))
    for history, error in sampled.errors.items():
        assert halved.errors[history] == pytest.approx(error / 2, rel=1e-3)
    assert sum(fewer.errors.values()) > 1.3 * sum(sampled.errors.values())


def test_positions_count_from_the_beginning_of_each_text() -> None:
    model, texts = network("rnn"), documents(40, 12)
    found = measure(model, texts)
    assert list(found.by_position) == [1, 2, 3, 4, 6, 8, 11, 12]
    ends = [0, *found.by_position]
    for before, end in itertools.pairwise(ends):
        nats = []
        for text in texts:
            logits, _ = model(text[None, :-1], None)
            own = torch.nn.functional.cross_entropy(logits[0], text[1:], reduction="none")
            nats += own[before:end].tolist()
        assert found.by_position[end] == pytest.approx(sum(nats) / len(nats), rel=1e-5)


def test_texts_of_many_batches_are_put_together() -> None:
    model = network("rnn")
    texts = documents(2 * memory.ROWS + 5, 9)
    found = measure(model, texts, histories=(2,))
    assert found.loss == pytest.approx(one_by_one(model, texts, 0, 99), rel=1e-5)
    assert found.by_history[2] == pytest.approx(one_by_one(model, texts, 0, 2), rel=1e-5)

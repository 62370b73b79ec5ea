"""What is reported, against torchmetrics' own and against a plain count."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.testing import assert_close
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassF1Score

from lightseq.data import SequenceData
from lightseq.loss import cross_entropy
from lightseq.metrics import MOST_LABELS, TokenMetrics, macro_f1
from lightseq.system import SequenceSystem
from lightseq.types import IGNORE_INDEX, Batch

ROWS, STEPS, LABELS = 12, 5, 7


def random_steps(least: int = 0) -> tuple[Tensor, Tensor]:
    """Logits and targets, some of them not scored; labels below ``least`` occur nowhere."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, STEPS, LABELS, generator=generator)
    logits[..., :least] = -math.inf
    targets = torch.randint(least, LABELS, (ROWS, STEPS), generator=generator)
    return logits, targets.where(torch.rand(ROWS, STEPS, generator=generator) > 0.3, IGNORE_INDEX)


def measured(logits: Tensor, targets: Tensor, rows: int, labels: int = LABELS) -> TokenMetrics:
    metric = TokenMetrics(None, documents=False, labels=labels)
    for some_logits, some_targets in zip(logits.split(rows), targets.split(rows), strict=True):
        nats, _ = cross_entropy(some_logits, some_targets)
        batch = Batch(torch.zeros_like(some_targets), some_targets, torch.ones(len(some_targets), dtype=torch.bool))
        metric.update(nats, some_logits, batch)
    return metric


@pytest.mark.parametrize("rows", [1, 5, 12])
@pytest.mark.parametrize("least", [0, 3])
def test_confusion_and_f1_are_those_of_torchmetrics(rows: int, least: int) -> None:
    logits, targets = random_steps(least)
    metric = measured(logits, targets, rows)
    values = metric.compute()
    predicted = logits.argmax(-1)
    theirs = MulticlassConfusionMatrix(LABELS, ignore_index=IGNORE_INDEX)(predicted, targets)
    assert metric.matrix is not None
    assert torch.equal(metric.matrix, theirs)
    assert metric.matrix.sum() == (targets != IGNORE_INDEX).sum()
    f1 = MulticlassF1Score(LABELS, average="macro", ignore_index=IGNORE_INDEX)(predicted, targets)
    assert_close(values["macro_f1"].float(), f1)
    assert_close(values["accuracy"], metric.matrix.diagonal().sum().double() / metric.matrix.sum())


def test_the_matrix_outlives_a_reset_and_is_that_of_the_last_pass() -> None:
    logits, targets = random_steps()
    metric = measured(logits, targets, 4)
    metric.compute()
    metric.reset()
    assert metric.matrix is not None
    assert metric.matrix.sum() == (targets != IGNORE_INDEX).sum()
    assert metric.confusion.sum() == 0


def test_macro_f1_by_hand() -> None:
    """Label 0: tp 3, fp 1, fn 2; label 1: tp 4, fp 2, fn 1; label 2 occurs nowhere."""
    confusion = torch.tensor([[3, 2, 0], [1, 4, 0], [0, 0, 0]])
    assert_close(macro_f1(confusion).item(), (6 / 9 + 8 / 11) / 2)
    assert math.isnan(macro_f1(torch.zeros(3, 3, dtype=torch.int64)))


def test_one_label() -> None:
    targets = torch.zeros(3, 4, dtype=torch.int64)
    metric = measured(torch.zeros(3, 4, 1), targets, 2, labels=1)
    assert metric.compute()["macro_f1"] == 1
    assert metric.matrix is not None
    assert metric.matrix.tolist() == [[12]]


@pytest.mark.parametrize("labels", [0, MOST_LABELS + 1])
def test_no_matrix_of_a_language_model_nor_of_very_many_labels(labels: int) -> None:
    logits, targets = random_steps()
    metric = measured(logits, targets, 4, labels=labels)
    assert set(metric.compute()) == {"loss", "perplexity", "accuracy"}
    assert metric.matrix is None
    assert all(state.ndim == 0 for state in metric.metric_state.values())


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("settings", [{"batch_size": 5}, {"batch_size": 64}, {"batch_size": 7, "window": 2}])
def test_an_evaluation_counts_every_document_once(vowels: str, tagged: bool, settings: dict[str, int]) -> None:
    """Whatever the batch and the window; against a pass over one document at a time."""
    data = SequenceData(vowels, {"tagged": tagged}, **settings)
    system = SequenceSystem(data.vocabulary, data.labels, embedding_size=5, hidden_size=8)
    torch.nn.init.normal_(system.model.head.weight)  # at zero every guess would be the first label
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    (values,) = trainer.test(system, data, verbose=False)
    expected = torch.zeros(2, 2, dtype=torch.int64)
    store = data.store
    assert store.label_ids is not None
    for document in data.parts["test"]:
        begin, end = store.offsets[document], store.offsets[document + 1]
        with torch.no_grad():
            logits, _ = system.eval()(torch.tensor([[0, *store.tokens[begin:end].tolist()]]))
        labels = store.label_ids[begin:end].tolist() if tagged else [int(store.label_ids[document])]
        for label, guess in zip(labels, logits[0].argmax(-1)[-len(labels) :].tolist(), strict=True):
            expected[label, guess] += 1
    matrix = system.evaluation.metrics[0].matrix
    assert torch.equal(matrix, expected)
    assert_close(values["test/macro_f1"], macro_f1(expected).item(), rtol=1e-6, atol=0)

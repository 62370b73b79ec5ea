import math

import torch
from torch.testing import assert_close

from lightseq.loss import cross_entropy
from lightseq.metrics import TokenMetrics
from lightseq.types import IGNORE_INDEX, Batch


def test_the_sum_over_scored_steps_and_their_number() -> None:
    logits = torch.randn(3, 4, 5, dtype=torch.float64)
    targets = torch.randint(5, (3, 4))
    targets[0, 2:] = targets[2, 0] = IGNORE_INDEX
    nats, count = cross_entropy(logits, targets)
    by_hand = 0.0
    for b in range(3):
        for t in range(4):
            if targets[b, t] != IGNORE_INDEX:
                by_hand -= math.log(logits[b, t].exp()[targets[b, t]] / logits[b, t].exp().sum())
    assert_close(nats.item(), by_hand)
    assert count == 9


def test_uniform_logits_cost_ln_v() -> None:
    nats, count = cross_entropy(torch.zeros(3, 4, 27), torch.randint(27, (3, 4)))
    assert_close(nats / count, torch.tensor(math.log(27)))


def test_nothing_scored_costs_nothing() -> None:
    nats, count = cross_entropy(torch.randn(2, 3, 5), torch.full((2, 3), IGNORE_INDEX))
    assert nats == count == 0


def test_half_precision_is_summed_in_single() -> None:
    logits, targets = torch.randn(64, 100, 27), torch.randint(27, (64, 100))
    nats, _ = cross_entropy(logits.bfloat16(), targets)
    assert nats.dtype == torch.float32
    assert_close(nats, cross_entropy(logits.bfloat16().float(), targets)[0])


def test_metrics_are_sums_divided_once() -> None:
    metrics = TokenMetrics(lengths=[1, 1, 3], documents=True)
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25])).expand(2, 3, 3)
    x = IGNORE_INDEX
    first = Batch(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[0, 2, x], [1, 0, 0]]), torch.tensor([True] * 2))
    second = Batch(
        torch.zeros(2, 3, dtype=torch.int64), torch.tensor([[0, x, x], [x, x, x]]), torch.tensor([False] * 2)
    )
    for batch in (first, second):
        metrics.update(cross_entropy(logits, batch.targets)[0], logits, batch)
    nats = 4 * math.log(2) + 2 * math.log(4)
    values = {name: value.item() for name, value in metrics.compute().items()}
    expected = {
        "loss": nats / 6,
        "perplexity": math.exp(nats / 6),
        "accuracy": 4 / 6,
        "bpc": nats / math.log(2) / 8,  # one token stands for three characters
        "nats_per_document": nats / 2,
    }
    assert_close(values, expected, rtol=1e-6, atol=0)


def test_metrics_of_labels_have_no_characters() -> None:
    metrics = TokenMetrics(lengths=None, documents=False)
    batch = Batch(torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[0, 1]]), torch.tensor([True]))
    metrics.update(torch.tensor(2.0), torch.zeros(1, 2, 3), batch)
    assert set(metrics.compute()) == {"loss", "perplexity", "accuracy"}


def test_smoothing_spreads_a_share_of_the_target_over_all() -> None:
    logits, targets = torch.randn(3, 4, 5, dtype=torch.float64), torch.randint(5, (3, 4))
    targets[1, 2] = IGNORE_INDEX
    wanted = torch.full((3, 4, 5), 0.2 / 5, dtype=torch.float64)
    wanted.scatter_add_(2, targets.clamp(min=0)[..., None], torch.full((3, 4, 1), 0.8, dtype=torch.float64))
    every = -(wanted * logits.log_softmax(-1)).sum(-1)
    nats, count = cross_entropy(logits, targets, 0.2)
    assert count == 11
    assert_close(nats, every[targets != IGNORE_INDEX].sum())

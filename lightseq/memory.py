"""How much of what stands before a token a model uses: its loss with the history cut short."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .model import SequenceModel

HISTORIES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Time steps that a token is predicted from."""

STEPS = 8_192
"""Time steps that are computed for each history."""

ROWS, WINDOW = 32, 64
"""Texts that are read side by side, and time steps at once."""


class Memory(NamedTuple):
    """Nats per token."""

    loss: float
    """With all that stands before each token in its text."""
    tokens: int
    """How many were scored."""
    by_history: dict[int, float]
    """By k: each token predicted from the last k alone. The largest k is one that leaves every history whole, or the
    last of ``HISTORIES``."""
    errors: dict[int, float]
    """By the same k the standard error of it, for not all tokens having been predicted again; 0 where all were."""
    by_position: dict[int, float]
    """By the last time step of a stretch of them, counted from 1 at the beginning of a text. Where a beginning is not
    scored there is none: a cold start p time steps ago is a history of p."""


class _Scores(NamedTuple):
    """Of N tokens, the scored ones."""

    row: Tensor
    """(N,) The text."""
    position: Tensor
    """(N,) The time step, from 0: so many tokens and one more stand before it."""
    nats: Tensor
    """(N,) float64."""


@torch.no_grad()
def measure(
    model: SequenceModel, texts: Sequence[Tensor], skip: int = 0, histories: Sequence[int] = HISTORIES
) -> Memory:
    """Score texts with their history whole, and with no more than the last k tokens of it.

    A token is predicted from the last k by a run over these alone, from the initial state. That takes k time steps a
    token, so ``STEPS`` are enough for ``STEPS`` / k of them, spread evenly: what the cut costs these, on the average,
    is added to the loss of all, since what a large k costs varies little. A token with no more than k before it loses
    nothing, and is not computed again.

    Args:
        model: A language model in eval mode.
        texts: (n + 1,) ids each, n time steps from the initial state.
        skip: Time steps at a text's beginning that are not scored.
        histories: The k, growing.
    """
    device = model.head.weight.device
    padded = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True).to(device)
    lengths = torch.tensor([len(text) - 1 for text in texts], device=device)
    scores = _score(model, padded, lengths, skip)
    loss = float(scores.nats.mean())
    by_history, errors = dict[int, float](), dict[int, float]()
    for history in histories:
        by_history[history], errors[history] = loss, 0.0
        longer = (scores.position >= history).nonzero().squeeze(1)
        if not len(longer):
            break
        count, share = min(len(longer), max(2, STEPS // history)), len(longer) / len(scores.nats)
        chosen = _Scores(*(part[longer[torch.arange(count, device=device) * len(longer) // count]] for part in scores))
        costs = _cut(model, padded, chosen, history) - chosen.nats
        by_history[history] += float(costs.mean()) * share
        if count < len(longer):
            errors[history] = float(costs.std()) * share / count**0.5
    return Memory(loss, len(scores.nats), by_history, errors, {} if skip else _by_position(scores))


def _score(model: SequenceModel, padded: Tensor, lengths: Tensor, skip: int) -> _Scores:
    """All texts with their history whole, the longest first, so that those beside each other end at about the same."""
    parts = []
    for rows in torch.split(lengths.argsort(descending=True, stable=True), ROWS):
        state = model.initial_state(len(rows))
        for begin in range(0, int(lengths[rows].max()), WINDOW):
            window = padded[rows, begin : begin + WINDOW + 1]
            logits, state = model(window[:, :-1], state)
            position = torch.arange(begin, begin + logits.shape[1], device=padded.device)
            scored = (position >= skip) & (position < lengths[rows, None])
            nats = functional.cross_entropy(logits[scored].float(), window[:, 1:][scored], reduction="none")
            parts.append(
                _Scores(rows[:, None].expand_as(scored)[scored], position.expand_as(scored)[scored], nats.double())
            )
    return _Scores(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _cut(model: SequenceModel, padded: Tensor, chosen: _Scores, history: int) -> Tensor:
    """(N,) The nats of tokens, each predicted from the last ``history`` alone."""
    nats = []
    for tokens in torch.split(torch.arange(len(chosen.row), device=padded.device), max(1, ROWS * WINDOW // history)):
        row, position = chosen.row[tokens], chosen.position[tokens]
        last = position[:, None] - torch.arange(history - 1, -1, -1, device=padded.device)
        y, _ = model.backbone(model.embed(padded[row[:, None], last]), model.initial_state(len(row)))
        logits = model.head(y[:, -1])  # of a large vocabulary all time steps' would fill the memory
        nats.append(functional.cross_entropy(logits.float(), padded[row, position + 1], reduction="none").double())
    return torch.cat(nats)


def _by_position(scores: _Scores) -> dict[int, float]:
    """Means over stretches that grow by half an octave."""
    longest = int(scores.position.max()) + 1
    ends = sorted({round(2 ** (half / 2)) for half in range(2 * longest.bit_length() + 1)})
    stretch = torch.bucketize(scores.position.cpu() + 1, torch.tensor(ends))
    counts = stretch.bincount(minlength=len(ends)).tolist()
    nats = stretch.bincount(scores.nats.cpu(), minlength=len(ends)).tolist()  # on a GPU this is no exact sum
    return {min(end, longest): nats[i] / counts[i] for i, end in enumerate(ends) if counts[i]}

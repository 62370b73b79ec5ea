"""Text from a model: every prompt at every temperature in one batch, one time step at a time."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .constraint import Constraint
from .errors import UserError
from .model import SequenceModel
from .types import Grammar
from .vocabulary import Vocabulary

LOOK_EVERY, LOOK_EVERY_ON_CPU = 32, 8
"""Time steps between two looks at which rows have ended, and whether to go on: a look waits for the device."""


class Sample(NamedTuple):
    """One generated text."""

    prompt: str
    temperature: float
    number: int
    """Counts the samples of one prompt and temperature."""
    text: str
    """The prompt and what followed; boundaries are silent."""
    ended: bool
    """Whether the model ended it, rather than the length, or an end put to the drawing."""
    forgone: float = 0.0
    """Nats that a grammar cost: the sum over its draws of -ln of what the model, at temperature 1, gave to the tokens
    that were allowed."""


@torch.no_grad()
def generate(
    model: SequenceModel,
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    temperatures: Sequence[float],
    *,
    n: int = 1,
    length: int = 256,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    token_counts: Sequence[int] | None = None,
    grammar: Grammar | None = None,
    until: Callable[[], bool] | None = None,
) -> list[Sample]:
    """Continue each prompt ``n`` times at each temperature.

    The random numbers come from a generator of its own, so that training goes on as if nobody had looked; the same
    call draws the same numbers whatever the model, so that differences come from the model. A boundary ends a row.
    An empty prompt starts at the boundary; where the vocabulary has none, from a token drawn by ``token_counts``.

    Args:
        model: A language model. Put back into the mode it came in.
        vocabulary: Its tokens.
        prompts: Texts to continue.
        temperatures: Divide the logits; 0 is greedy.
        n: Samples of each prompt and temperature.
        length: Tokens drawn at the most.
        top_k: Draw among the k likeliest tokens only.
        top_p: Draw among the fewest tokens whose probabilities reach p only (Holtzman et al. 2020).
        seed: Of the random numbers.
        token_counts: (V,) How often each token stands in the training text; None is evenly.
        grammar: What a text may be: what it does not allow is not drawn, and each text ends within ``length``.
        until: Asked every few time steps whether to end the drawing; each text then has what it has.

    Returns:
        Prompt by prompt, within it temperature by temperature, within it ``n`` samples.

    Raises:
        UserError: A prompt with a token the model does not know, a number out of its range, or no text that the
            grammar allows.
    """
    _check(temperatures, n, length, top_k, top_p)
    if not 0 <= seed < 1 << 63:
        raise UserError(f"a seed is between 0 and 2**63 - 1, not {seed}")
    rows = list(itertools.product(prompts, temperatures, range(n)))
    device = model.head.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    heat = torch.tensor([row[1] for row in rows], device=device).unsqueeze(1)
    heat = heat.clamp(max=torch.finfo(heat.dtype).max)  # -inf over an infinite one is no number, and would be drawn
    fed = _start(vocabulary, [row[0] for row in rows], token_counts, generator, device)
    constraint = None if grammar is None else Constraint(grammar, vocabulary, fed, length, device)
    was_training = model.training
    model.eval()
    try:
        drawn = _loop(model, fed, heat, vocabulary.boundary, length, top_k, top_p, generator, constraint, until)
    finally:
        model.train(was_training)
    forgone = [0.0] * len(rows) if constraint is None else constraint.forgone.tolist()
    return [_sample(vocabulary, *each) for each in zip(rows, drawn, forgone, strict=True)]


def draw(logits: Tensor, heat: Tensor, top_k: int | None, top_p: float | None, generator: torch.Generator) -> Tensor:
    """One token a row, (B, V) -> (B,), by the Gumbel-max trick: argmax(logits / T + noise) is a draw from softmax.

    Args:
        logits: (B, V).
        heat: (B, 1) temperatures; 0 takes the likeliest token.
        top_k: As ``generate``.
        top_p: As ``generate``.
        generator: On the logits' device.
    """
    noise = -torch.empty_like(logits).exponential_(generator=generator).log()
    cold = heat == 0
    scaled = logits / heat.masked_fill(cold, 1.0)
    if top_k is not None and top_k < logits.shape[1]:
        least = scaled.topk(top_k, dim=1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    if top_p is not None:
        ordered, places = scaled.sort(dim=1, descending=True)
        before = ordered.softmax(1).cumsum(1).roll(1, 1)
        before[:, 0] = 0.0  # the likeliest token always stays
        scaled = scaled.scatter(1, places, ordered.masked_fill(before >= top_p, -torch.inf))
    return (scaled + noise.masked_fill(cold, 0.0)).argmax(1)


def _check(temperatures: Sequence[float], n: int, length: int, top_k: int | None, top_p: float | None) -> None:
    for temperature in temperatures:
        if not 0 <= temperature < float("inf"):
            raise UserError(f"a temperature is 0 (greedy) or more, not {temperature:g}")
    for name, value in (("n", n), ("length", length), ("top_k", top_k)):
        if value is not None and value < 1:
            raise UserError(f"{name} is at least 1, not {value}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"top_p is above 0 and at most 1, not {top_p:g}")


def _start(
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    token_counts: Sequence[int] | None,
    generator: torch.Generator,
    device: torch.device,
) -> list[list[int]]:
    """What each row is fed before it draws: the boundary and the prompt, at least one token."""
    encoded = [vocabulary.encode(prompt) for prompt in prompts]
    if vocabulary.boundary is not None:
        return [[vocabulary.boundary, *ids] for ids in encoded]
    weights = torch.ones(len(vocabulary)) if token_counts is None else torch.tensor(token_counts, dtype=torch.float)
    first = torch.multinomial(weights.to(device), len(prompts), replacement=True, generator=generator).tolist()
    return [ids or [token] for ids, token in zip(encoded, first, strict=True)]


def _loop(
    model: SequenceModel,
    fed: list[list[int]],
    heat: Tensor,
    stop: int | None,
    length: int,
    top_k: int | None,
    top_p: float | None,
    generator: torch.Generator,
    constraint: Constraint | None,
    until: Callable[[], bool] | None,
) -> list[list[int]]:
    """Every row's own tokens followed by what it drew, a row that has ended repeating the stop token."""
    device = heat.device
    lengths = torch.tensor([len(ids) for ids in fed], device=device)
    longest = int(lengths.max())
    prompt = torch.tensor([ids + [0] * (longest - len(ids)) for ids in fed], device=device)
    step, state = model.stepper(), model.initial_state(len(fed))
    ids, ended = prompt[:, 0], torch.zeros(len(fed), dtype=torch.bool, device=device)
    logits = torch.empty(0)
    columns, going = [ids], torch.arange(len(fed), device=device)
    every = LOOK_EVERY_ON_CPU if device.type == "cpu" else LOOK_EVERY
    for t in range(1, longest + length):
        fresh, state = step(ids[going], state)
        logits = fresh if len(going) == len(fed) else logits.index_copy(0, going, fresh)
        allowed = logits if constraint is None else constraint.limit(logits, t)
        ids = draw(allowed, heat, top_k, top_p, generator)  # for all rows: what one draws is not another's to say
        if stop is not None:
            ids = ids.masked_fill(ended, stop)
        if t < longest:
            ids = torch.where(t < lengths, prompt[:, t], ids)
        if constraint is not None:
            constraint.follow(ids, t)
        columns.append(ids)
        if stop is not None:
            ended |= (ids == stop) & (t >= lengths)
        if t % every:
            continue
        if stop is not None:
            left = (~ended[going]).nonzero().squeeze(1)
            if not len(left):
                break
            if 2 * len(left) <= len(going):  # the network runs on for those alone
                going, state = going[left], tuple(part[:, left] for part in state)
        if until is not None and until():
            break
    drawn = torch.stack(columns, 1).tolist()
    return [[*own, *row[len(own) : len(own) + length]] for row, own in zip(drawn, fed, strict=True)]


def _sample(vocabulary: Vocabulary, row: tuple[str, float, int], ids: list[int], forgone: float) -> Sample:
    """Cut at the first stop token after the one that starts the document."""
    stop = vocabulary.boundary
    end = ids.index(stop, 1) if stop is not None and stop in ids[1:] else None
    return Sample(*row, text=vocabulary.decode(ids[:end]), ended=end is not None, forgone=forgone)

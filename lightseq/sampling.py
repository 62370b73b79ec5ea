"""Text from a model: every prompt at every temperature in one batch, one time step at a time."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from .constraint import Constraint
from .draws import Drawer
from .errors import UserError
from .footprint import check_texts
from .model import SequenceModel
from .types import Grammar
from .vocabulary import Vocabulary

LOOK_EVERY, LOOK_EVERY_ON_CPU = 32, 8
"""Time steps between two looks at which rows have ended, and whether to go on: a look waits for the device."""

Watch: TypeAlias = Callable[[list[list[int]]], None]
"""Given for every row of ``generate`` the ids that follow those of the call before: at first its prompt's, then what it
drew, a boundary that ends it too, and none after that or beyond its ``length``."""


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


class Texts:
    """What every row has so far.

    Args:
        fed: The ids that each row is fed before it draws.
        length: Draws of a row at the most.
        stop: The token that begins and ends a text; None of a stream.
    """

    def __init__(self, fed: Sequence[Sequence[int]], length: int, stop: int | None) -> None:
        self._spans, self._stop, self._time = [(len(ids), len(ids) + length) for ids in fed], stop, 1
        self.ids = [list(ids if stop is None else ids[1:]) for ids in fed]
        self.ended = [False] * len(fed)
        self.end = max(end for _, end in self._spans) - 1
        """The last time step that there may be."""

    def extend(self, block: Sequence[Sequence[int]]) -> list[list[int]]:
        """Add what every row drew in some time steps; gives what is new, row by row: nothing after an end."""
        fresh = []
        for row, (begin, end) in enumerate(self._spans):
            new = [] if self.ended[row] else list(block[row][max(0, begin - self._time) : max(0, end - self._time)])
            if self._stop is not None and self._stop in new:
                new = new[: new.index(self._stop) + 1]
                self.ended[row] = True
            self.ids[row] += new
            fresh.append(new)
        self._time += len(block[0])
        return fresh

    def going(self) -> list[int]:
        """The rows that draw on."""
        return [row for row, (_, end) in enumerate(self._spans) if not self.ended[row] and self._time < end]


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
    watch: Watch | None = None,
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
        watch: Told every few time steps, and at the end, what came of each row since.

    Returns:
        Prompt by prompt, within it temperature by temperature, within it ``n`` samples.

    Raises:
        UserError: A prompt with a token the model does not know, a number out of its range, or no text that the
            grammar allows.
    """
    _check(temperatures, n, length, top_k, top_p, seed)
    check_texts(len(prompts) * len(temperatures) * n, length)
    top_k = None if top_k is None else min(top_k, len(vocabulary))
    rows = list(itertools.product(prompts, temperatures, range(n)))
    device = model.head.weight.device
    generator = torch.Generator(device).manual_seed(seed)
    heat = torch.tensor([row[1] for row in rows], device=device).unsqueeze(1)
    heat = heat.clamp(max=torch.finfo(heat.dtype).max)  # -inf over an infinite one is no number, and would be drawn
    fed = _start(vocabulary, [row[0] for row in rows], token_counts, generator, device)
    constraint = None if grammar is None else Constraint(grammar, vocabulary, fed, length, device)
    texts = Texts(fed, length, vocabulary.boundary)
    every = LOOK_EVERY_ON_CPU if device.type == "cpu" else LOOK_EVERY
    blocks = _blocks(model, fed, texts, Drawer(heat, top_k, top_p, generator, every), constraint, every)
    _follow(model, blocks, texts, watch, until)
    forgone = [0.0] * len(rows) if constraint is None else constraint.forgone.tolist()
    outcomes = zip(rows, texts.ids, texts.ended, forgone, strict=True)
    return [Sample(*row, vocabulary.decode(ids), ended, nats) for row, ids, ended, nats in outcomes]


def _follow(
    model: SequenceModel,
    blocks: Iterator[list[list[int]]],
    texts: Texts,
    watch: Watch | None,
    until: Callable[[], bool] | None,
) -> None:
    """Take the blocks into the texts, the model in eval mode and in the precision that it has, until there are none or
    it is enough."""
    was_training = model.training
    model.eval()
    try:
        if watch is not None:
            watch([list(ids) for ids in texts.ids])
        with torch.autocast(model.head.weight.device.type, enabled=False):
            for block in blocks:
                fresh = texts.extend(block)
                if watch is not None:
                    watch(fresh)
                if until is not None and texts.going() and until():
                    return
    finally:
        model.train(was_training)


def _check(
    temperatures: Sequence[float], n: int, length: int, top_k: int | None, top_p: float | None, seed: int
) -> None:
    for temperature in temperatures:
        if not 0 <= temperature < float("inf"):
            raise UserError(f"a temperature is 0 (greedy) or more, not {temperature:g}")
    for name, value in (("n", n), ("length", length), ("top_k", top_k)):
        if value is not None and value < 1:
            raise UserError(f"{name} is at least 1, not {value}")
    if top_p is not None and not 0 < top_p <= 1:
        raise UserError(f"top_p is above 0 and at most 1, not {top_p:g}")
    if not 0 <= seed < 1 << 63:
        raise UserError(f"a seed is between 0 and 2**63 - 1, not {seed}")


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


def _blocks(
    model: SequenceModel,
    fed: list[list[int]],
    texts: Texts,
    drawer: Drawer,
    constraint: Constraint | None,
    every: int,
) -> Iterator[list[list[int]]]:
    """Every row's next ids, of ``every`` time steps at once, until no text goes on: its own, then what it draws."""
    device = model.head.weight.device
    lengths = torch.tensor([len(ids) for ids in fed], device=device)
    longest = int(lengths.max())
    prompt = torch.tensor([ids + [0] * (longest - len(ids)) for ids in fed], device=device)
    begin = model.runner()
    run = begin(model.initial_state(len(fed)))
    ids, logits, columns = prompt[:, 0], torch.empty(0), list[Tensor]()
    going, places = list(range(len(fed))), None  # places: the same on the device, once some are left out
    for t in itertools.count(1):
        logits = run(ids) if places is None else logits.index_copy(0, places, run(ids.index_select(0, places)))
        # for all rows: what one draws is not another's to say
        ids = drawer(logits if constraint is None else constraint.limit(logits, t))
        if t < longest:
            ids = torch.where(t < lengths, prompt[:, t], ids)
        if constraint is not None:
            constraint.follow(ids, t)
        columns.append(ids)
        if t % every and t < texts.end:
            continue
        yield torch.stack(columns, 1).tolist()
        columns, left = [], set(texts.going())
        if not left:
            return
        if 2 * len(left) <= len(going):  # the network runs on for those alone
            kept = torch.tensor([place for place, row in enumerate(going) if row in left], device=device)
            run = begin(tuple(part.index_select(1, kept) for part in run.state))
            going = [row for row in going if row in left]
            places = torch.tensor(going, device=device)

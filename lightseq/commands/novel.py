"""Samples that nobody has written before: exact rejection."""

from collections.abc import Callable, Set
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..data.store import Store
from ..sampling import Sample
from ..vocabulary import Vocabulary

LEAST = 32
"""Texts of a further batch at the least: one row takes as long as many."""

BATCHES = 40
"""Batches drawn for one prompt and temperature at the most: a model may know its list by heart."""

Draw = Callable[..., list[Sample]]
"""``sampling.generate`` with all but its prompts, temperatures, ``n`` and ``seed``."""


class Novel(NamedTuple):
    """What was found for one prompt and temperature."""

    prompt: str
    temperature: float
    samples: list[Sample]
    drawn: int
    """Texts that were looked at."""


def texts_of(store: Store) -> set[str]:
    """Every document of a corpus, of any split."""
    vocabulary, offsets = Vocabulary(store.vocabulary), store.offsets.tolist()
    ids = np.asarray(store.tokens)
    return {vocabulary.decode(ids[begin:end].tolist()) for begin, end in pairwise(offsets)}


def draw_novel(
    draw: Draw, prompts: list[str], temperatures: list[float], n: int, seed: int, known: Set[str]
) -> list[Novel]:
    """Texts that are not among the known ones, each once, of all prompts and temperatures together.

    First come those of the plain call; then, for each prompt and temperature, those of the seeds that follow, until
    there are ``n`` or ``BATCHES`` batches were drawn. Each is a draw from the model on condition that it is new.

    Args:
        draw: ``draw(prompts, temperatures, n=, seed=)``.
        prompts: Texts to continue.
        temperatures: Divide the logits; 0 always writes the same, so that there is one at the most.
        n: Texts of each prompt and temperature.
        seed: Of the first batch.
        known: What is not new.

    Returns:
        Prompt by prompt, within it temperature by temperature, the samples numbered anew.
    """
    seen, found = set(known), list[Novel]()
    first = draw(prompts, temperatures, n=n, seed=seed)
    for start in range(0, len(first), n):
        batch = first[start : start + n]
        prompt, temperature = batch[0].prompt, batch[0].temperature
        kept, drawn = list[Sample](), 0
        for further in range(1, BATCHES + 1):
            drawn += len(batch)
            for sample in batch:
                if sample.text not in seen and len(kept) < n:
                    seen.add(sample.text)
                    kept.append(sample._replace(number=len(kept)))
            if len(kept) == n or temperature == 0 or further == BATCHES:
                break
            batch = draw([prompt], [temperature], n=max(n, LEAST), seed=seed + further)
        found.append(Novel(prompt, temperature, kept, drawn))
    return found


def shortfall(found: Novel, n: int) -> str | None:
    """What to say where there are fewer than were asked for; None where there are as many."""
    if len(found.samples) == n:
        return None
    where = f"T={found.temperature:.2f} {found.prompt!r}"
    if found.temperature == 0:
        one = "is no new one" if not found.samples else "is the only new one"
        return f"--novel, {where}: a temperature of 0 always writes the same text, and it {one}"
    return f"--novel, {where}: {len(found.samples)} of {n}, for the others of {found.drawn:,} drawn are no new ones"

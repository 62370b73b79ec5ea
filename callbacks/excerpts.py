"""A few fixed texts of the validation split, and what a model makes of them time step by time step."""

from collections.abc import Sequence
from math import log
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..data import SequenceData
from ..data.store import Store
from ..model import SequenceModel
from ..types import IGNORE_INDEX
from ..vocabulary import BOUNDARY, Vocabulary
from .drawing import in_ascii

CANDIDATES = 3
"""Of the likeliest tokens, how many are shown."""

LONGEST = 8
"""Characters of a token that are shown."""

NAMES = {BOUNDARY: "end", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
"""Of tokens that cannot be seen."""

Array = npt.NDArray[Any]


class Excerpt(NamedTuple):
    """One text, read from the initial state."""

    tokens: Tensor
    """(T,) int64, the inputs."""
    targets: Tensor
    """(T,) int64, ``IGNORE_INDEX`` where nothing is scored."""
    names: list[str]
    """T, what each time step is called in a picture: of a language model the target, of labels the token read."""


class Reading(NamedTuple):
    """What a model makes of an excerpt of T time steps."""

    names: list[str]
    """T, as the excerpt has them."""
    bits: Array
    """(T,) -log2 p(target), NaN where nothing is scored, and infinite where p is no number."""
    candidates: list[list[tuple[str, float, bool]]]
    """T, the likeliest tokens, the likeliest first, each with its probability and whether it is the one that came (a
    name does not tell: accents are left out of it); none of labels."""


def choose(data: SequenceData, count: int, length: int) -> list[Excerpt]:
    """The same excerpts at every call: of documents some drawn by lot, each cut at ``length``; of a stream stretches,
    evenly spread.

    Args:
        data: Of its validation split.
        count: How many; of short documents more, until they have ``length`` time steps together.
        length: Time steps of each at the most.
    """
    store, part = data.store, data.parts["val"]
    tokens = Vocabulary(store.vocabulary)
    if data.dataset.layout == "stream":
        length = min(length, len(part) - 1)
        count = min(count, (len(part) - 1) // length)
        places = [i * (len(part) - 1 - length) // max(1, count - 1) for i in range(count)]
        return [_continued(part[place : place + length + 1], tokens) for place in places]
    excerpts, left = list[Excerpt](), length
    for document in np.random.default_rng(0).permutation(part):  # the split may be in alphabetical order
        if left <= 0 and len(excerpts) >= count:
            break
        one = _labelled(store, document, tokens) if store.labels else _continued(bounded(store, document), tokens)
        excerpts.append(Excerpt(one.tokens[:length], one.targets[:length], one.names[:length]))
        left -= len(one.names)
    return excerpts


def beginning(excerpts: Sequence[Excerpt], length: int) -> list[Excerpt]:
    """The first one, and those after it that are within ``length`` time steps with it."""
    ends = np.cumsum([len(one.names) for one in excerpts])
    return list(excerpts[: max(1, int(np.searchsorted(ends, length, "right")))])


@torch.no_grad()
def read(model: SequenceModel, excerpts: Sequence[Excerpt], vocabulary: Vocabulary, labelled: bool) -> list[Reading]:
    """What a model in eval mode makes of each excerpt."""
    device = model.head.weight.device
    logits, _ = model(pad_sequence([one.tokens for one in excerpts], batch_first=True).to(device))
    readings = []
    rows = logits.float().log_softmax(-1).nan_to_num(nan=-torch.inf, neginf=-torch.inf).cpu()
    for row, one in zip(rows, excerpts, strict=True):
        chances = row[: len(one.names)]
        found = chances.gather(1, one.targets.clamp(min=0)[:, None]).squeeze(1)
        bits = np.where(one.targets == IGNORE_INDEX, np.nan, -found.numpy() / log(2))
        candidates = list[list[tuple[str, float, bool]]]()
        if not labelled:
            best, ids = chances.topk(min(CANDIDATES, chances.shape[1]))
            candidates = [
                [(_shown(vocabulary.tokens[i], i), p, i == came) for i, p in zip(own, likely, strict=True)]
                for own, likely, came in zip(ids.tolist(), best.exp().tolist(), one.targets.tolist(), strict=True)
            ]
        readings.append(Reading(one.names, bits, candidates))
    return readings


@torch.no_grad()
def traces(model: SequenceModel, excerpts: Sequence[Excerpt]) -> list[dict[str, Array]]:
    """The backbone's internals in each excerpt of T time steps, by name: (T, L, units), L being 1 where a backbone
    names no layers. Nothing of one without a ``trace``."""
    device = model.head.weight.device
    tokens = pad_sequence([one.tokens for one in excerpts], batch_first=True).to(device)
    internals = {
        name: values.float().cpu().numpy() for name, values in model.backbone.trace(model.embed(tokens)).items()
    }
    return [
        {name: _in_layers(values[row, : len(one.names)]) for name, values in internals.items()}
        for row, one in enumerate(excerpts)
    ]


def _in_layers(values: Array) -> Array:
    """(T, H), or (T, L, H), or (T, L, ...), as (T, L, units)."""
    return values[:, None] if values.ndim == 2 else values.reshape(*values.shape[:2], -1)


def bounded(store: Store, document: int) -> Array:
    """A document's ids with the boundaries around them."""
    boundary = Vocabulary(store.vocabulary).boundary
    assert boundary is not None
    ids = store.tokens[store.offsets[document] : store.offsets[document + 1]].astype(np.int64)
    return np.pad(ids, 1, constant_values=boundary)


def _continued(ids: Array, vocabulary: Vocabulary) -> Excerpt:
    """Each token a target but the first."""
    own = torch.from_numpy(ids.astype(np.int64))
    return Excerpt(own[:-1], own[1:], [_shown(vocabulary.tokens[i], int(i)) for i in ids[1:]])


def _labelled(store: Store, document: int, vocabulary: Vocabulary) -> Excerpt:
    """Of a classified text its label at every time step: how the guess comes about."""
    ids, labels = bounded(store, document)[:-1], store.label_ids
    assert labels is not None
    if store.tagged:
        own = labels[store.offsets[document] : store.offsets[document + 1]].astype(np.int64)
        targets = np.concatenate([[IGNORE_INDEX], own])
    else:
        targets = np.full(len(ids), labels[document], np.int64)
    names = ["start", *(_shown(vocabulary.tokens[i], int(i)) for i in ids[1:])]
    return Excerpt(torch.from_numpy(ids), torch.from_numpy(targets), names)


def _shown(token: str, number: int) -> str:
    """A token as a picture can show it, a space as a dot."""
    return NAMES[token] if token in NAMES else in_ascii(token, number, LONGEST).replace(" ", "\N{MIDDLE DOT}")

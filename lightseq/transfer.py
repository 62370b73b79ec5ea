"""A new network that begins with the weights of an old run, whose vocabulary or labels may have been others.

Tokens and labels are told apart by their names, never by their places. What the old run knew is kept bit for bit: of a
text in its characters alone the hidden states are the same, and of its tokens the logits. What is new begins as the
network initialises it, in the head beside the mean of the rows that were trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from . import registry, signatures
from .checkpoint import MODEL_SETTINGS, PREFIX
from .errors import UserError
from .model import SequenceModel, build_model
from .vocabulary import BOUNDARY, ESCAPED, describe

ARCHITECTURE = tuple(name for name in MODEL_SETTINGS if name not in ("vocabulary", "labels", "dropout"))
"""The settings of a model that its weights are bound to."""

LEFT_OUT = ("input_dropout", "output_dropout", "locked", "weight_drop")
"""Of the backbones' own arguments those that say, as ``dropout`` does, what is left out while training: no weight is
bound to them, and a small text asks for more of it."""

WHOLE = "model.backbone_args"

SHOWN = 8
"""New tokens that are named."""


class Shared(NamedTuple):
    """The names that an old and a new order have in common."""

    old: Tensor
    """(names in common,) int64, the place of each in the old order."""
    new: Tensor
    """The same, in the new one."""
    lengths: tuple[int, int]
    """All names, of the old and of the new."""
    added: list[str]
    dropped: list[str]


def grown(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """The vocabulary of a network that knew the tokens ``old`` and is to read a text of the tokens ``new``.

    Characters that the new text lacks stay, so that nothing that was learned is lost. The boundary alone goes where the
    new text is a stream: a vocabulary that has one is that of documents.

    Args:
        old: The tokens of the old run.
        new: Those of the text, the boundary among them where it is one of documents.

    Returns:
        The boundary where ``new`` has it, the old tokens in their order, and what they lack, sorted.
    """
    kept = [token for token in old if token != BOUNDARY]
    return [BOUNDARY] * (BOUNDARY in new) + kept + sorted(set(new) - {*kept, BOUNDARY})


def architecture(
    said: Mapping[str, Any], stored: Mapping[str, Any], labelled: bool, places: Mapping[str, str]
) -> tuple[dict[str, Any], list[str]]:
    """The settings of a model that an old run rules over.

    Args:
        said: The model's settings of the new run.
        stored: Those in the old run's checkpoint.
        labelled: Whether the new text has labels: their head cannot be the embedding, so ``tie_head`` is for the new
            run to say.
        places: Where each dotted key is said.

    Returns:
        The settings by name, and a note for each that somebody has said otherwise.

    Raises:
        UserError: A backbone that is not installed, or arguments that it does not take.
    """
    backbone = stored["backbone"]
    own = (said["backbone_args"] or {}) if said["backbone"] == backbone else {}
    ruled = {name: stored[name] for name in ARCHITECTURE if not (name == "tie_head" and labelled)}
    left_out = {name: value for name, value in own.items() if name in LEFT_OUT}
    ruled["backbone_args"] = {**(stored["backbone_args"] or {}), **left_out} or None
    both = {f"model.{name}": (said[name], ruled[name]) for name in ruled if name != "backbone_args"}
    known = signatures.parameters(registry.load(registry.BACKBONES, backbone), backbone)
    now, then = (registry.convert(registry.BACKBONES, backbone, one) for one in (own, ruled["backbone_args"] or {}))
    both |= {f"{WHOLE}.{name}": (value, then.get(name, known[name].default)) for name, value in now.items()}
    notes = [
        f"{place}: {key} is {ruling} in the checkpoint, which rules"
        for key, (value, ruling) in both.items()
        if value != ruling and (place := places.get(key) or (key.startswith(WHOLE) and places.get(WHOLE)))
    ]
    return ruled, notes


@torch.no_grad()
def transfer(
    model: SequenceModel,
    vocabulary: Sequence[str],
    labels: Sequence[str] | None,
    content: Mapping[str, Any],
    path: Path,
) -> list[str]:
    """Copy the weights of a checkpoint into a network that has just been built. They are the averaged ones where the
    old run averaged any, for those it stored as its weights.

    Args:
        model: Of the old run's architecture.
        vocabulary: Its tokens in the order of their ids.
        labels: Its labels in the order of their ids, None for a language model.
        content: Of the checkpoint.
        path: Where the checkpoint lies, for messages.

    Returns:
        What is kept and what begins afresh, in lines to print.

    Raises:
        UserError: A weight that the network or the checkpoint lacks, or that has another size there.
    """
    stored = content["hyper_parameters"]
    weights = {name.removeprefix(PREFIX): old for name, old in content["state_dict"].items() if name.startswith(PREFIX)}
    tokens = _shared(stored["vocabulary"], vocabulary)
    outputs = _outputs(tokens, stored["labels"], labels)
    own = model.state_dict(keep_vars=True)
    if own["head.weight"] is own.get("embedding.weight") and not stored["tie_head"]:
        raise UserError(f"{path}: the head in it is not the embedding, so tie_head must be false")
    rows = {"embedding.weight": (0, tokens), "head.weight": (0, outputs), "head.bias": (0, outputs)}
    rows.update((f"backbone.{name}", (axis, tokens)) for name, axis in _input_axes(model, stored).items())
    for name in dict.fromkeys([*own, *weights]):
        axis, shared = rows.get(name, (0, None))
        if name in rows and shared is None:
            continue  # the head of another task
        new, old = own.get(name), weights.get(name)
        if new is None or old is None or not _fits(new, old, axis, shared):
            raise _misfit(path, name, old, new, stored)
        _copy(new, old, axis, shared, centred=name.startswith("head."))
    return list(_report(path, tokens, outputs, stored["labels"], labels))


def _shared(old: Sequence[str], new: Sequence[str]) -> Shared:
    ids = {name: index for index, name in enumerate(new)}
    pairs = [(index, ids[name]) for index, name in enumerate(old) if name in ids]
    places = torch.tensor(pairs, dtype=torch.int64).view(-1, 2)
    known = set(old)
    added, dropped = [name for name in new if name not in known], [name for name in old if name not in ids]
    return Shared(places[:, 0], places[:, 1], (len(old), len(new)), added, dropped)


def _outputs(tokens: Shared, old: Sequence[str] | None, new: Sequence[str] | None) -> Shared | None:
    """What the head's rows have in common; None where no label is the same, or where one head is of tokens and the
    other of labels, whatever those are called."""
    if old is None or new is None:
        return tokens if old is new else None
    labels = _shared(old, new)
    return labels if len(labels.old) else None


def _input_axes(model: SequenceModel, stored: Mapping[str, Any]) -> dict[str, int]:
    """Of one-hot inputs the backbone's weights with a row or column a token, and which dimension that is: the one that
    is larger by one in a network of one more token. Its size alone would not tell, for H may be V."""
    if model.embedding is not None:
        return {}
    settings = {name: stored[name] for name in ARCHITECTURE}
    names = [str(index) for index in range(model.vocabulary_size + 1)]
    with torch.random.fork_rng(devices=[]):  # the new run draws what it would draw without this
        larger = build_model(vocabulary=names, labels=None, dropout=0.0, **settings).backbone.state_dict()
    found = {}
    for name, own in model.backbone.state_dict().items():
        sizes = zip(own.shape, larger[name].shape, strict=False) if name in larger else ()
        axes = [axis for axis, pair in enumerate(sizes) if pair == (len(names) - 1, len(names))]
        if len(axes) == 1:
            found[name] = axes[0]
    return found


def _fits(new: Tensor, old: Tensor, axis: int, shared: Shared | None) -> bool:
    if shared is None or old.dim() != new.dim():
        return old.shape == new.shape
    others = [list(one.shape) for one in (old, new)]
    return tuple(sizes.pop(axis) for sizes in others) == shared.lengths and others[0] == others[1]


def _misfit(path: Path, name: str, old: Tensor | None, new: Tensor | None, stored: Mapping[str, Any]) -> UserError:
    there, here = ("missing" if one is None else str(tuple(one.shape)) for one in (old, new))
    sizes = ", ".join(f"{key} {stored[key]}" for key in ARCHITECTURE)
    return UserError(f"{path}: {name} is {there} in it and {here} in the new network; both must have {sizes}")


def _copy(new: Tensor, old: Tensor, axis: int, shared: Shared | None, centred: bool) -> None:
    """Overwrite a weight, or those rows of it that have a name in common.

    A softmax does not see what all of its rows have in common, so beside trained rows one of zeros may mean anything.
    The mean of them is what an average token has, and exp being convex, k such tokens beside V cost the old text
    ln(1 + k / V) nats at the most (Hewitt 2021, "Initializing new word embeddings for pretrained language models").

    Measured on names with capitals, which were new to a network of names: 1.745 nats a character at first and 1.540
    after 40 updates; 1.846 and 1.556 from rows of zeros, 1.745 and 1.557 with a mean in the embedding too.

    Args:
        new: The weight as it was initialised.
        old: Of the checkpoint.
        axis: Of the rows.
        shared: None where rows have no names, and all is copied.
        centred: Whether new rows are to have that mean added to what they were initialised with.
    """
    old = old.to(new)
    if shared is None:
        new.copy_(old)
        return
    rows, trained = new.movedim(axis, 0), old.movedim(axis, 0)[shared.old.to(new.device)]
    if centred:
        rows.add_(trained.mean(0))
    rows[shared.new.to(new.device)] = trained


def _report(
    path: Path, tokens: Shared, outputs: Shared | None, old: Sequence[str] | None, new: Sequence[str] | None
) -> Iterator[str]:
    kept = "all weights" if outputs else "all weights but the head's"
    change = _change("vocabulary", tokens)
    yield f"from   {path}: {kept}{change and '; '}{change}"
    if outputs is None:
        before, now = ("text" if names is None else f"{len(names)} labels" for names in (old, new))
        others = " of other names" if old and new else ""
        yield f"note   the head begins afresh: it predicted {before}, and now {now}{others}"
    elif new and (change := _change("labels", outputs)):
        yield f"note   {change}"


def _change(what: str, shared: Shared) -> str:
    """``vocabulary 65 -> 68, new: 'é', 'ß', '—'``; empty where the names are the same."""
    groups = {"new": shared.added, "dropped": shared.dropped}
    said = [f", {word}: {_listed(names)}" for word, names in groups.items() if names]
    return f"{what} {shared.lengths[0]} -> {shared.lengths[1]}{''.join(said)}" if said else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_named, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def _named(token: str) -> str:
    if token == BOUNDARY:
        return "the boundary of documents"
    return describe(token) if ESCAPED.fullmatch(token) else repr(token)

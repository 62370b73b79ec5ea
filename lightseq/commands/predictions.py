"""What ``lightseq predict`` prints: tab-separated records, a header first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..types import IGNORE_INDEX
from ..vocabulary import Vocabulary

STEPS = ("tokens", "targets", "nats", "predicted", "probability")
"""What a batch of predictions has for every time step."""

ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def print_predictions(
    batches: Iterable[Mapping[str, Tensor]],
    order: Sequence[int] | None,
    vocabulary: Vocabulary,
    labels: Sequence[str] | None,
    tagged: bool,
) -> None:
    r"""A record a document: nats a token and the text; with labels the text, its label, the likeliest one, and the
    probability of that. Of tagged documents a record a token, and a blank line between documents.

    In a field a tab is written ``\t``, a line break ``\n`` or ``\r``, and a backslash ``\\``.

    Args:
        batches: What ``SequenceSystem.predict_step`` returned, in order.
        order: The number of each document that the batches begin, as ``DocumentBatches.begun`` has it: they are printed
            by number. None of a stream.
        vocabulary: The tokens.
        labels: The names of the labels; None of a language model.
        tagged: Whether a token has a label, rather than a document.
    """
    if labels is None:
        print("nats\ttext")
    else:
        print("token" if tagged else "text", "label", "predicted", "probability", sep="\t")
    for number, steps in enumerate(_documents(batches, order)):
        if tagged and number:
            print()
        for record in _records(steps, vocabulary, labels, tagged):
            print("\t".join(field.translate(ESCAPES) for field in record))


def _records(
    steps: Mapping[str, Tensor], vocabulary: Vocabulary, labels: Sequence[str] | None, tagged: bool
) -> Iterator[tuple[str, ...]]:
    """The fields of each record of a document."""
    scored = steps["targets"] != IGNORE_INDEX
    tokens, targets, predicted = (steps[name][scored].tolist() for name in ("tokens", "targets", "predicted"))
    if labels is None:
        yield f"{steps['nats'][scored].double().mean():.4f}", vocabulary.decode(targets)
        return
    texts = [vocabulary.decode([t]) for t in tokens] if tagged else [vocabulary.decode(steps["tokens"].tolist())]
    for text, label, likeliest, share in zip(texts, targets, predicted, steps["probability"][scored], strict=True):
        yield text, labels[label], labels[likeliest], f"{share:.4f}"


def _documents(batches: Iterable[Mapping[str, Tensor]], order: Sequence[int] | None) -> Iterator[dict[str, Tensor]]:
    """By document the values of all its time steps, (T,) each, its windows joined. A row goes on in the next batch
    until that says otherwise; one in which nothing is scored is of no document."""
    found: list[list[dict[str, Tensor]]] = []
    rows: dict[int, list[dict[str, Tensor]]] = {}
    for batch in batches:
        for row, reset in enumerate(batch["reset"].tolist()):
            if reset:
                rows[row] = []
                found.append(rows[row])
            rows[row].append({name: batch[name][row] for name in STEPS})
    for index in sorted(range(len(found)), key=order.__getitem__ if order else None):
        windows = found[index]
        steps = {name: torch.cat([window[name] for window in windows]) for name in STEPS}
        if (steps["targets"] != IGNORE_INDEX).any():
            yield steps

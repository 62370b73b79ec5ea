"""What a model makes of one text, time step by time step: what it expects, what that costs, and what its gates do.

It looks and changes nothing: no gradients, a state of its own, nothing random, and the mode that the model came in.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from .errors import UserError
from .model import SequenceModel
from .types import IGNORE_INDEX
from .vocabulary import BOUNDARY, ESCAPED, Vocabulary

Task: TypeAlias = Literal["documents", "stream", "classification", "tagging", "unlabelled"]
"""What is scored. ``documents`` and ``stream``: the next token at every time step, of a document its end too.
``classification``: the label, at the last time step. ``tagging``: the label of every token. ``unlabelled``: nothing,
for the true label was not said."""

BOUNDARY_SHOWN = "\N{BLACK SQUARE}"
SHOWN = {BOUNDARY: BOUNDARY_SHOWN, "\n": "\N{RETURN SYMBOL}", "\t": "\N{RIGHTWARDS ARROW TO BAR}", " ": "\N{OPEN BOX}"}
QUOTES = {'"': '"', "\N{LEFT DOUBLE QUOTATION MARK}": "\N{RIGHT DOUBLE QUOTATION MARK}"}


class Inspection(NamedTuple):
    """One text through a model, on the CPU."""

    task: Task
    tokens: list[str]
    """(T,) What is read at each time step."""
    outputs: list[str]
    """(V,) What is chosen among: the tokens, or the labels."""
    targets: Tensor
    """(T,) int64, the true output's place in ``outputs``, ``IGNORE_INDEX`` where nothing is scored."""
    logits: Tensor
    """(T, V) float64."""
    nats: Tensor
    """(T,) float64: -ln p(target), 0 where nothing is scored."""
    trace: dict[str, Tensor]
    """(T, L, units) float32 each: what ``Backbone.trace`` names."""

    @property
    def scored(self) -> Tensor:
        """(T,) bool: where there is a target."""
        return self.targets != IGNORE_INDEX

    @property
    def total(self) -> float:
        """The sum of the nats: what the whole text costs."""
        return float(self.nats.sum())

    @property
    def mean(self) -> float:
        """Nats a scored time step; 0 where none is scored."""
        return self.total / max(1, int(self.scored.sum()))


@torch.no_grad()
def inspect(
    model: SequenceModel,
    vocabulary: Vocabulary,
    ids: Sequence[int],
    labels: Sequence[str] | None = None,
    truth: Sequence[int] | None = None,
) -> Inspection:
    """Read one text from the initial state, as an evaluation does.

    Time steps are those of ``lightseq.data.batching``. A document of n tokens has n + 1: the boundary is read first, so
    that every token is a target, and last it is a target itself; the label of a token is scored where it is read. A
    stream has as many as tokens, and nothing is known of what would follow the last.

    Args:
        model: Put back into the mode it came in.
        vocabulary: Its tokens.
        ids: (n,) The text.
        labels: The names of the labels, None of a language model.
        truth: Of a labelled model: the id of the text's label, or one a token; None scores nothing.

    Raises:
        UserError: No tokens, a number of labels that is neither 1 nor n, or logits that are no numbers.
    """
    if not ids:
        raise UserError("there is nothing to read in an empty text")
    read = list(ids) if vocabulary.boundary is None else [vocabulary.boundary, *ids]
    task, targets = _targets(vocabulary.boundary, ids, labels, truth)
    tokens = torch.tensor([read], device=model.head.weight.device)
    was_training = model.training
    model.eval()
    try:
        logits = model(tokens)[0][0].double().cpu()
        trace = model.backbone.trace(model.embed(tokens))
    finally:
        model.train(was_training)
    if not logits.isfinite().all():
        raise UserError("the model's logits are no numbers: its training has diverged")
    nats = functional.cross_entropy(logits, targets, ignore_index=IGNORE_INDEX, reduction="none")
    by_layer = {name: _by_layer(values[0].float().cpu()) for name, values in trace.items()}
    outputs = vocabulary.tokens if labels is None else list(labels)
    return Inspection(task, [vocabulary.tokens[i] for i in read], outputs, targets, logits, nats, by_layer)


def soften(logits: Tensor, temperature: float) -> Tensor:
    """The distribution that is drawn from at a temperature: softmax(logits / T), and at 0 all on the likeliest.

    Args:
        logits: (..., V).
        temperature: At least 0.

    Returns:
        Probabilities, (..., V).
    """
    if temperature == 0:
        return functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    # the largest is 0 before the division, so that a temperature of almost nothing overflows to -inf alone
    return ((logits - logits.amax(-1, keepdim=True)) / temperature).softmax(-1)


def entropy(probabilities: Tensor) -> Tensor:
    """Bits of a distribution: how open the choice is. 0 is none; log2 V is even.

    Args:
        probabilities: (..., V).

    Returns:
        (...)
    """
    nats: Tensor = torch.special.entr(probabilities).sum(-1)
    return nats / math.log(2)


def shown(token: str) -> str:
    """A token as one can see it: white space, the boundary and control characters as signs, a byte by its number."""
    if token in SHOWN:
        return SHOWN[token]
    if ESCAPED.fullmatch(token):
        return " ".join(f"0x{ord(byte) - 0xDC00:02X}" for byte in token)
    return "".join(map(_visible, token))


def character_classes(tokens: Sequence[str]) -> dict[str, list[float]]:
    """What can be said of each token by its text, to find the units that follow it: 1 or 0, or a position.

    Args:
        tokens: (T,).

    Returns:
        (T,) numbers by the name of the class; a class that is the same at every time step is left out.
    """
    rules: Mapping[str, Callable[[str], bool]] = {
        "line break": lambda token: "\n" in token,
        "space": lambda token: token.isspace() and "\n" not in token,
        "boundary": lambda token: token == BOUNDARY,
        "capital": lambda token: token.strip()[:1].isupper(),
        "digit": lambda token: token.strip().isdigit(),
        "vowel": lambda token: token.lower() in set("aeiouy"),
        "punctuation": lambda token: unicodedata.category(token.strip()[:1] or "a")[0] == "P",
        "bar line": lambda token: "|" in token,
    }
    classes = {name: [float(rule(token)) for token in tokens] for name, rule in rules.items()}
    classes["inside quotes"] = _inside_quotes(tokens)
    classes["position in the word"] = _since(tokens, lambda token: not token.strip()[-1:].isalnum())
    classes["position in the line"] = _since(tokens, lambda token: "\n" in token or token == BOUNDARY)
    classes["position in the text"] = [float(t) for t in range(len(tokens))]
    return {name: values for name, values in classes.items() if len(set(values)) > 1}


def _targets(
    boundary: int | None, ids: Sequence[int], labels: Sequence[str] | None, truth: Sequence[int] | None
) -> tuple[Task, Tensor]:
    """What is scored, (T,)."""
    if labels is None and boundary is None:
        return "stream", torch.tensor([*ids[1:], IGNORE_INDEX])
    if labels is None:
        return "documents", torch.tensor([*ids, boundary])
    targets = torch.full((len(ids) + (boundary is not None),), IGNORE_INDEX)
    if truth is None:
        return "unlabelled", targets
    if len(truth) not in (1, len(ids)):
        raise UserError(f"{len(truth)} labels for a text of {len(ids)} tokens: one a token, or one for the text")
    # one label of one token is scored at the same time step either way
    targets[-len(truth) :] = torch.tensor(list(truth))
    return ("classification" if len(truth) == 1 else "tagging"), targets


def _by_layer(values: Tensor) -> Tensor:
    """(T, ...) -> (T, L, units): a plugin's trace may know no layers."""
    if values.dim() < 3:
        return values.reshape(len(values), 1, -1)
    return values.flatten(2)


def _visible(character: str) -> str:
    if character in SHOWN:
        return SHOWN[character]
    if character.isprintable() and unicodedata.combining(character) == 0:
        return character
    if ord(character) < 0x20:
        return chr(0x2400 + ord(character))  # the block of pictures for control codes
    return f"U+{ord(character):04X}"


def _inside_quotes(tokens: Iterable[str]) -> list[float]:
    """1 from after an opening quotation mark to before the one that closes it."""
    closing, inside = "", []
    for token in tokens:
        ends = not closing or closing in token or token == BOUNDARY
        inside.append(float(not ends))
        opened = "" if closing else next((QUOTES[mark] for mark in token if mark in QUOTES), "")
        closing = opened if ends else closing
    return inside


def _since(tokens: Iterable[str], starts: Callable[[str], bool]) -> list[float]:
    """Time steps since the last token that starts anew, which counts 0."""
    counts, count = [], -1.0
    for token in tokens:
        count = 0.0 if starts(token) else count + 1
        counts.append(count)
    return counts

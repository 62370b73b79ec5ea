"""What ``lightseq inspect`` prints: the text coloured by its surprisal, a line a time step, and a small view of the
gates."""

import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text
from torch import Tensor

from ..inspection import Inspection, entropy, shown, soften
from ..vocabulary import BOUNDARY
from .inspect_words import bits, loss_words

LEVELS = ((1, None), (2, "#fff3c4"), (4, "#ffd59a"), (6, "#ff9950"), (8, "#f27d63"), (float("inf"), "#d94f4f"))
"""Up to so many bits on that colour."""

BLOCKS = " ▁▂▃▄▅▆▇█"
NARROWEST = 40
"""Columns of a terminal below which nothing is made to fit."""


def print_inspection(inspection: Inspection, temperatures: Sequence[float], top: int, layers: Sequence[int]) -> None:
    """Print it to standard output; in a terminal in colours and no wider than it is.

    Args:
        inspection: The text and what the model made of it.
        temperatures: What each does to the distribution is a column.
        top: Candidates of a time step.
        layers: What the layers in the trace are called.
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, file=sys.stdout)
    width = max(NARROWEST, console.width) if console.is_terminal else None
    _print_text(console, inspection, width)
    for sentence in loss_words(inspection):
        console.print(sentence, soft_wrap=width is None)
    console.print()
    _print_table(console, inspection, temperatures, top, width)
    _print_gates(console, inspection, layers, width)


def _print_text(console: Console, inspection: Inspection, width: int | None) -> None:
    """Every token on the colour of its own surprisal."""
    line = Text()
    tokens, costs = inspection.tokens, inspection.nats.tolist()
    if inspection.task in ("documents", "stream"):  # a token's surprisal is the loss of the time step before
        tokens, costs = [*tokens, *([BOUNDARY] if inspection.task == "documents" else [])], [0.0, *costs]
    for token, nats in zip(tokens, costs, strict=False):
        line.append(shown(token), _heat(bits(nats)))
        if "\n" in token:
            line.append("\n")
    console.print(line, soft_wrap=width is None)
    if width is not None:
        legend = Text("bits ")
        for (limit, _), low in zip(LEVELS, (0, *(limit for limit, _ in LEVELS)), strict=False):
            legend.append(f" {low}+ ", _heat(min(limit, low + 0.5)))
        console.print(legend)


def _heat(surprisal: float) -> Style:
    colour = next(colour for limit, colour in LEVELS if surprisal <= limit)
    return Style(color=colour and "#000000", bgcolor=colour)


def _print_table(
    console: Console, inspection: Inspection, temperatures: Sequence[float], top: int, width: int | None
) -> None:
    """As many candidates as the terminal is wide for, and a word about those that are left out."""
    most = min(top, len(inspection.outputs))
    for count in range(most, 0, -1):
        rows = list(_rows(inspection, temperatures, count))
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        if width is None or sum(widths) + 2 * (len(widths) - 1) <= width:
            break
    for number, row in enumerate(rows):
        cells = (cell + " " * (size - cell_len(cell)) for cell, size in zip(row, widths, strict=True))
        line = Text("  ".join(cells).rstrip(), "bold" if number == 0 else "")
        if number and inspection.scored[number - 1]:
            begin = sum(widths[:2]) + 4
            line.stylize(_heat(bits(float(inspection.nats[number - 1]))), begin, begin + len(row[2]))
        console.print(line, soft_wrap=True)
    if count < most:
        console.print(
            f"({count} of {most} candidates: the terminal is {width} columns wide; piped, all are printed)",
            soft_wrap=False,
        )


def _rows(inspection: Inspection, temperatures: Sequence[float], count: int) -> Iterator[list[str]]:
    """The header, then the cells of each time step."""
    outputs = [shown(output) for output in inspection.outputs]
    named = [f"T={temperature:.2f} %, bits" for temperature in temperatures]
    yield ["t", "read", "true", "-ln p", "bits", "greedy", f"top {count}: logits", *named]
    best = inspection.logits.topk(count, dim=1).indices
    chances = [soften(inspection.logits, temperature) for temperature in temperatures]
    openness = [entropy(chance) for chance in chances]
    size = max(cell_len(outputs[i]) for i in set(best.flatten().tolist()))
    for t, (token, target) in enumerate(zip(inspection.tokens, inspection.targets.tolist(), strict=True)):
        nats, scored = float(inspection.nats[t]), bool(inspection.scored[t])
        likely = best[t].tolist()
        logits = (f"{_padded(outputs[i], size)} {float(inspection.logits[t, i]):5.2f}" for i in likely)
        yield [
            *(str(t), shown(token), outputs[target] if scored else "."),
            *((f"{nats:.3f}", f"{bits(nats):.2f}") if scored else (".", ".")),
            *(outputs[int(inspection.logits[t].argmax())], "  ".join(logits)),
            *(
                " ".join(f"{100 * float(chance[t, i]):3.0f}" for i in likely) + f"  {float(bits_left[t]):5.2f}"
                for chance, bits_left in zip(chances, openness, strict=True)
            ),
        ]


def _padded(text: str, size: int) -> str:
    return text + " " * (size - cell_len(text))


def _print_gates(console: Console, inspection: Inspection, layers: Sequence[int], width: int | None) -> None:
    """A block a time step: the mean over a layer's units, of values that may be negative the mean size."""
    if not inspection.trace:
        console.print("\nthis backbone has no trace: its gates cannot be shown")
        return
    signs = [shown(token) for token in inspection.tokens]
    size = max(map(cell_len, signs))
    size += size > 1
    rows = [
        (f"{name} {layer}" if len(layers) > 1 else name, *_level(values[:, place]))
        for place, layer in enumerate(layers)
        for name, values in inspection.trace.items()
        if place < values.shape[1]
    ]
    edge = max(len(name) for name, *_ in rows) + 14
    console.print(
        "\nmeans over the units: a full block is 1 for gates, the highest for the others (size, not sign)",
        soft_wrap=width is None,
    )
    at_once = len(signs) if width is None else max(1, (width - edge) // size)
    for begin in range(0, len(signs), at_once):
        span = slice(begin, begin + at_once)
        console.print(" " * edge + "".join(_padded(sign, size) for sign in signs[span]).rstrip())
        for name, extent, blocks in rows:
            drawn = "".join(_padded(block, size) for block in blocks[span]).rstrip()
            console.print(f"{name:{edge - 14}} {extent:12} {drawn}")


def _level(values: Tensor) -> tuple[str, str]:
    """(T, units) -> the lowest and the highest mean in words, and a block for each time step's mean."""
    gate = bool((values >= 0).all() and (values <= 1).all())
    means = (values if gate else values.abs()).mean(1)
    scale = 1.0 if gate else max(float(means.max()), 1e-12)
    blocks = "".join(BLOCKS[min(8, round(8 * float(mean) / scale))] for mean in means)
    return f"{float(means.min()):.2f} to {float(means.max()):.2f}", blocks

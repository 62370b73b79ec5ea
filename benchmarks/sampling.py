"""Characters a second that are drawn, against the loop that one usually writes.

    python benchmarks/sampling.py                  # a table; some minutes on two cores
    python benchmarks/sampling.py lstm:128x1       # one of the networks

Ours is ``generate``, as anyone calls it, with all that it does. The usual loop has the same weights, and module calls
of one time step without gradients: embedding, network, head, the logits divided by the temperature, softmax,
``torch.multinomial``, and ``.item()`` at one row; at 64 the drawn ids are fed back, and read at the end. Both have
torch's default number of threads. They take turns; figures are medians of the turns, spreads the least and the most.
On a GPU there are columns more: a whole time step, the draw included, as a CUDA graph. ``generate`` makes none: they
show what one would bring.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import torch
from runs import TOKENS, machine, network, timed
from torch import Tensor, nn

from lightseq.backbones.recurrent import GRU, LSTM
from lightseq.model import SequenceModel
from lightseq.sampling import generate
from lightseq.types import State
from lightseq.vocabulary import Vocabulary

NETWORKS = ("lstm:128x1", "lstm:256x2", "lstm:512x2", "gru:128x1", "gru:512x2", "mingru:128x2", "mingru:512x2")
VOCABULARY = Vocabulary(TOKENS)
LENGTH, ROWS, TEMPERATURE = 256, 64, 0.8
TURN = 0.3
"""Seconds of a turn at the least: idle threads of the way before spin for the first 0.2."""
STARTED = ("--config", "dinos", "--trainer.max_steps", "40", "--sampling.every_n_steps", "0")

Advance = Callable[[Tensor, State | Tensor], tuple[Tensor, State | Tensor]]


class Loop(NamedTuple):
    """The usual loop's network: modules, as training calls them."""

    advance: Advance
    """(ids (B, 1), state) -> (logits (B, 1, V), state)."""
    begin: Callable[[int], State | Tensor]


def built(name: str, device: torch.device) -> SequenceModel:
    """``lstm:128x1``, its head's weights drawn too, so that not every token is as likely."""
    backbone, _, size = name.partition(":")
    model = network(backbone, *map(int, size.split("x")))
    nn.init.normal_(model.head.weight, std=0.1)
    return model.eval().to(device)


def loop_of(model: SequenceModel) -> Loop:
    """One stack of torch's where there is one, its weights ours; else the model itself."""
    backbone, embedding, head = model.backbone, model.embedding, model.head
    if not isinstance(backbone, LSTM | GRU) or embedding is None:
        return Loop(model, model.initial_state)
    make = nn.LSTM if isinstance(backbone, LSTM) else nn.GRU
    stack = make(backbone.input_size, backbone.output_size, len(backbone.layers), batch_first=True)
    weights = [weight for layer in backbone.layers for weight in layer.all_weights[0]]
    with torch.no_grad():
        for own, weight in zip(stack.parameters(), weights, strict=True):
            own.copy_(weight)
    stack.to(head.weight.device).eval()

    def advance(ids: Tensor, state: State | Tensor) -> tuple[Tensor, State | Tensor]:
        y, state = stack(embedding(ids), state)
        return head(y), state

    def begin(rows: int) -> State | Tensor:
        state = model.initial_state(rows)
        return state if isinstance(backbone, LSTM) else state[0]

    return Loop(advance, begin)


@torch.no_grad()
def usual(loop: Loop, rows: int, device: torch.device) -> list[str]:
    """The usual loop."""
    ids, state = torch.zeros(rows, 1, dtype=torch.int64, device=device), loop.begin(rows)
    read, kept = list[int](), list[Tensor]()
    for _ in range(LENGTH):
        logits, state = loop.advance(ids, state)
        ids = torch.multinomial((logits[:, -1] / TEMPERATURE).softmax(-1), 1)
        if rows == 1:
            read.append(int(ids.item()))
        else:
            kept.append(ids)
    texts = [read] if rows == 1 else torch.cat(kept, 1).tolist()
    return ["".join(VOCABULARY.tokens[index] for index in text) for text in texts]


def ours(model: SequenceModel, rows: int) -> list[str]:
    """``generate``, from the same beginning."""
    samples = generate(model, VOCABULARY, [VOCABULARY.tokens[0]], [TEMPERATURE], n=rows, length=LENGTH)
    return [sample.text for sample in samples]


def captured(model: SequenceModel, rows: int) -> Callable[[], list[str]]:
    """Our time step and its draw as one CUDA graph, replayed: the ids stay on the device until the end.

    A graph has fixed addresses, so what a step gives is copied to where the next one reads. The graph is told of the
    generator, so that every replay draws other numbers.
    """
    device = model.head.weight.device
    generator = torch.Generator(device).manual_seed(0)
    heat = torch.full((rows, 1), TEMPERATURE, device=device)
    step, ids = model.stepper(), torch.zeros(rows, dtype=torch.int64, device=device)
    state = tuple(part.clone() for part in model.initial_state(rows))

    def advance() -> None:
        logits, after = step(ids, state)
        ids.copy_(gumbel(logits, heat, generator))
        for part, new in zip(state, after, strict=True):
            part.copy_(new)

    side, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.no_grad(), torch.cuda.stream(side):  # what is set up at a first call must not be in the graph
        for _ in range(3):
            advance()
    torch.cuda.current_stream().wait_stream(side)
    graph.register_generator_state(generator)
    with torch.no_grad(), torch.cuda.graph(graph):
        advance()

    def run() -> list[str]:
        ids.zero_()
        for part, first in zip(state, model.initial_state(rows), strict=True):
            part.copy_(first)
        columns = torch.empty(LENGTH, rows, dtype=torch.int64, device=device)
        for column in columns:
            graph.replay()
            column.copy_(ids)
        return ["".join(VOCABULARY.tokens[index] for index in text) for text in columns.T.tolist()]

    return run


def gumbel(logits: Tensor, heat: Tensor, generator: torch.Generator) -> Tensor:
    """A draw without the question whether any temperature is 0, for a graph cannot wait for an answer."""
    noise = torch.empty_like(logits).exponential_(generator=generator).log_()
    return (logits / heat - noise).argmax(1)


def measured(ways: dict[str, Callable[[], list[str]]], repeats: int) -> dict[str, list[float]]:
    """Characters a second of each way, in turns."""
    figures = {name: list[float]() for name in ways}
    for repeat in range(repeats + 1):
        for name, way in ways.items():
            start, characters, seconds = perf_counter(), 0, 0.0
            while seconds < TURN:
                characters += LENGTH * len(way())
                seconds = perf_counter() - start
            if repeat:  # the first one warms up
                figures[name].append(characters / seconds)
    return figures


def line_of(name: str, device: torch.device, repeats: int) -> str:
    """A line of the table."""
    model = built(name, device)
    loop = loop_of(model)
    ways: dict[str, Callable[[], list[str]]] = {}
    for rows in (1, ROWS):
        ways[f"usual {rows}"] = lambda rows=rows: usual(loop, rows, device)  # type: ignore[misc]
        ways[f"ours {rows}"] = lambda rows=rows: ours(model, rows)  # type: ignore[misc]
        if device.type == "cuda":
            ways[f"graph {rows}"] = captured(model, rows)
    figures = measured(ways, repeats)
    middle = {way: median(values) for way, values in figures.items()}

    def cell(way: str, *others: str) -> str:
        low, high = min(figures[way]), max(figures[way])
        ratios = "".join(f", {middle[way] / middle[other]:.1f}x" for other in others)
        return f"{middle[way]:,.0f} ({low:,.0f}-{high:,.0f}){ratios}"

    cells = [
        cell("usual 1"),
        cell("ours 1", "usual 1"),
        cell(f"usual {ROWS}"),
        cell(f"ours {ROWS}", "usual 1", f"usual {ROWS}"),
    ]
    if device.type == "cuda":
        cells += [cell("graph 1", "usual 1"), cell(f"graph {ROWS}", "usual 1", f"usual {ROWS}")]
    return f"| `{name}` | {' | '.join(cells)} |"


def table(names: list[str], device: torch.device, repeats: int) -> None:
    """Print one table."""
    print(f"\n{device.type}: {LENGTH} characters a row, medians (least-most) of {repeats} turns\n")
    heads = ["network", "usual loop, 1 row", "ours, 1 row", f"usual loop, {ROWS} rows"]
    heads.append(f"ours, {ROWS} rows (over the usual loop's 1 row, its {ROWS} rows)")
    heads += ["CUDA graph, 1 row", f"CUDA graph, {ROWS} rows"] if device.type == "cuda" else []
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name in names:
        print(line_of(name, device, repeats), flush=True)


def start_up(repeats: int = 5) -> str:
    """Seconds until one character is there, beside those that importing torch takes."""
    bare, whole = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        timed("fit", *STARTED, folder=folder)
        (run,) = Path(folder).glob("runs/*/version_0")
        for _ in range(repeats):
            start = perf_counter()
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
            bare.append(perf_counter() - start)
            whole.append(timed("sample", str(run), "--n", "1", "--length", "1", folder=folder)[0])
    spreads = [f"{median(times):.2f} s ({min(times):.2f}-{max(times):.2f})" for times in (bare, whole)]
    return f"start-up: `import torch` alone {spreads[0]}, `lightseq sample` of one character {spreads[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help=f"as {NETWORKS[0]}; default all of ours")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each; default 5")
    arguments = parser.parse_args()
    print(f"{machine()}; {torch.get_num_threads()} threads on both sides")
    table(arguments.networks, torch.device("cpu"), arguments.repeats)
    if torch.cuda.is_available():
        table(arguments.networks, torch.device("cuda"), arguments.repeats)
    else:
        print("\nno GPU here: its rows, and the CUDA graph of a time step, are skipped")
    print(f"\n{start_up()}")


if __name__ == "__main__":
    main()

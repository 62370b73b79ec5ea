"""Which backbone is worth using where: equal parameters, equal time, the same text.

    python benchmarks/backbones.py --plot backbones.svg       # a table and a plot; about ten minutes
    python benchmarks/backbones.py lstm mingru                # some of them

Each has the hidden size that brings the whole model nearest to 0.8 million parameters, and as many updates as it makes
in 40 seconds of training on this machine, by the pace of a short run; everything else is the recipe `shakespeare`, its
learning rate among it, which was chosen for an LSTM. What is measured is kept in a file, and gone on from. The plot
needs matplotlib.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runs import done_before, fit, keep, machine

from lightseq.data import SequenceData
from lightseq.model import build_model

CLASSICAL = {"layer_norm": True, "orthogonal": True, "initial_state": "learned"}
BACKBONES: dict[str, tuple[int, dict[str, Any]]] = {
    "rnn": (1, CLASSICAL),
    "gru": (1, CLASSICAL),
    "lstm": (1, CLASSICAL),
    "mingru": (2, {}),
    "minlstm": (2, {}),
    "rglru": (2, {}),
    "mlstm": (2, {}),
}
"""Layers, and arguments of its own."""

PARAMETERS, SECONDS, LOOKS = 800_000, 40.0, 4
PILOT = (20, 80)
"""Updates of two short runs; the difference of their times has no start-up in it."""


def size_of(name: str, vocabulary: Sequence[str]) -> tuple[int, int]:
    """The hidden size, a multiple of 16, that comes nearest, and the parameters it makes."""
    layers, own = BACKBONES[name]
    counts = {}
    for hidden in range(64, 1025, 16):
        model = build_model(
            vocabulary=vocabulary,
            labels=None,
            backbone=name,
            backbone_args=own,
            embedding_size=64,
            hidden_size=hidden,
            num_layers=layers,
            dropout=0.0,
            tie_head=False,
        )
        counts[hidden] = sum(p.numel() for p in model.parameters())
        if counts[hidden] > 2 * PARAMETERS:
            break
    best = min(counts, key=lambda hidden: abs(counts[hidden] - PARAMETERS))
    return best, counts[best]


def measured(name: str, vocabulary: Sequence[str]) -> dict[str, Any]:
    """A backbone's run."""
    layers, own = BACKBONES[name]
    hidden, parameters = size_of(name, vocabulary)
    words = ["--config", "shakespeare", "--model.backbone", name, "--model.hidden_size", str(hidden)]
    words += ["--model.num_layers", str(layers), "--sampling.every_n_steps", "0"]
    words += [word for key, value in own.items() for word in (f"--model.backbone_args.{key}", str(value).lower())]
    pilot = ["--trainer.limit_val_batches", "1", "--trainer.max_steps"]
    short = fit([*words, *pilot, str(PILOT[0])])
    words += ["--trainer.precision", short["precision"]]
    long = fit([*words, *pilot, str(PILOT[1])])
    pace = (long["seconds"] - short["seconds"]) / (PILOT[1] - PILOT[0])
    updates = int(SECONDS / pace) // LOOKS * LOOKS
    lengths = ["--trainer.max_steps", str(updates), "--trainer.val_check_interval", str(updates // LOOKS)]
    values = fit([*words, *lengths])
    return {"machine": machine(), "hidden": hidden, "parameters": parameters, "pace": pace, **values}


def line_of(name: str, entry: Mapping[str, Any]) -> str:
    """A line of the table."""
    rate = 32 * 64 / entry["pace"] / 1000
    losses = " | ".join(f"{entry[f'val/loss{suffix}']:.3f}" for suffix in ("", "_cold64", "_cold256"))
    size = f"{entry['hidden']} x {BACKBONES[name][0]}"
    return f"| `{name}` | {size} | {entry['parameters']:,} | {rate:.0f} | {entry['precision']} | {losses} |"


def plot(done: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Held-out loss against seconds of training."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.0), layout="constrained")
    for name in BACKBONES:
        if name in done:
            points = [(update * done[name]["pace"], loss) for update, loss in done[name]["curve"]]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axes.set(
        xlabel="seconds of training, by the pace of a short run",
        ylabel="val/loss, nats a character",
        title="0.8 M parameters, two CPU cores",
    )
    axes.legend(ncols=2)
    axes.grid(alpha=0.3)
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=list(BACKBONES), help=f"of {', '.join(BACKBONES)}; default all")
    parser.add_argument("--file", type=Path, default=Path("backbones.jsonl"), help="what is kept, and gone on from")
    parser.add_argument("--plot", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    done, vocabulary = done_before(arguments.file), SequenceData("shakespeare").vocabulary
    for name in arguments.backbones:
        if name not in done:
            keep(arguments.file, done, name, measured(name, vocabulary))
    print(f"\n{' / '.join(sorted({entry['machine'] for entry in done.values()}))}\n")
    print("| backbone | size | parameters | thousand tokens/s | precision | val/loss | cold64 | cold256 |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(line_of(name, done[name]) for name in arguments.backbones))
    if arguments.plot:
        plot(done, arguments.plot)


if __name__ == "__main__":
    main()

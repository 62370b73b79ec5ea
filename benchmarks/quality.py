"""How good the recipes are, beside what others reach and the best n-gram of the same split: the table of the README.

    python benchmarks/quality.py                       # every row, more than an hour
    python benchmarks/quality.py shakespeare abc       # some rows
    python benchmarks/quality.py --table               # what has been measured already

Every run is a process of its own in an empty folder, timed from its start to its end, its import, validations, samples
and yardsticks included. What is measured is kept in a file, so that rows can be run one by one and an interrupted one
goes on; a changed recipe is measured again, changed code is not: remove the file then. Losses are nats a character on
the validation part, which hyper-parameters were chosen by; `test` is a part that nothing was chosen by, `simple` the
best n-gram on the validation part. The corpora are those of ``LIGHTSEQ_DATA``, or downloaded.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from runs import done_before, fit, keep, machine

from lightseq.config import recipes

SEEDS = [["--seed_everything", str(seed)] for seed in range(3)]
FOLDS = [["--data.fold", str(fold)] for fold in range(10)]
WHOLE_TUNES = ["--config", "abc", "--data.dataset_args.drop_headers", "null"]  # as the peers have them
COURSE = ["--data.dataset_args.source", "course", "--data.dataset_args.distinct", "true"]
METRICS = ("val/loss", "val/loss_cold64", "val/loss_cold256", "test/loss", "simple")
NANOGPT = "[nanoGPT](https://github.com/karpathy/nanoGPT)"
LAB = "the recipe of [MIT's lab](https://github.com/MITDeepLearning/introtodeeplearning), below"


class Row(NamedTuple):
    """A line of the table."""

    words: Sequence[str]
    """What fit is given."""
    variants: Sequence[Sequence[str]]
    """What the runs of the row differ in."""
    tested: bool
    protocol: str
    peers: str


ROWS = {
    "shakespeare": Row(
        ["--config", "shakespeare"],
        SEEDS,
        False,
        "stream; first 1,003,854 characters to train on, last 111,540 to validate",
        f"{NANOGPT}'s quick recipe for a CPU 1.886 (cold 64), 92 s on two cores",
    ),
    "shakespeare_best": Row(
        ["--config", "shakespeare_best"],
        SEEDS[:1],
        False,
        "the same",
        f"{NANOGPT}, 10.65 M parameters on an A100 1.470 (cold 256); [minGRU](https://arxiv.org/abs/2410.01201) 1.548",
    ),
    "dinos": Row(["--config", "dinos"], SEEDS, True, "documents; 1,339 genera that come with it", ""),
    "dinos_course": Row(
        ["--config", "dinos", *COURSE, "--data.test_fraction", "0"],
        FOLDS,
        False,
        "documents; the Coursera list without duplicates, ten shuffled folds",
        "",
    ),
    "names": Row(
        ["--config", "names"],
        SEEDS,
        True,
        "documents; names.txt without duplicates",
        "[makemore](https://github.com/karpathy/makemore)'s GRU 2.065, 46 s on two cores (with duplicates)",
    ),
    "dino_clades": Row(["--config", "dino_clades"], SEEDS, True, "a label a name, nats a label", ""),
    "abc": Row(["--config", "abc"], SEEDS[:1], True, "documents; irish.abc split by tune, without X and Z", ""),
    "abc_whole": Row(WHOLE_TUNES, SEEDS, True, "documents; irish.abc split by tune, all headers", LAB),
    "abc_quarter": Row(
        [*WHOLE_TUNES, "--trainer.max_steps", "500", "--trainer.val_check_interval", "500"],
        SEEDS,
        False,
        "the same, in 500 updates",
        LAB,
    ),
}


def key_of(words: Sequence[str]) -> str:
    """A run's name in the file: its words, and a digest of its recipe's settings."""
    settings = yaml.safe_load(recipes()[words[words.index("--config") + 1]])
    return f"{' '.join(words)} #{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]}"


def measure(name: str, file: Path, done: dict[str, dict[str, Any]]) -> None:
    """The runs of a row that are not done yet."""
    if name == "lab":
        if name not in done:
            script = [sys.executable, str(Path(__file__).with_name("lab.py"))]
            lines = subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()
            points = [json.loads(line) for line in lines]
            best = min(points, key=lambda point: point["val/loss"])
            times = {"wall": best["seconds"], "all": points[-1]["seconds"]}
            keep(file, done, name, {"machine": machine(), **best, **times})
        return
    row = ROWS[name]
    for variant in row.variants:
        words = [*row.words, *variant]
        if key_of(words) not in done:
            keep(file, done, key_of(words), {"machine": machine(), **fit(words, row.tested)})


def line_of(name: str, row: Row, done: Mapping[str, Mapping[str, Any]]) -> str:
    """A row's medians, and how far the losses of its runs lie apart."""
    entries = [done[key] for key in (key_of([*row.words, *variant]) for variant in row.variants) if key in done]
    cells = {}
    for metric in METRICS:
        values = [entry[metric] for entry in entries if metric in entry]
        cells[metric] = f"{statistics.median(values):.3f}" if values else ""
        if len(values) > 1 and metric == "val/loss":
            cells[metric] += f" ({min(values):.3f} to {max(values):.3f})"
    cold = [f", {cells[f'val/loss_cold{width}']} cold {width}" for width in (64, 256) if cells[f"val/loss_cold{width}"]]
    wall = f"{statistics.median(entry['wall'] for entry in entries):.0f}" if entries else "not measured"
    losses = f"{cells['val/loss']}{''.join(cold)} | {cells['simple']} | {cells['test/loss']}"
    runs = f"{len(entries)} run{'s' * (len(entries) != 1)}"
    return f"| `{name}` | {row.protocol}; {runs} | {wall} | {losses} | {row.peers} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join([*ROWS, 'lab'])}; default all")
    parser.add_argument("--file", type=Path, default=Path("quality.jsonl"), help="what is kept, and gone on from")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    names = arguments.rows or [*ROWS, "lab"]
    if unknown := set(names) - {*ROWS, "lab"}:
        parser.error(f"no row called {', '.join(sorted(unknown))}")
    done = done_before(arguments.file)
    for name in [] if arguments.table else names:
        measure(name, arguments.file, done)
    print(f"\n{' / '.join(sorted({entry['machine'] for entry in done.values()}))}\n")
    print("| run | scored | seconds | validation | n-gram | test | others |\n|---|---|---|---|---|---|---|")
    for name in names:
        if name in ROWS:
            print(line_of(name, ROWS[name], done))
    if "lab" in names and "lab" in done:
        lab = done["lab"]
        print(f"| the lab's recipe | as `abc_whole` | {lab['wall']:.0f} | {lab['val/loss']:.3f}, its best | | | |")


if __name__ == "__main__":
    main()

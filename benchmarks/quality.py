"""How good the recipes are, beside what others reach: the table of the README.

    python benchmarks/quality.py                       # every row, more than an hour
    python benchmarks/quality.py shakespeare abc       # some rows
    python benchmarks/quality.py --table               # what has been measured already

Every run is a process of its own in an empty folder, timed from its start to its end, its import, validations, samples
and yardsticks included. What is measured is kept in a file, so that rows can be run one by one and an interrupted one
goes on; a changed recipe is measured again. Losses are nats a character on the validation part, which hyper-parameters
were chosen by; `test` is a part that nothing was chosen by. The corpora are those of ``LIGHTSEQ_DATA``, or downloaded.
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

from runs import done_before, fit, keep, machine

from lightseq.config import recipes

SEEDS = [["--seed_everything", str(seed)] for seed in range(3)]
FOLDS = [["--data.fold", str(fold)] for fold in range(10)]
WHOLE_TUNES = ["--config", "abc", "--data.dataset_args.drop_headers", "null"]  # as the peers have them
DISTINCT = ["--data.dataset_args.distinct", "true"]
COURSE = ["--data.dataset_args.source", "course", *DISTINCT]
METRICS = ("val/loss", "val/loss_cold64", "val/loss_cold256", "test/loss")


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
        "nanoGPT's quick recipe for a CPU 1.886 (cold 64)",
    ),
    "shakespeare_best": Row(
        ["--config", "shakespeare_best"],
        SEEDS[:1],
        False,
        "the same, at most 30 minutes",
        "nanoGPT, 10.65 M parameters on an A100 1.470 (cold 256); minGRU 1.548",
    ),
    "dinos": Row(
        ["--config", "dinos", *COURSE, "--data.test_fraction", "0"],
        FOLDS,
        False,
        "documents; the course's list without duplicates, ten shuffled folds",
        "5-gram 1.700",
    ),
    "names": Row(
        ["--config", "names", *DISTINCT],
        SEEDS,
        True,
        "documents; names.txt without duplicates",
        "5-gram 2.021, makemore's GRU 2.065 (both with duplicates)",
    ),
    "abc": Row(WHOLE_TUNES, SEEDS, True, "documents; irish.abc split by tune, all headers", "the lab's recipe, below"),
    "abc_quarter": Row(
        [*WHOLE_TUNES, "--trainer.max_steps", "500", "--trainer.val_check_interval", "500"],
        SEEDS[:1],
        False,
        "the same, stopped early",
        "the lab's recipe, below",
    ),
}


def key_of(words: Sequence[str]) -> str:
    """A run's name in the file: its words, and a digest of its recipe."""
    text = recipes()[words[words.index("--config") + 1]]
    return f"{' '.join(words)} #{hashlib.sha256(text.encode()).hexdigest()[:12]}"


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
    """A row's medians, and how far its runs lie apart."""
    entries = [done[key] for key in (key_of([*row.words, *variant]) for variant in row.variants) if key in done]
    if not entries:
        return f"| {name} | {row.protocol} | {row.peers} | not measured | |"
    cells = []
    for metric in METRICS:
        values = [entry[metric] for entry in entries if metric in entry]
        if values:
            spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
            cells.append(f"{metric} {statistics.median(values):.3f}{spread}")
    wall = statistics.median(entry["wall"] for entry in entries)
    return f"| {name} | {row.protocol} | {row.peers} | {'; '.join(cells)}; {len(entries)} runs | {wall:.0f} |"


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
    print("| row | protocol | peers | lightseq | seconds |\n|---|---|---|---|---|")
    for name in names:
        if name in ROWS:
            print(line_of(name, ROWS[name], done))
    if "lab" in names and "lab" in done:
        lab = done["lab"]
        print(f"| lab | as abc | | its best val/loss {lab['val/loss']:.3f} | {lab['wall']:.0f} of {lab['all']:.0f} |")


if __name__ == "__main__":
    main()

"""How fast ``lightseq fit`` trains beside a loop written by hand: python benchmarks/training.py [CASE ...]

A case is a recipe, a backbone with its size (``lstm-small``, ``mingru-large``), or ``overhead``: a network so small
that little else is left. Each is one training by ``lightseq fit`` in a terminal, on the CPU, with everything on: bar,
logging, samples, checkpoints. It is interrupted about twice a second, and in another process two bare loops take the
same batches, ready-made: one with the same network, precision and optimiser; and one in fp32 as a user would write it,
with torch's AdamW as it comes where the case has that. What the machine does meanwhile falls on all three alike.

``fit`` keeps the memory that it frees. With ``MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1000000000000`` in the
environment all three do, and what is left is the cost of all that ``fit`` does beside an update.

The columns: tokens scored a second; the training from its first stretch on over the same updates of the bare loop, what
validations take left out, samples and checkpoints not; that ratio of the stretches between two interruptions, their
median and the middle four fifths; the training over the user's loop, likewise; and what an update takes longer than in
the bare loop, on the whole and in the median stretch.
"""

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Any

import torch
from by_hand import Loops
from pytorch_lightning import Callback
from runs import done_before, machine

from lightseq.data import SequenceData

STRETCH, SECONDS = 10, 0.5
"""Updates, and time, between two interruptions at the least: what comes after one finds the caches empty."""

COLUMNS = ("case", "precision", "fit, tokens/s", "bare loop", "user's loop", "fit : bare", "of stretches")
COLUMNS += ("fit : user's", "of stretches", "added, µs", "median")

CLASSICAL = ("rnn", "gru", "lstm")
OTHERS = ("mingru", "minlstm", "rglru", "mlstm")
SIZES = {"small": (128, 1, 400, 200), "large": (512, 2, 40, 40)}
"""Hidden size, layers, updates, and updates between two looks at how it goes."""

RECIPES = {
    "dinos": [],
    "dino_clades": [],
    "shakespeare": [],
    "abc": [400, 400],
    "shakespeare_best": [60, 60],
}
"""Those that need no text of one's own; the longest cut: updates, and between two looks at how it goes."""


class Beside(Callback):
    """Runs the bare loops between the updates of a training, and adds up what each takes.

    Args:
        result: The file that is written.
    """

    def __init__(self, result: str) -> None:
        self.result = result
        self.batches: list[Any] = []
        self.stretches: list[dict[str, float]] = []
        self.began = self.fit = 0.0

    def on_train_start(self, trainer, system):
        half = str(trainer.precision) == "bf16-mixed"
        if not half and str(trainer.precision) != "32-true":
            raise SystemExit(f"no bare loop in {trainer.precision}")
        clip = trainer.gradient_clip_val
        network = system.model, system.vocabulary.boundary is None
        optimizer = system.optimizer_name, system.learning_rate, system.weight_decay
        ways = {"bare": (half, clip, False), "fp32": (False, clip, True)}
        self.loops = Loops({name: (*network, optimizer, *way) for name, way in ways.items()})
        self.began, self.fit = perf_counter(), 0.0

    def on_train_batch_start(self, trainer, system, batch, batch_idx):
        self.batches.append(batch)

    def on_train_batch_end(self, trainer, system, outputs, batch, batch_idx):
        if len(self.batches) >= STRETCH and self.fit + perf_counter() - self.began > SECONDS:
            self.close()

    def close(self):
        """End a stretch."""
        self.fit += perf_counter() - self.began
        tokens = sum(int((batch.targets >= 0).sum()) for batch in self.batches)
        own = {"fit": self.fit, "tokens": tokens, "updates": len(self.batches)}
        for name in ("bare", "fp32"):
            own[name] = self.loops.train(name, self.batches)
        self.stretches.append(own)
        self.batches.clear()
        self.fit, self.began = 0.0, perf_counter()

    def on_validation_start(self, trainer, system):
        self.fit += perf_counter() - self.began

    def on_validation_end(self, trainer, system):
        self.began = perf_counter()

    def on_train_end(self, trainer, system):
        """With what the last update has led to."""
        self.close()
        record = {"precision": str(trainer.precision), "stretches": self.stretches[1:]}  # the first warms up
        Path(self.result).write_text(json.dumps(record))


def cases() -> dict[str, list[str]]:
    """The words of each after ``lightseq fit``."""
    found = {}
    for name, cut in RECIPES.items():
        found[name] = ["--config", name, *(looks(*cut) if cut else [])]
    smallest = ["--data.window", "2", "--data.batch_size", "2", "--trainer.precision", "32-true"]
    found["overhead"] = [*network("lstm", 8, 1), *smallest, *looks(6000, 3000)]
    for backbone in CLASSICAL + OTHERS:
        for size, (hidden, layers, *cut) in SIZES.items():
            found[f"{backbone}-{size}"] = [*network(backbone, hidden, layers), *looks(*cut)]
    return found


def network(backbone: str, hidden: int, layers: int) -> list[str]:
    """The recipe for Shakespeare with another network, and AdamW."""
    words = ["--config", "shakespeare", "--model.backbone", backbone, "--model.backbone_args", "null"]
    words += ["--model.hidden_size", str(hidden), "--model.num_layers", str(layers)]
    return [*words, "--model.optimizer", "adamw", "--model.learning_rate", "3e-3"]


def looks(updates: int, every: int) -> list[str]:
    """A run cut short, with samples, a validation on few batches and a checkpoint every so many updates."""
    words = ["--trainer.max_steps", str(updates), "--trainer.val_check_interval", str(every)]
    words += ["--trainer.limit_val_batches", "2", "--sampling.every_n_steps", str(every)]
    return [*words, "--last.every_n_steps", str(every)]


def measured(words: list[str]) -> dict[str, Any]:
    """A case's training, in a process and a terminal of its own."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "beside.json")
        here = ["--trainer.callbacks+=training.Beside", f"--trainer.callbacks.result={result}"]
        command = [sys.executable, "-m", "lightseq", "fit", *words, "--trainer.accelerator", "cpu", *here]
        paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        ours, theirs = pty.openpty()
        shown: list[bytes] = []
        reader = threading.Thread(target=drain, args=(ours, shown))
        reader.start()
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, stdout=theirs, stderr=theirs, check=False
        )
        os.close(theirs)
        reader.join()
        os.close(ours)
        if done.returncode:
            raise SystemExit(b"".join(shown).decode(errors="replace"))
        return dict(json.loads(result.read_text()))


def drain(terminal: int, shown: list[bytes]) -> None:
    """Read what a process writes to a terminal, until it closes it."""
    with suppress(OSError):
        while block := os.read(terminal, 65536):
            shown.append(block)


def line_of(name: str, entry: dict[str, Any]) -> str:
    """A row of the table."""
    stretches = entry["stretches"]
    total = {key: sum(stretch[key] for stretch in stretches) for key in stretches[0]}
    whole = stretches[:-1]  # training ends in the middle of the last
    ratios = [stretch["bare"] / stretch["fit"] for stretch in whole]
    low, *_, high = quantiles(ratios, n=10, method="inclusive")
    users = median(stretch["fp32"] / stretch["fit"] for stretch in whole)
    added = [(stretch["fit"] - stretch["bare"]) / stretch["updates"] * 1e6 for stretch in whole]
    rates = " | ".join(f"{total['tokens'] / total[loop]:,.0f}" for loop in ("fit", "bare", "fp32"))
    return (
        f"| `{name}` | {entry['precision']} | {rates} | {total['bare'] / total['fit']:.3f} | {median(ratios):.3f} "
        f"({low:.2f} to {high:.2f}) | {total['fp32'] / total['fit']:.2f} | {users:.2f} | "
        f"{(total['fit'] - total['bare']) / total['updates'] * 1e6:+,.0f} | {median(added):+,.0f} |"
    )


def making(dataset: str, **settings: Any) -> str:
    """Microseconds that a batch takes to be made, with nothing else in between: the median of some epochs."""
    loader = SequenceData(dataset, batch_size=32, seed=0, **settings).train_dataloader()
    took = []
    for _ in range(7):
        began = perf_counter()
        for _ in loader:
            pass
        took.append((perf_counter() - began) / len(loader) * 1e6)
    return f"{dataset} {median(took):.0f} us ({min(took):.0f} to {max(took):.0f})"


def main() -> None:
    known = cases()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(known)}; all of them")
    parser.add_argument("--kept", type=Path, help="a file of what has been measured, gone on from")
    chosen = parser.parse_args()
    if unknown := set(chosen.cases) - set(known):
        parser.error(f"no case is called {', '.join(sorted(unknown))}")
    done = done_before(chosen.kept) if chosen.kept else {}
    print(machine(), f"\n{torch.get_num_threads()} threads\n", flush=True)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    for name in chosen.cases or known:
        if name not in done:
            done[name] = measured(known[name])
            if chosen.kept:
                with chosen.kept.open("a") as out:
                    out.write(json.dumps({"key": name, **done[name]}) + "\n")
        print(line_of(name, done[name]), flush=True)
    made = making("dinos"), making("shakespeare", window=64), making("shakespeare", window=64, cold_starts=0.06)
    print(f"\na batch made: {made[0]}, {made[1]}, with cold starts {made[2]}")


if __name__ == "__main__":
    main()

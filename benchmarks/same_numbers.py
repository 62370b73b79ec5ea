"""Compare the numbers of two installed versions: python benchmarks/same_numbers.py OLD_PYTHON [NEW_PYTHON].

Each Python has a version of lightseq installed. Both train the same recipes with a fixed seed and precision. The
weights, the optimizer's state and the samples of a fixed seed must be identical to the last bit, and a run that the new
version stops half-way and resumes must end like one that was not stopped. Exit status 1 where anything differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

RECIPES = ("dinos", "names", "abc", "shakespeare")

FIXED = "--seed_everything 1 --trainer.precision 32-true --trainer.accelerator cpu --sampling.every_n_steps 0"

COMPARED = ("state_dict", "optimizer_states", "lr_schedulers")
"""Parts of a checkpoint that hold numbers of the training."""


def lightseq(python: str, folder: Path, *argv: str, stop_after: int = 0) -> str:
    """Run a command of one version and return its standard output.

    Args:
        python: Interpreter with lightseq installed.
        folder: Working folder.
        argv: Command line after ``lightseq``.
        stop_after: Update after which the run is stopped as by SIGTERM; 0 runs to the end.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if stop_after:
        environment["LIGHTSEQ_STOP_AFTER"] = str(stop_after)
    command = [python, "-m", "lightseq", *argv]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != (143 if stop_after else 0):
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def differing(one: Any, other: Any, name: str) -> Iterator[str]:
    """Yield the names of values that are not identical."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield name
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key in one:
            yield from differing(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differing(*pair, f"{name}[{index}]")
    elif one != other:
        yield name


def compare(recipe: str, old: str, new: str, updates: int) -> list[str]:
    """Train a recipe with both versions and return what differs."""
    words = ["fit", "--config", recipe, *FIXED.split(), "--trainer.max_steps", str(updates)]
    sample = "sample {run} --n 20 --temperature 0,0.8 --seed 5 --length 200"
    contents = list[dict[str, Any]]()
    texts = list[str]()
    with tempfile.TemporaryDirectory() as name:
        for python, stop in ((old, 0), (new, 0), (new, updates // 2)):
            folder = Path(name, str(len(contents)))
            folder.mkdir()
            lightseq(python, folder, *words, stop_after=stop)
            (run,) = folder.glob("runs/*/version_0")
            if stop:
                lightseq(python, folder, "fit", "--resume", str(run))
            contents.append(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True))
            texts.append(lightseq(python, folder, *sample.format(run=run).split()))
    found = list[str]()
    for other, text, what in zip(contents[1:], texts[1:], ("the new version", "the resumed run"), strict=True):
        for part in COMPARED:
            found += [f"{what}: {key}" for key in differing(contents[0][part], other[part], part)]
        found += [f"{what}: samples"] * (text != texts[0])
    return found


def main() -> int:
    """Print a row for each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", metavar="OLD_PYTHON")
    parser.add_argument("new", metavar="NEW_PYTHON", nargs="?", default=sys.executable)
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    arguments = parser.parse_args()
    differences = 0
    for recipe in arguments.recipes:
        found = compare(recipe, arguments.old, arguments.new, arguments.updates)
        differences += len(found)
        print(f"{recipe}, {arguments.updates} updates: {'; '.join(found[:5]) or 'identical'}", flush=True)
    return int(differences > 0)


if __name__ == "__main__":
    raise SystemExit(main())

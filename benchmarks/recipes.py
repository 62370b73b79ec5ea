"""What the shipped recipes take and reach, beside the best n-gram on the same split.

    python benchmarks/recipes.py                          # all that train a language model or labels, one seed
    python benchmarks/recipes.py dinos names --seeds 3    # medians over seeds

Each run is a process of its own in an empty folder, timed from its start to its end, validations, samples and the
yardsticks included. The corpora are those of ``LIGHTSEQ_DATA``, else downloaded.
"""

import argparse
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter

import torch
import yaml

from lightseq.config import recipes
from lightseq.data import SequenceData
from lightseq.data.ngram import yardsticks

RECIPES = ("dinos", "names", "shakespeare", "abc", "dino_clades")


def timed(*words: str, folder: str) -> tuple[float, str]:
    """Seconds and standard output of a command."""
    start = perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "lightseq", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return perf_counter() - start, done.stdout


def value(text: str, name: str) -> float:
    """The number after a metric's name."""
    found = re.search(rf"{name}\W+([\d.]+)", text)
    assert found, f"no {name} in:\n{text}"
    return float(found[1])


def measured(recipe: str, seed: int, tested: bool) -> dict[str, float]:
    """Seconds, and the best validation's numbers with the test's beside them."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, out = timed("fit", "--config", recipe, "--seed_everything", str(seed), folder=folder)
        best = out.partition("\nbest, after")[2]
        numbers = {"seconds": seconds, "val": value(best, "val/loss"), "accuracy": value(best, "val/accuracy")}
        if tested:
            _, tests = timed("test", "--ckpt_path", f"runs/{recipe}/version_0", folder=folder)
            numbers |= {"test": value(tests, "test/loss"), "test accuracy": value(tests, "test/accuracy")}
    print(
        f"{recipe}, seed {seed}: " + ", ".join(f"{name} {number:.3f}" for name, number in numbers.items()), flush=True
    )
    return numbers


def row(recipe: str, seeds: int) -> str:
    """A line of the table."""
    settings = yaml.safe_load(recipes()[recipe])["data"]
    data = SequenceData(settings["dataset"], settings.get("dataset_args"))
    stream, tested = data.dataset.layout == "stream", len(data.parts["test"]) > 0
    runs = [measured(recipe, seed, tested) for seed in range(seeds)]
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    cells = [f"`{recipe}`", f"{middle['seconds']:.0f}"]
    for split in ("val", "test")[: 1 + tested]:
        simple = yardsticks(data.store, data.parts, stream, split)
        name, nats = list(simple.rows.items())[-1]
        cells += [f"{middle[split]:.3f}", f"{nats:.3f} ({name})"]
    return f"| {' | '.join(cells + [''] * (6 - len(cells)))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES, help=f"default {' '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")
    rows = [row(recipe, arguments.seeds) for recipe in arguments.recipes]
    print("\n| recipe | seconds | validation | simple model | test | simple model |\n|---|---|---|---|---|---|")
    print("\n".join(rows))
    helps = [timed("--help", folder=".")[0] for _ in range(5)]
    print(f"\n`lightseq --help`: {statistics.median(helps):.2f} s")


if __name__ == "__main__":
    main()

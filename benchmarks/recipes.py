"""What the shipped recipes take and reach, beside the best n-gram on the same split.

    python benchmarks/recipes.py                          # all that train a language model or labels, one seed
    python benchmarks/recipes.py dinos names --seeds 3    # medians over seeds

Each run is a process of its own in an empty folder, timed from its start to its end, validations, samples and the
yardsticks included. The corpora are those of ``LIGHTSEQ_DATA``, else downloaded.
"""

import argparse
import statistics

import yaml
from runs import fit, machine, timed

from lightseq.config import recipes
from lightseq.data import SequenceData
from lightseq.data.ngram import yardsticks

RECIPES = ("dinos", "names", "shakespeare", "abc", "dino_clades")


def row(recipe: str, seeds: int) -> str:
    """A line of the table."""
    settings = yaml.safe_load(recipes()[recipe])["data"]
    data = SequenceData(settings["dataset"], settings.get("dataset_args"))
    stream, tested = data.dataset.layout == "stream", len(data.parts["test"]) > 0
    runs = [fit(["--config", recipe, "--seed_everything", str(seed)], tested) for seed in range(seeds)]
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0] if "/" in name or name == "wall"}
    print(recipe, {name: round(value, 4) for name, value in middle.items()}, flush=True)
    cells = [f"`{recipe}`", f"{middle['wall']:.0f}"]
    for split in ("val", "test")[: 1 + tested]:
        simple = yardsticks(data.store, data.parts, stream, split)
        name, nats = list(simple.rows.items())[-1]
        cells += [f"{middle[f'{split}/loss']:.3f}", f"{nats:.3f} ({name})"]
    return f"| {' | '.join(cells + [''] * (6 - len(cells)))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=RECIPES, help=f"default {' '.join(RECIPES)}")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    print(machine())
    rows = [row(recipe, arguments.seeds) for recipe in arguments.recipes]
    print("\n| recipe | seconds | validation | simple model | test | simple model |\n|---|---|---|---|---|---|")
    print("\n".join(rows))
    helps = [timed("--help", folder=".")[0] for _ in range(5)]
    print(f"\n`lightseq --help`: {statistics.median(helps):.2f} s")


if __name__ == "__main__":
    main()

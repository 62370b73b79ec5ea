"""What the first command of the README takes and reaches, beside a 5-gram on the same split.

Run it from anywhere: ``python benchmarks/dinos.py [--seeds 3]``. Each run is a process of its own in an empty folder,
timed from its start to its end, the validation after every epoch and all samples included.
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

from lightseq.data import SequenceData
from lightseq.data.ngram import document_text, ngram_nats


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


def ngram_losses(order: int) -> dict[str, float]:
    """Nats per token of an n-gram on each held-out part of the split that lightseq uses."""
    data = SequenceData("dinos")
    texts = {split: document_text(data.store, part) for split, part in data.parts.items()}
    size = len(data.vocabulary)
    return {
        split: float(ngram_nats(texts["train"], texts[split], size, order)[order].mean()) for split in ("val", "test")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads"
    print(f"{machine}, Python {platform.python_version()}, torch {torch.__version__}")
    rows = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            seconds, out = timed("fit", "--config", "dinos", "--seed_everything", str(seed), folder=folder)
            _, tests = timed("test", "--ckpt_path", "runs/dinos/version_0", folder=folder)
        rows.append((seconds, value(out.partition("best, after")[2], "val/loss"), value(tests, "test/loss")))
        print("seed {}: {:.1f} s, {:.3f} nats a character on validation, {:.3f} on test".format(seed, *rows[-1]))
    grams = ngram_losses(5)
    middle = [statistics.median(column) for column in zip(*rows, strict=True)]
    print("\n| | seconds | validation | test |\n|---|---|---|---|")
    print("| lightseq, `dinos.yaml`, median of {} seeds | {:.0f} | {:.3f} | {:.3f} |".format(len(rows), *middle))
    print(f"| interpolated Kneser-Ney 5-gram | | {grams['val']:.3f} | {grams['test']:.3f} |")
    helps = [timed("--help", folder=".")[0] for _ in range(5)]
    print(f"\n`lightseq --help`: {statistics.median(helps):.2f} s")


if __name__ == "__main__":
    main()

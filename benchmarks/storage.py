"""What the way of the data costs: encoding a text, its memory, a batch.

    python benchmarks/storage.py                  # up to 10 GB, in a temporary folder: needs twice that
    python benchmarks/storage.py --gigabytes 0.5

The text is Shakespeare's (``LIGHTSEQ_DATA``, else downloaded), over and over. Each row is a process of its own, so that
its peak of resident memory is its own too.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

MEASURE = """
import json, resource, sys, warnings
from time import perf_counter
import numpy, torch
import pytorch_lightning as pl
from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

warnings.simplefilter("ignore")
path, by, updates = sys.argv[1], sys.argv[2], int(sys.argv[3])
imported = peak()
began = perf_counter()
sizes = {"batch_size": 64, "window": 128, "val_fraction": 0.001, "test_fraction": 0.001}
data = SequenceData("text", {"path": path, "by": by}, **sizes)
data.store
encoded = perf_counter() - began
began = perf_counter()
again = SequenceData("text", {"path": path, "by": by}, **sizes)
again.store
opened = perf_counter() - began
source = data.train_dataloader().source
batches = min(2000, len(source))
source.batch(0, 0)
began = perf_counter()
for index in range(batches):
    source.batch(0, index)
batch = (perf_counter() - began) / batches
if updates:
    system = SequenceSystem(data.vocabulary, data.labels, data.token_counts, hidden_size=128)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet["enable_model_summary"] = False
    trainer = pl.Trainer(accelerator="cpu", max_steps=updates, limit_val_batches=5, num_sanity_val_steps=0, **quiet)
    trainer.fit(system, data)
print(json.dumps({"encoded": encoded, "opened": opened, "batch": batch, "imported": imported, "peak": peak()}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=10.0, help="of the largest text; default 10")
    parser.add_argument("--updates", type=int, default=100, help="of training on it; default 100")
    parser.add_argument("--repeats", type=int, default=3, help="of the rows up to 1 GB; default 3")
    arguments = parser.parse_args()
    from lightseq.datasets.shakespeare import FILE

    from lightseq.data import fetch

    text = fetch(*FILE).read_bytes()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| text | documents | encoded, MB/s | opened again, s | a batch, us | peak memory, MB (of it imports) |")
    print("|---|---|---|---|---|---|")
    sizes = [(0.1, "stream"), (0.1, "line"), (0.1, "blank_line"), (1.0, "stream"), (arguments.gigabytes, "stream")]
    for gigabytes, by in sizes:
        if gigabytes <= arguments.gigabytes:
            repeats = arguments.repeats if gigabytes <= 1 else 1
            print(row(text, gigabytes, by, arguments.updates, repeats), flush=True)


def row(text: bytes, gigabytes: float, by: str, updates: int, repeats: int) -> str:
    """One line of the table: medians, and the highest peak."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text.txt")
        with path.open("wb") as file:
            for _ in range(int(gigabytes * 1e9 / len(text)) + 1):
                file.write(text)
        os.utime(path, (1e9, 1e9))  # changed long ago, so that its fingerprint is believed
        for repeat in range(repeats):
            environment = {**os.environ, "LIGHTSEQ_CACHE": f"{folder}/cache{repeat}"}
            words = [sys.executable, "-c", MEASURE, str(path), by, str(updates)]
            began = perf_counter()
            done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(done.stderr)
            runs.append({**json.loads(done.stdout.splitlines()[-1]), "whole": perf_counter() - began})
        size = path.stat().st_size / 1e6
    encoded, opened, batch = (median(run[name] for run in runs) for name in ("encoded", "opened", "batch"))
    peak, imported = max(run["peak"] for run in runs), max(run["imported"] for run in runs)
    unit = f"{gigabytes:g} GB"
    return (
        f"| {unit} | {by} | {size / encoded:.0f} | {opened:.3f} | {1e6 * batch:.1f} | {peak:,.0f} ({imported:,.0f}) |"
    )


if __name__ == "__main__":
    main()

"""What one text costs, and one training: each measured in a process of its own (``resident.py``).

A folder holds the text and, while it is needed, the cache.
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from resident import Watched, watched
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

REPEATED, REPEATS = 100_000_000, 3
"""Texts up to so many bytes are encoded several times."""
UPDATES, EVERY = 40, 10
"""Of a training, and from entry to entry in its log."""

IMPORTS = "import torch, lightseq.system, lightseq.data"
ENCODE = """
import json, os, shutil, sys
from time import perf_counter, process_time
from lightseq.data import SequenceData

path, by, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3])
seconds, busy = [], []
for _ in range(repeats):
    shutil.rmtree(os.environ["LIGHTSEQ_CACHE"], ignore_errors=True)
    data = SequenceData("text", {"path": path, "by": by})
    began, worked = perf_counter(), process_time()
    data.store
    seconds.append(perf_counter() - began)
    busy.append(process_time() - worked)
print(json.dumps({"seconds": seconds, "busy": busy, "documents": len(data.store.digests)}))
"""
READ = """
import json, sys
from time import perf_counter
from lightseq.data import SequenceData

data = SequenceData("text", {"path": sys.argv[1], "by": sys.argv[2]}, batch_size=32, window=64)
began = perf_counter()
source = data.train_dataloader().source
opened = perf_counter() - began
batches, seconds = min(200, len(source) // 10), []
for part in range(10):
    began = perf_counter()
    for index in range(batches):
        source.batch(0, part * batches + index)
    seconds.append((perf_counter() - began) / batches)
print(json.dumps({"opened": opened, "batch": sorted(seconds)[5]}))
"""


def write_text(path: Path, size: int) -> None:
    """A text of so many bytes: four megabytes of random lines again and again, each time with another first word."""
    rng, letters = np.random.default_rng(0), np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
    words = [rng.choice(letters, rng.integers(2, 10)).tobytes() for _ in range(5000)]
    shares = 1 / np.arange(1, 5001)
    drawn = rng.choice(5000, (60_000, 9), p=shares / shares.sum()).tolist()
    lines = [b" ".join([b"....", *(words[i] for i in row)]) + b"\n" for row in drawn]
    text = np.frombuffer(bytearray(b"".join(lines)), np.uint8)
    first = np.cumsum([0, *map(len, lines[:-1])])[:, None] + np.arange(4)
    with path.open("wb") as file:
        for number in range(-(-size // len(text))):
            text[first] = letters[number // 26 ** np.arange(4) % 26]
            file.write(text[: size - number * len(text)].data)
    os.utime(path, (1e9, 1e9))  # changed long ago, so that its fingerprint is believed


def run(code: str, folder: Path, *words: str) -> Watched:
    """A piece of Python in a process of its own."""
    return watched([sys.executable, "-c", code, *words], folder, surroundings(folder))


def surroundings(folder: Path) -> dict[str, str]:
    """One precision for all: what is probed anew for each run may differ."""
    return {**os.environ, "LIGHTSEQ_CACHE": str(folder / "cache"), "LIGHTSEQ_PRECISION": "32-true"}


def encoded(path: Path, by: str) -> dict[str, Any]:
    """From a file to a store, its ``seconds`` and those that a core was ``busy``, each time; then the store is opened
    again and read, to train on."""
    repeats = REPEATS if path.stat().st_size <= REPEATED else 1
    encode = run(ENCODE, path.parent, str(path), by, str(repeats))
    read = run(READ, path.parent, str(path), by)
    return {"encode": encode, "read": read, **json.loads(encode.out), **json.loads(read.out)}


def trained(path: Path, by: str, settings: Mapping[str, int], *more: str) -> dict[str, Any]:
    """A training as a user starts it: ``first``, the seconds until its first update is done, and ``update``, those of
    each later one, by the times of the entries in its log; ``rate``, tokens a second, as that says."""
    words = ["--config", "text", "--data.dataset_args.path", str(path), "--data.dataset_args.by", by]
    words += ["--data.batch_size", str(settings["rows"]), "--data.window", str(settings["window"])]
    words += ["--model.hidden_size", str(settings["hidden"]), "--trainer.accelerator", "cpu"]
    words += ["--trainer.devices", str(settings["processes"]), "--trainer.log_every_n_steps", str(EVERY)]
    words += ["--trainer.max_steps", str(UPDATES), "--trainer.val_check_interval", str(UPDATES)]
    done = watched([sys.executable, "-m", "lightseq", "fit", *words, *more], path.parent, surroundings(path.parent))
    board = EventAccumulator(str(path.parent / "runs/text/version_0")).Reload()
    times = [entry.wall_time for entry in board.Scalars("train/loss")]
    rate = median(entry.value for entry in board.Scalars("train/tokens_per_second"))
    shutil.rmtree(path.parent / "runs")
    first = times[0] - (times[1] - times[0]) * (1 - 1 / EVERY) - done.began
    return {"fit": done, "first": first, "update": median(np.diff(times)) / EVERY, "rate": rate}

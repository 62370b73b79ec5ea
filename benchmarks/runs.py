"""Runs of lightseq as a user starts them, timed: what the benchmarks share."""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.model import SequenceModel, build_model

TOKENS = [chr(ord("0") + number) for number in range(65)]
"""As many as Shakespeare has characters."""


def machine() -> str:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    cpu = name[1].strip() if name else platform.machine()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{cpu}, {os.cpu_count()} cores ({torch.backends.cpu.get_cpu_capability()}){gpu}, {versions}"


def timed(*words: str, folder: str) -> tuple[float, str]:
    """Seconds and standard output of a command of lightseq's."""
    start = perf_counter()
    command = [sys.executable, "-m", "lightseq", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"lightseq {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return perf_counter() - start, done.stdout


def fit(words: Sequence[str], tested: bool = False) -> dict[str, Any]:
    """Train in an empty folder: what ``results.json`` says, the seconds from start to end in ``wall``, ``val/loss`` at
    each update that was validated after in ``curve``, the best simple model's nats on the same split in ``simple``, and
    the metrics of the test split where they are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        wall, out = timed("fit", *words, folder=folder)
        (record,) = Path(folder).glob("runs/*/version_0/results.json")
        board = EventAccumulator(str(record.parent)).Reload()
        curve = [(point.step, point.value) for point in board.Scalars("val/loss")] if board.Tags()["scalars"] else []
        values: dict[str, Any] = json.loads(record.read_text()) | {"wall": wall, "curve": curve}
        if simple := re.search(r"^beat .* ([\d.]+) nats", out, re.MULTILINE):
            values["simple"] = float(simple[1])
        if tested:
            _, out = timed("test", "--ckpt_path", str(record.parent), folder=folder)
            values |= {name: float(value) for name, value in re.findall(r"(test/\w+) +([\d.]+)", out)}
    return values


def network(backbone: str, hidden: int, layers: int) -> SequenceModel:
    """A language model of ``TOKENS``, its weights drawn."""
    torch.manual_seed(0)
    return build_model(
        vocabulary=TOKENS,
        labels=None,
        backbone=backbone,
        backbone_args=None,
        embedding_size=64,
        hidden_size=hidden,
        num_layers=layers,
        dropout=0.0,
        tie_head=False,
    )


def done_before(file: Path) -> dict[str, dict[str, Any]]:
    """Finished runs by what they were."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {entry["key"]: entry for entry in map(json.loads, lines)}


def keep(file: Path, done: dict[str, dict[str, Any]], key: str, entry: dict[str, Any]) -> None:
    """Write a finished run down at once."""
    done[key] = {"key": key, **entry}
    with file.open("a") as out:
        out.write(json.dumps(done[key]) + "\n")
    print(key, {name: round(value, 4) for name, value in entry.items() if isinstance(value, float)}, flush=True)

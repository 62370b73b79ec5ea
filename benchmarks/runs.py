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
    """Train in an empty folder: what ``results.json`` says, the seconds from start to end in ``wall``, and the metrics
    of the test split where there is one and it is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        wall, _ = timed("fit", *words, folder=folder)
        (record,) = Path(folder).glob("runs/*/version_0/results.json")
        values: dict[str, Any] = json.loads(record.read_text()) | {"wall": wall}
        if tested:
            _, out = timed("test", "--ckpt_path", str(record.parent), folder=folder)
            values |= {name: float(value) for name, value in re.findall(r"(test/\w+) +([\d.]+)", out)}
    return values

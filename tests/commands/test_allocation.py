"""What ``fit`` does to the memory of its process."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not GNU's")

FAULTS = """
import ctypes
import resource

import torch
from pytorch_lightning import Callback


class Faults(Callback):
    def on_train_end(self, trainer, pl_module):
        ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: a huge page would be one for hundreds
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(50):
            torch.empty(1 << 24).fill_(1.0)
        with open("faults.txt", "w") as file:
            file.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before))
"""
BLOCK = (1 << 26) // os.sysconf("SC_PAGE_SIZE")
"""Pages of a block of 64 MB, of which fifty are taken and freed, one after the other. Of those that are kept the first
few are new all the same: what small things come to lie between them decides how many, one to six in 24 trials."""


def faults(words: str, **environment: str) -> int:
    Path("faulting.py").write_text(FAULTS)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    paths = os.pathsep.join([os.getcwd(), own.get("PYTHONPATH", "")])
    line = f"{words} --trainer.callbacks+=faulting.Faults"
    command = [sys.executable, "-m", "lightseq", "fit", *line.split()]
    subprocess.run(command, env={**own, "PYTHONPATH": paths, **environment}, check=True, capture_output=True)
    return int(Path("faults.txt").read_text())


def test_what_an_update_frees_is_there_for_the_next(tiny: str) -> None:
    assert faults(f"--config {tiny}") < 25 * BLOCK


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_MMAP_THRESHOLD_", "1048576"), ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576")],
)
def test_whoever_has_chosen_otherwise_is_obeyed(tiny: str, name: str, value: str) -> None:
    assert faults(f"--config {tiny}", **{name: value}) > 45 * BLOCK


def test_another_setting_is_no_choice(tiny: str) -> None:
    assert faults(f"--config {tiny}", MALLOC_ARENA_MAX="2") < 25 * BLOCK

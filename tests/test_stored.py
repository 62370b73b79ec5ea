"""Checkpoints of earlier versions, which stay readable: ``tests/stored`` has one of each, and none is ever changed.

Each is the ``last.ckpt`` of a run of 20 updates on the dinosaurs' names that was stopped after 13.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lightseq.checkpoint import load_trained

Run = Callable[..., tuple[int, str, str]]

STORED = sorted((Path(__file__).parent / "stored").iterdir())
LOSSES = {"version_0_1_0": (2.726834, 2.691906)}
"""Of the validation split, after 13 updates and at the end, in nats a token."""


@pytest.mark.parametrize("stored", STORED, ids=lambda path: path.name)
def test_an_old_checkpoint_is_scored_sampled_and_gone_on_from(stored: Path, run: Run) -> None:
    folder = Path("runs/dinos/version_0")
    shutil.copytree(stored, folder)
    before, end = LOSSES[stored.name]
    assert load_trained(folder).vocabulary.tokens[:2] == ["", "a"]
    status, out, err = run(f"validate --ckpt_path {folder}")
    assert (status, err.splitlines()[2:]) == (0, [])
    values = dict(line.split() for line in out.splitlines())
    assert float(values["val/loss"]) == pytest.approx(before, rel=1e-4)  # another processor rounds in another way
    status, out, _ = run(f"sample {folder} --n 2 --prompt tri")
    assert (status, out.count("tri")) == (0, 2)
    status, _, err = run(f"fit --resume {folder}")
    assert (status, err) == (0, "")
    assert json.loads((folder / "results.json").read_text())["val/loss"] == pytest.approx(end, rel=1e-3)

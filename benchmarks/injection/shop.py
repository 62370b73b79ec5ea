"""Runs to do harm to, all of them alike, and compared bit for bit with one that nothing befell."""

import json
import os
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml

from lightseq.commands.bit_equality import compare, read_run

from .life import Life
from .nursery import Nursery

BENCHMARKS = Path(__file__).resolve().parent.parent
ELSEWHERE = Path("/dev/shm")
"""A file system that is not the runs', for temporary files."""

UPDATES, SAVED_EVERY, VALIDATED_EVERY, SHOWN_EVERY = 80, 7, 25, 40
"""Updates."""

LONG = 300
"""Updates of a run that is killed several times."""

STREAM = {
    "dataset": "text",
    "dataset_args": {"path": str(BENCHMARKS.parent / "datasets" / "dinos.tsv")},
    "window": 32,
    "val_lanes": 4,
    "val_fraction": 0.05,
}
DOCUMENTS = {"dataset": "dinos"}
RECIPE = {
    "model": {"backbone": "lstm", "embedding_size": 8, "hidden_size": 32, "num_layers": 1, "dropout": 0.2},
    "averaging": {"decay": 0.9},
    "trainer": {
        "accelerator": "cpu",
        "enable_progress_bar": False,
        "log_every_n_steps": 5,
        "check_val_every_n_epoch": None,
        "val_check_interval": VALIDATED_EVERY,
        "gradient_clip_val": 1.0,
        "callbacks": [{"class_path": "injection.witness.Witness"}],
    },
    "last": {"every_n_steps": SAVED_EVERY},
    "sampling": {"every_n_steps": SHOWN_EVERY, "length": 20, "judged": 0},
    "inside": {"enabled": False},
}


class Run:
    """A run and its lives, in a folder of its own.

    Args:
        shop: Where.
        name: Of its folder.
        devices: Processes.
        data: What it is trained on.
        updates: How long.
    """

    def __init__(
        self, shop: "Shop", name: str, devices: int = 1, data: Mapping[str, Any] = STREAM, updates: int = UPDATES
    ) -> None:
        self.shop, self.devices, self.data, self.updates = shop, devices, data, updates
        self.folder = shop.folder / name
        self.lives: list[Life] = []
        self.folder.mkdir(exist_ok=True)
        trainer = {**RECIPE["trainer"], "devices": devices, "max_steps": updates}
        recipe = RECIPE | {"data": {**data, "batch_size": 8 // devices}, "trainer": trainer}
        (self.folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))

    def start(
        self,
        *words: str,
        harm: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
        log: Path | None = None,
    ) -> Life:
        """The same command every time."""
        life = Life(self, ["fit", "--config", "recipe.yaml", "--resume", "auto", *words], harm, environment, log)
        self.lives.append(life)
        return life

    def finish(self) -> Life:
        """Go on to the end, which has to be that of the run that nothing befell."""
        with self.start() as life:
            status = life.end()
        life.must(status == 0, f"ended with {status}")
        self.compare(self.whole)
        return life

    @property
    def whole(self) -> "Run":
        """The run of the same settings that nothing befalls; no life of this one may be under way when it is made."""
        return self.shop.whole(self.devices, self.data, self.updates)

    @property
    def seconds_to_start(self) -> float:
        """From the command to the training."""
        return float(self.whole.lives[0].events[0]["at"]) - self.whole.lives[0].began

    @property
    def place(self) -> Path:
        """The run folder that was written to last; the first one before there is any."""
        found = sorted(self.folder.glob("runs/*/version_*/checkpoints"), key=lambda path: path.parent.name)
        return found[-1].parent if found else self.folder / "runs" / self.data["dataset"] / "version_0"

    def good(self) -> dict[str, int]:
        """The checkpoints to go on from that are whole, and the update that each was made after."""
        found = {}
        for name in ("last", "previous"):
            content = read(self.place / "checkpoints" / f"{name}.ckpt")
            if content is not None:
                found[name] = content["global_step"]
        return found

    def compare(self, whole: "Run", weights_only: bool = False) -> None:
        """
        Args:
            whole: The run that nothing befell.
            weights_only: And what else training ends with, but not what was written on the way.

        Raises:
            BrokenError: Something of it is another.
        """
        life, pair = self.lives[-1], (whole, self)
        results = [json.loads((run.place / "results.json").read_text()) | {"seconds": 0} for run in pair]
        life.must(results[0] == results[1], f"ended with {results[1]}, not {results[0]}")
        rows = compare(*(read_run(run.place, run.place.relative_to(run.folder)) for run in pair))
        if weights_only:
            rows = [row for row in rows if row.name not in ("other", "train/loss", "val/*")]
        life.must(not [row for row in rows if row.verdict == "DIFFERS"], f"not bit-equal: {rows}")
        life.must(sum(row.verdict == "equal" for row in rows) >= 5, f"too little was compared: {rows}")
        expected = losses(whole.lives[0])
        for other in self.lives:
            unlike = [where for where, loss in losses(other).items() if expected[where] != loss]
            life.must(not unlike, f"other losses at (rank, update) {unlike[:3]}")
        for update, batches in Counter(whole.lives[0].updates("validation")).items():
            *_, again = (
                other.count("validation", update) for other in self.lives if update in other.updates("validation")
            )
            life.must(again == batches, f"validated {again} batches of {batches} after update {update}")
        if not weights_only:
            names = [sorted(path.name for path in (run.place / "checkpoints").iterdir()) for run in pair]
            life.must(names[0] == names[1], f"{names[1]} are left, not {names[0]}")


class Shop:
    """Where runs are made, all of them alike.

    Args:
        folder: An empty one.
        forked: Whether commands come out of a nursery.
    """

    def __init__(self, folder: Path, forked: bool = False) -> None:
        self.folder = folder.resolve()
        temporary = ELSEWHERE if os.access(ELSEWHERE, os.W_OK) else self.folder
        self.environment = {
            "LIGHTSEQ_CACHE": str(self.folder / "cache"),
            "LIGHTSEQ_PRECISION": "32-true",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "TMPDIR": str(temporary),
        }
        self.nursery = Nursery(self.environment) if forked else None
        self._whole: dict[str, Run] = {}
        self._count = 0

    def run(self, devices: int = 1, data: Mapping[str, Any] = STREAM, updates: int = UPDATES) -> Run:
        """One more run, in the next folder."""
        self._count += 1
        return Run(self, f"run-{self._count}", devices, data, updates)

    def whole(self, devices: int = 1, data: Mapping[str, Any] = STREAM, updates: int = UPDATES) -> Run:
        """The run of these settings that nothing befalls."""
        key = json.dumps([devices, data, updates])
        if key not in self._whole:
            self._whole[key] = run = self.run(devices, data, updates)
            with run.start() as life:
                life.must(life.end() == 0, "the run that nothing befell")
        return self._whole[key]

    def close(self) -> None:
        """No more runs."""
        if self.nursery is not None:
            self.nursery.close()


def losses(life: Life) -> dict[tuple[int, int], str]:
    """By rank and update, to the last bit."""
    return {(e["rank"], e["update"]): e["loss"] for e in life.events if e["phase"] == "update"}


def read(path: Path) -> dict[str, Any] | None:
    """A checkpoint, by the means of the zip file that it is and of torch alone; None where it is not whole."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                return None
        content: dict[str, Any] = torch.load(path, weights_only=True)
    except (OSError, zipfile.BadZipFile, RuntimeError):
        return None
    return content

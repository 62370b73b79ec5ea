"""However many processes and accumulated batches share an update, training goes the same way, to the last digits.

Started as a script with a folder, this file trains every case on one process and, beside it, on two.
"""

import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from torch import multiprocessing
from torch.testing import assert_close

from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

UPDATES, VALIDATIONS, ROWS = 50, 2, 12
"""Of every run; the rows are those of an update, over all processes and accumulated batches."""

DIVISIONS = ((2, 1), (1, 2), (2, 2))
"""How many processes share an update, and how many batches each of them accumulates."""

SGD = {"optimizer": "sgd", "learning_rate": 0.5}
ADAMW = {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1}
MINGRU = {"backbone": "mingru"}

LICENSE = Path(__file__).parents[1].joinpath("LICENSE").read_text()
"""A real text that stays as it is."""

WORDS = ["".join(letters) for letters in product("abcde", "bcd", "abcde")]
LABELLED = "".join(f"{word}\t{'some' if {'a', 'e'} & {*word} else 'none'}\n" for word in WORDS)
SHAKESPEARE = Path(os.environ.get("LIGHTSEQ_DATA", ""), "tinyshakespeare.txt")


class Case(NamedTuple):
    """What is trained on what."""

    dataset: str
    model: dict[str, Any]
    text: str | None = None
    """What stands in the file that the dataset reads."""
    arguments: Mapping[str, Any] = MappingProxyType({})
    data: Mapping[str, Any] = MappingProxyType({})
    trainer: Mapping[str, Any] = MappingProxyType({})
    divisions: tuple[tuple[int, int], ...] = ((2, 2),)


def lines(model: dict[str, Any], **own: Any) -> Case:
    """Documents of one window to four; an update that ends an epoch has fewer than the others."""
    return Case("text", model, LICENSE[:3000], {"by": "line"}, **own)


CASES = {
    "documents, lstm, sgd": Case("dinos", SGD, trainer={"gradient_clip_val": 0.3}, divisions=DIVISIONS),
    "documents, mingru, adamw": Case("dinos", ADAMW | MINGRU),
    "documents of several windows, lstm, adamw": lines(ADAMW),
    "documents of several windows, mingru, sgd": lines(SGD | MINGRU, divisions=DIVISIONS),
    "stream, lstm, sgd": Case("text", SGD, LICENSE[:9000], data={"cold_starts": 0.2}),
    "stream, lstm, adamw": Case("text", {**ADAMW, "schedule": "cosine"}, LICENSE[:9000], divisions=DIVISIONS),
    "stream, mingru, sgd": Case("text", SGD | MINGRU, LICENSE[:9000]),
    "stream, mingru, adamw": Case("text", ADAMW | MINGRU, LICENSE[:9000], divisions=DIVISIONS),
    "loss document": lines({**SGD, "loss": "document"}),
    "labels": Case("labelled", {**ADAMW, "label_smoothing": 0.1}, LABELLED),
    "stream of seven lanes": Case("text", SGD, LICENSE[:200]),
    "stream of one lane": Case("text", SGD, LICENSE[:45]),
}
if SHAKESPEARE.is_file():
    CASES["stream of Shakespeare"] = Case("text", ADAMW, SHAKESPEARE.read_text()[:40_000])
SHARED = [(name, *division) for name, case in CASES.items() for division in case.divisions]


class Record(Logger):
    """Keeps all that is logged, by update."""

    name, version = "record", 0

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[int, dict[str, float]] = {}

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.logged.setdefault(step, {}).update(metrics)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """There is nothing to keep."""


def trained(name: str, world: int, accumulate: int, folder: Path) -> dict[str, Any]:
    """The weights at the end, and what was logged on the way."""
    case, record = CASES[name], Record()
    pl.seed_everything(0, verbose=False)
    arguments = {**case.arguments, **({"path": str(folder / f"{name}.txt")} if case.text else {})}
    data = SequenceData(
        case.dataset, arguments, batch_size=ROWS // world // accumulate, window=20, val_lanes=5, **case.data
    )
    system = SequenceSystem(
        data.vocabulary, data.labels, data.token_counts, embedding_size=5, hidden_size=6, **case.model
    ).double()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=world,
        strategy="ddp" if world > 1 else "auto",
        precision="64-true",
        use_distributed_sampler=False,
        accumulate_grad_batches=accumulate,
        max_steps=UPDATES,
        val_check_interval=UPDATES // VALIDATIONS * accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=record,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **case.trainer,
    )
    trainer.fit(system, data)
    return {"weights": system.state_dict(), "logged": record.logged}


def train_all(rank: int, world: int, port: int, folder: Path) -> None:
    """Every case, as one of ``world`` processes, which stay one group."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if world > 1:
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    wanted = [*[(name, 1, 1) for name in CASES], *SHARED]
    runs = {run: trained(*run, folder) for run in wanted if run[1] == world}
    if rank == 0:
        torch.save(runs, folder / f"{world}.pt")


def main(folder: Path) -> None:
    """Two process groups, all forked from here, where the imports are done."""
    for name, case in CASES.items():
        folder.joinpath(f"{name}.txt").write_text(case.text or "")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    groups = [
        multiprocessing.start_processes(train_all, (world, port, folder), world, join=False, start_method="fork")
        for world in (2, 1)
    ]
    for group in groups:
        while not group.join():
            pass


def child(folder: Path, *words: str, **environment: str) -> None:
    """Run Python in a process of its own, or fail as it does."""
    own = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]), **environment}
    command = ["timeout", "-k", "5", "300", sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int, int], dict[str, Any]]:
    """By case, processes and accumulated batches."""
    folder = tmp_path_factory.mktemp("runs")
    child(folder, __file__, str(folder), LIGHTSEQ_CACHE=str(folder / "cache"))
    return torch.load(folder / "1.pt") | torch.load(folder / "2.pt")


@pytest.mark.parametrize(("case", "world", "accumulate"), SHARED)
def test_equal_updates_give_equal_results(
    case: str, world: int, accumulate: int, runs: dict[tuple[str, int, int], dict[str, Any]]
) -> None:
    """Rows differ in length, so a mean of the processes' or the batches' means would be another number."""
    alone, together = runs[case, 1, 1], runs[case, world, accumulate]
    losses = torch.tensor([values["train/loss"] for values in alone["logged"].values()], dtype=torch.float64)
    assert len(losses) == UPDATES
    assert not torch.equal(losses, losses.float().double())
    assert sum("val/loss" in values for values in alone["logged"].values()) == VALIDATIONS
    assert ("val/loss_cold64" in alone["logged"][UPDATES - 1]) == case.startswith("stream")
    assert_close(together["logged"], alone["logged"], rtol=1e-9, atol=1e-12)
    assert_close(together["weights"], alone["weights"], rtol=1e-9, atol=1e-12)


RANKS = """
import atexit, math, os
from pathlib import Path
import pytorch_lightning as pl
import torch
from lightseq.commands import precision

precision.GAIN = 0.0 if "LOCAL_RANK" in os.environ else math.inf  # the first process finds bf16 slow, another fast

class Ranks(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        Path(f"rank{trainer.global_rank}").write_text(str(trainer.precision))
        group = torch.distributed.is_initialized
        assert group()
        atexit.register(lambda: Path(f"group{trainer.global_rank}").write_text(str(group())))
"""


def test_a_process_that_another_one_starts_computes_in_the_same_precision_and_both_leave_their_group(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIGHTSEQ_PRECISION")
    Path("ranks.py").write_text(RANKS)
    words = ["--trainer.devices=2", "--trainer.callbacks+=ranks.Ranks", "--trainer.fast_dev_run=true"]
    child(Path.cwd(), "-m", "lightseq", "fit", "--config", tiny, *words)
    assert [Path(f"rank{rank}").read_text() for rank in range(2)] == ["32-true"] * 2
    assert [Path(f"group{rank}").read_text() for rank in range(2)] == ["False"] * 2


if __name__ == "__main__":
    main(Path(sys.argv[1]))

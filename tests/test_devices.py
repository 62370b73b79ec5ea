"""Training on several devices: what ``configs/trainer`` says, and two processes that sample at every update.

Started as a script with a folder, this file is two processes that share a network, a part of it in each.
"""

import json
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from lightseq.callbacks.averaging import AveragedWeights
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.strategies import FSDPStrategy, ModelParallelStrategy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import multiprocessing
from torch.distributed.fsdp import FSDPModule
from torch.testing import assert_close

from lightseq import cli
from lightseq.checkpoint import load_trained
from lightseq.config import recipes
from lightseq.data import SequenceData
from lightseq.errors import UserError
from lightseq.sampling import generate
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]
Runs = dict[tuple[str, int], dict[str, Any]]
OVERLAYS = [name for name in recipes() if name.startswith("trainer/")]

UPDATES = 20

WATCHED = {
    "--trainer.max_steps": "4",
    "--trainer.val_check_interval": "2",
    "--trainer.devices": "2",
    "--sampling.every_n_steps": "1",
    "--sampling.judged": "2",
    "--inside.every_n_steps": "0",
}
"""A run that is looked at wherever that is possible."""

SHARDED = ["--config", "trainer/fsdp", "--model.backbone", "mingru", "--model.num_layers", "2"]

CASES: dict[str, dict[str, Any]] = {
    "lstm": {"backbone": "lstm", "tie_head": True, "backbone_args": {"initial_state": "learned"}},
    "mingru": {"backbone": "mingru", "num_layers": 2, "optimizer": "sgd", "learning_rate": 0.5},
    "lstm, stream": {"backbone": "lstm", "optimizer": "sgd", "learning_rate": 0.5},
    "mingru, stream": {"backbone": "mingru", "num_layers": 2, "embedding_size": None},
}
"""Networks that are trained whole and in parts."""


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


def trained(case: str, world: int, folder: Path) -> dict[str, Any]:
    """The weights at the end, and what was logged on the way, in double precision."""
    pl.seed_everything(0, verbose=False)
    source = ("text", {"path": str(folder / "stream.txt")}) if "stream" in case else ("dinos", {})
    data = SequenceData(*source, batch_size=6 // world, window=20, val_lanes=5)
    settings = {"embedding_size": 6, "hidden_size": 6, **CASES[case]}
    system = SequenceSystem(data.vocabulary, data.labels, data.token_counts, **settings).double()
    record = Record()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=world,
        strategy=ModelParallelStrategy(save_distributed_checkpoint=False) if world > 1 else "auto",
        use_distributed_sampler=False,
        accumulate_grad_batches=2,
        gradient_clip_val=0.3,
        max_steps=UPDATES,
        val_check_interval=UPDATES,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=record,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(system, data)
    own = {name: len(weight.to_local()) for name, weight in system.state_dict().items()} if world > 1 else {}
    units = sum(isinstance(module, FSDPModule) for module in system.modules())
    weights = trainer.strategy.lightning_module_state_dict()
    return {"weights": weights, "logged": record.logged, "rows": own, "units": units}


def train_all(rank: int, world: int, port: int, folder: Path) -> None:
    """Every case, and a run from the command line, as one of ``world`` processes."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if world > 1:
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    runs = {(case, world): trained(case, world, folder) for case in CASES}
    if rank == 0:
        torch.save(runs, folder / f"{world}.pt")
    if world > 1:
        words = ["fit", "--config", "tiny.yaml", *SHARDED, *(word for pair in WATCHED.items() for word in pair)]
        assert cli.main(words) == 0


def main(folder: Path) -> None:
    """Two processes and, beside them, one; all are forked from here, where the imports are done."""
    folder.joinpath("stream.txt").write_text(Path(__file__).read_text()[:5000])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    groups = [
        multiprocessing.start_processes(train_all, (world, port, folder), world, join=False, start_method="fork")
        for world in (2, 1)
    ]
    for group in groups:
        while not group.join():
            pass


def child(*words: str) -> None:
    """Run Python in a process of its own, or fail as it does."""
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = ["timeout", "-k", "5", "120", sys.executable, *words]
    done = subprocess.run(command, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_watched(folder: Path) -> None:
    """All is there, and the last samples are those of the weights in the last checkpoint."""
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines[::4]] == [1, 2, 3, 4]
    model = load_trained(folder / "checkpoints/last.ckpt")
    samples = generate(model.model, model.vocabulary, ["", "tri"], [0.0, 1.0], length=12)
    assert [line["text"] for line in lines[-4:]] == [sample.text for sample in samples]
    assert len({line["text"] for line in lines}) > 4
    board = EventAccumulator(str(folder), {"scalars": 0, "images": 0}).Reload()
    assert len(board.Scalars("samples/ended/T=1.00")) == 2
    assert [event.step for event in board.Images("inside/gates")] == [2, 4]
    norm = torch.nn.utils.get_total_norm(list(model.model.head.parameters()))
    assert board.Scalars("inside/weight_norm/head")[-1].value == pytest.approx(float(norm))
    assert (folder / "memory.json").is_file()


def test_replicated_processes_that_sample_at_every_update(tiny: str) -> None:
    """Started by the command itself, and by torchrun."""
    words = ["lightseq", "fit", "--config", tiny, "--config", "trainer/ddp", "--averaging.decay=0.5"]
    words += [f"{key}={value}" for key, value in WATCHED.items()] + ["--model.learning_rate=0.1"]
    child("-m", *words)
    child("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", *words)
    folders = [Path(f"runs/dinos/version_{number}") for number in range(2)]
    for folder in folders:
        check_watched(folder)
    assert folders[0].joinpath("samples.jsonl").read_text() == folders[1].joinpath("samples.jsonl").read_text()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Runs]:
    """The folder of two processes, and what their networks came to, by case and number of processes."""
    folder = tmp_path_factory.mktemp("sharded")
    folder.joinpath("tiny.yaml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LIGHTSEQ_CACHE", str(folder / "cache"))
        patch.setenv("LIGHTSEQ_PRECISION", "32-true")
        child(__file__, str(folder))
    return folder, torch.load(folder / "1.pt") | torch.load(folder / "2.pt")


TINY = """
data: {dataset: dinos, batch_size: 32}
model: {embedding_size: 5, hidden_size: 6, learning_rate: 0.1}
trainer: {accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
sampling: {temperatures: [0.0, 1.0], prompts: ["", tri], length: 12}
"""


def test_sharded_processes_that_sample_at_every_update(runs: tuple[Path, Runs]) -> None:
    check_watched(runs[0] / "runs/dinos/version_0")


@pytest.mark.parametrize("case", CASES)
def test_a_network_in_parts_learns_as_a_whole_one(case: str, runs: tuple[Path, Runs]) -> None:
    whole, parts = runs[1][case, 1], runs[1][case, 2]
    assert parts["units"] == (3 if "mingru" in case else 1)  # each block, and the rest
    assert parts["rows"] == {name: -(-len(weight) // 2) for name, weight in whole["weights"].items()}
    losses = [values["train/loss"] for values in whole["logged"].values() if "train/loss" in values]
    assert len(losses) == UPDATES
    assert "val/loss" in whole["logged"][UPDATES - 1]
    assert_close(parts["logged"], whole["logged"], rtol=1e-9, atol=1e-12)
    assert_close(parts["weights"], whole["weights"], rtol=1e-9, atol=1e-12)


def test_what_a_sharded_network_cannot_do_is_refused() -> None:
    data = SequenceData("dinos")
    system = SequenceSystem(data.vocabulary, embedding_size=3, hidden_size=4, optimizer="muon")
    trainer = pl.Trainer(accelerator="cpu", strategy=ModelParallelStrategy(), logger=False, enable_progress_bar=False)
    system.trainer = trainer
    with pytest.raises(UserError, match="muon needs whole matrices"):
        system.setup("fit")
    with pytest.raises(UserError, match="decay needs whole weights"):
        AveragedWeights(0.5).setup(trainer, system, "fit")
    trainer._accelerator_connector.strategy = FSDPStrategy()
    with pytest.raises(UserError, match="FSDPStrategy is not supported; --config trainer/fsdp"):
        system.setup("fit")


def test_there_are_four_overlays() -> None:
    assert OVERLAYS == ["trainer/ddp", "trainer/fsdp", "trainer/gpu", "trainer/slurm"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_says_what_differs_from_a_recipe(overlay: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(f"fit --config dinos --config {overlay} --print_config")
    assert caught.value.code == 0
    merged = yaml.safe_load(capsys.readouterr().out)
    for name, said in ((overlay, yaml.safe_load(recipes()[overlay])), ("dinos", yaml.safe_load(recipes()["dinos"]))):
        for group, settings in said.items():
            for key, value in settings.items() if isinstance(settings, dict) else ():
                assert holds(merged[group][key], value), f"{name}: {group}.{key}"


def holds(merged: Any, said: Any) -> bool:
    """Whether a setting is what was said, defaults filled in."""
    if isinstance(said, dict):
        return all(holds(merged[key], value) for key, value in said.items())
    if isinstance(said, list):
        return len(said) == len(merged) and all(map(holds, merged, said))
    return bool(merged == said)


def test_overlays_are_listed_apart(run: Run) -> None:
    _, out, _ = run("configs")
    own, others = out.split("\n\n")
    assert len(own.splitlines()) == len(recipes()) - len(OVERLAYS)
    assert [line.split()[0] for line in others.splitlines()[1:]] == OVERLAYS


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(run: Run, tiny: str) -> None:
    status, _, err = run(f"fit --config {tiny} --config trainer/gpu")
    assert (status, err) == (2, "lightseq: No supported gpu backend found!\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

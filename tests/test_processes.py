"""One process and two end in the same weights and the same numbers, when the batch over all of them is the same."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

SCRIPT = """
import json, sys, warnings
import pytorch_lightning as pl
import torch
from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

world, accumulate, dataset = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
warnings.simplefilter("ignore")
torch.set_num_threads(1)
pl.seed_everything(0)
data = SequenceData(dataset, batch_size=12 // world // accumulate, window=20, val_lanes=5)
system = SequenceSystem(
    data.vocabulary, data.labels, data.token_counts, embedding_size=5, hidden_size=6, optimizer="sgd", learning_rate=0.5
).double()
trainer = pl.Trainer(
    accelerator="cpu", devices=world, strategy="ddp_fork" if world > 1 else "auto", precision="64-true",
    max_steps=10, accumulate_grad_batches=accumulate, num_sanity_val_steps=0, logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, log_every_n_steps=5,
)
trainer.fit(system, data)
values = {name: float(value) for name, value in trainer.callback_metrics.items()}
trainer.validate(system, data, verbose=False)
values |= {name: float(value) for name, value in trainer.callback_metrics.items()}
if trainer.is_global_zero:
    torch.save(system.state_dict(), sys.argv[4])
    print(json.dumps(values), flush=True)
"""


RANKS = """
import math, os
from pathlib import Path
import pytorch_lightning as pl
from lightseq.commands import precision

precision.GAIN = 0.0 if "LOCAL_RANK" in os.environ else math.inf  # the first process finds bf16 slow, another fast

class Ranks(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        Path(f"rank{trainer.global_rank}").write_text(str(trainer.precision))
"""


def trained(world: int, accumulate: int, dataset: str, path: Path) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    words = ["timeout", "-k", "5", "120", sys.executable, "-c", SCRIPT, str(world), str(accumulate), dataset, str(path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return torch.load(path), json.loads(line)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("dataset", ["dinos", "alphabet", "vowels"])
def test_two_processes_do_what_one_does(
    dataset: str, accumulate: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Documents differ in length, so a mean of the ranks' means would be another number."""
    if dataset != "dinos":
        request.getfixturevalue(dataset)
    one, alone = trained(1, accumulate, dataset, tmp_path / "one.pt")
    two, together = trained(2, accumulate, dataset, tmp_path / "two.pt")
    assert_close(two, one, rtol=1e-9, atol=1e-12)
    assert {"train/loss", "val/loss"} <= set(together)
    assert_close(together, alone, rtol=1e-6, atol=1e-6)


def test_a_process_that_another_one_starts_computes_in_the_same_precision(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIGHTSEQ_PRECISION")
    Path("ranks.py").write_text(RANKS)
    words = ["timeout", "-k", "5", "120", sys.executable, "-m", "lightseq", "fit", "--config", tiny]
    words += ["--trainer.devices=2", "--trainer.callbacks+=ranks.Ranks", "--trainer.fast_dev_run=true"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [Path(f"rank{rank}").read_text() for rank in range(2)] == ["32-true"] * 2

"""Whatever looks on changes nothing: all of it at once, none of it, and all of it failing."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks.averaging import AveragedWeights
from lightseq.callbacks.results import Results
from pytorch_lightning.callbacks import Checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.commands import train

Run = Callable[..., tuple[int, str, str]]

TRAINING = "--model.dropout 0.4 --model.num_layers 2 --trainer.max_steps 6 --averaging.decay 0.5 --data.window 8"
ALL = "--sampling.every_n_steps 1 --sampling.temperatures [0.0,0.7,1.0] --inside.every_n_steps 0"
ALL += " --checkpoint.monitor samples/even/T=0.70 --checkpoint.mode max"  # so that every validation judges
ALL += " --checkpoint.filename best"
FAILING = f"{ALL} --data.dataset_args.fails judge,render"
NONE = "--trainer.limit_val_batches 0 --trainer.num_sanity_val_steps 0"


class Broken(pl.loggers.Logger):
    """A logger that fails at everything."""

    name, version = "broken", 0

    def log_metrics(self, *_: object, **__: object) -> None:
        raise OSError(13, "Permission denied")

    log_hyperparams = log_graph = save = after_save_checkpoint = finalize = log_metrics


class Spoil(pl.Callback):
    """A logger more, and no file of the run folder that can be written."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        trainer.loggers = [*trainer.loggers, Broken()]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for name in ("samples.jsonl", "samples.md", "memory.json", "results.json"):
            Path(trainer.log_dir or "", name).mkdir()
        Path(trainer.log_dir or "", "yardsticks").touch()


def end(run: Run, words: str, folder: Path) -> dict[str, Any]:
    """What a training ends in: weights, averages, optimiser, and the generators that others draw from too."""
    status, _, err = run(words)
    assert status == 0, err
    content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 6
    tensors = {**content["state_dict"], "generator": torch.get_rng_state()}
    tensors |= {f"own.{name}": value for name, value in content["averaging_state"].items()}
    for number, state in content["optimizer_states"][0]["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    return {**tensors, "random": random.getstate()}


@pytest.mark.parametrize(("layout", "validations"), [("documents", 2), ("stream", 6)])
def test_training_ends_in_the_same_weights(
    run: Run, bells: str, layout: str, validations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"fit --config {bells} {TRAINING} --data.dataset_args.layout {layout}"
    words += f" --trainer.check_val_every_n_epoch null --trainer.val_check_interval {6 // validations}"
    folders = [Path(f"runs/bells/version_{number}") for number in range(3)]
    watched = end(run, f"{words} {ALL}", folders[0])
    board = EventAccumulator(str(folders[0]), {"scalars": 0, "images": 0, "audio": 0}).Reload()
    images = {"inside/surprisal", "inside/gates", "inside/memory", "samples/T=0.70/prompt_1"}
    assert images <= set(board.Tags()["images"])
    assert len(board.Images("samples/T=0.70/prompt_1")) == len(board.Audio("samples/T=0.70/prompt_1/sound")) == 6
    assert len(board.Scalars("samples/even/T=0.70")) == len(board.Images("inside/gates")) == validations
    own = train.house_callbacks
    with monkeypatch.context() as patch:
        patch.setattr(train, "house_callbacks", lambda *values: [Spoil(), *own(*values)])
        with pytest.warns(UserWarning, match="training goes on") as caught:
            failing = end(run, f"{words} {FAILING}", folders[1])
        kinds = [str(w.message).partition(":")[0] for w in caught if "training goes on" in str(w.message)]
        assert len(kinds) == len(set(kinds))
        assert {"the dataset's judge", "what the dataset makes of samples", "samples.md", "results.json"} <= set(kinds)
        assert {"the measure of the memory", "the yardsticks", "Broken.log_metrics"} <= set(kinds)
    kept = (AveragedWeights, Results, Checkpoint)  # what training itself needs
    with monkeypatch.context() as patch:
        patch.setattr(train, "house_callbacks", lambda *values: [c for c in own(*values) if isinstance(c, kept)])
        bare = end(run, f"{words} {NONE}", folders[2])
    assert not list(folders[2].glob("samples*"))
    for other in (failing, bare):
        assert watched.keys() == other.keys()
        for name, value in watched.items():
            assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name

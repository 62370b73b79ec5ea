from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks.yardsticks import Yardsticks
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.data import SequenceData
from lightseq.data.ngram import yardsticks
from lightseq.system import SequenceSystem

Points = list[tuple[int, float]]


def trained(data: SequenceData, *callbacks: pl.Callback, logger: Any, **settings: Any) -> SequenceSystem:
    pl.seed_everything(0)
    system = SequenceSystem(data.vocabulary, data.labels, data.token_counts, hidden_size=6, embedding_size=5)
    quiet: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "log_every_n_steps": 1}
    quiet |= {"enable_model_summary": False, "use_distributed_sampler": False, "accelerator": "cpu"}
    trainer = pl.Trainer(**{**quiet, **settings}, logger=logger, callbacks=list(callbacks))
    trainer.fit(system, data)
    return system


def board(folder: Path) -> dict[str, Points]:
    """The scalars of one run by tag."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_level_lines_in_the_charts_of_the_curves(tmp_path: Path) -> None:
    data = SequenceData("dinos", batch_size=32)
    trained(data, Yardsticks(), logger=TensorBoardLogger(tmp_path, "run", 0), max_steps=3, val_check_interval=3)
    found = yardsticks(data.store, data.parts, stream=False)
    folder = tmp_path / "run" / "version_0"
    assert {path.name for path in (folder / "yardsticks").iterdir()} == {"uniform", "unigram", f"{found.order}-gram"}
    for name, nats in found.rows.items():
        bits = found.bits_per_character(nats)
        assert board(folder / "yardsticks" / name) == {
            "val/loss": [(0, pytest.approx(nats)), (3, pytest.approx(nats))],
            "val/bpc": [(0, pytest.approx(bits)), (3, pytest.approx(bits))],
        }
    assert {"val/loss", "val/bpc"} <= set(board(folder))


def test_labels_have_no_characters(vowels: str, tmp_path: Path) -> None:
    data = SequenceData(vowels)
    trained(data, Yardsticks(), logger=TensorBoardLogger(tmp_path, "run", 0), max_steps=2)
    folder = tmp_path / "run" / "version_0" / "yardsticks"
    assert {path.name: set(board(path)) for path in folder.iterdir()} == {
        "uniform": {"val/loss"},
        "frequency": {"val/loss"},
    }


def test_a_run_without_a_bound_ends_where_it_stops(alphabet: str, tmp_path: Path) -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            trainer.should_stop = trainer.global_step == 5

    data = SequenceData(alphabet, batch_size=4, window=16)
    logger = TensorBoardLogger(tmp_path, "run", 0)
    trained(data, Yardsticks(), Stop(), logger=logger, max_epochs=-1)
    assert [step for step, _ in board(tmp_path / "run/version_0/yardsticks/uniform")["val/loss"]] == [0, 5]


def test_nothing_is_written_without_a_board(tmp_path: Path) -> None:
    data = SequenceData("dinos", batch_size=32)
    trained(data, Yardsticks(), logger=CSVLogger(tmp_path, "run", 0), max_steps=2, limit_val_batches=0)
    assert not [path for path in tmp_path.rglob("*") if path.name in ("yardsticks", "uniform")]


def test_training_ends_in_the_same_weights_with_and_without(tmp_path: Path) -> None:
    def weights(*callbacks: pl.Callback) -> list[torch.Tensor]:
        data, logger = SequenceData("dinos", batch_size=32), TensorBoardLogger(tmp_path, "run", len(callbacks))
        return list(trained(data, *callbacks, logger=logger, max_steps=4, limit_val_batches=1).parameters())

    assert all(torch.equal(one, other) for one, other in zip(weights(), weights(Yardsticks()), strict=True))

"""The charts of a run, and its row among others."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from lightseq.callbacks.board_layout import LAYOUT, BoardLayout
from lightseq.callbacks.results import Results
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]


def board(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()


def test_the_layout_shows_tags_that_there_are(run: Run, tiny: str) -> None:
    assert run(f"fit --config {tiny} --sampling.every_n_steps 1")[0] == 0
    folder = Path("runs/dinos/version_0")
    tags = {tag for path in {p.parent for p in folder.rglob("events*")} for tag in board(path).Tags()["scalars"]}
    assert "custom_scalars__config__" in board(folder).PluginTagToContent("custom_scalars")
    absent = {"nats a token after cold starts"}  # of a stream
    for charts in LAYOUT.values():
        for chart, (_, patterns) in charts.items():
            for pattern in patterns:
                assert chart in absent or any(map(re.compile(pattern).match, tags)), pattern


def test_settings_and_the_best_values_stand_in_one_row(tmp_path: Path) -> None:
    data, results = SequenceData("dinos", batch_size=32), Results()
    system = SequenceSystem(data.vocabulary, hidden_size=6, embedding_size=5)
    quiet: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "log_every_n_steps": 1}
    quiet |= {"enable_model_summary": False, "use_distributed_sampler": False, "accelerator": "cpu"}
    loggers = [TensorBoardLogger(tmp_path, "run", 0, default_hp_metric=False), CSVLogger(tmp_path / "csv")]
    trainer = pl.Trainer(**quiet, logger=loggers, callbacks=[BoardLayout(results), results], max_steps=4)
    trainer.fit(system, data)
    events = board(tmp_path / "run/version_0")
    (best,) = events.Scalars("best/loss")
    assert (best.value, best.step) == (pytest.approx(results.best["val/loss"]), results.best["step"])
    content = events.PluginTagToContent("hparams")
    settings = HParamsPluginData.FromString(content[metadata.SESSION_START_INFO_TAG]).session_start_info.hparams
    assert settings["backbone"].string_value == "lstm"
    assert settings["batch_size"].number_value == 32
    assert "vocabulary" not in settings
    metrics = HParamsPluginData.FromString(content[metadata.EXPERIMENT_TAG]).experiment.metric_infos
    assert "best/loss" in {metric.name.tag for metric in metrics}

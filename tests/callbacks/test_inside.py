"""Looking into a network while it trains."""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks import safety, surprisal
from lightseq.callbacks.averaging import AveragedWeights, averaged
from lightseq.callbacks.board_layout import BoardLayout
from lightseq.callbacks.inside import Inside, weight_norms
from lightseq.callbacks.results import Results
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.backbones import Backbone
from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

Run = Callable[..., tuple[int, str, str]]


def trained(
    data: SequenceData, *callbacks: pl.Callback, logger: Any, backbone: str = "lstm", **settings: Any
) -> SequenceSystem:
    pl.seed_everything(0)
    system = SequenceSystem(
        data.vocabulary,
        data.labels,
        data.token_counts,
        backbone=backbone,
        hidden_size=6,
        embedding_size=5,
        num_layers=2,
        dropout=0.3,
    )
    quiet: dict[str, Any] = {"enable_checkpointing": False, "enable_progress_bar": False, "log_every_n_steps": 1}
    quiet |= {"enable_model_summary": False, "use_distributed_sampler": False, "accelerator": "cpu"}
    quiet |= {"max_steps": 4, "val_check_interval": 2, "limit_val_batches": 1}
    trainer = pl.Trainer(**{**quiet, **settings}, logger=logger, callbacks=list(callbacks))
    trainer.fit(system, data)
    return system


def board(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()


def decoded(events: EventAccumulator, tag: str) -> list[tuple[int, npt.NDArray[np.uint8]]]:
    """The pictures of a tag with their updates."""
    found = []
    for event in events.Images(tag):
        image = Image.open(BytesIO(event.encoded_image_string)).convert("RGB")
        assert image.size == (event.width, event.height)
        found.append((event.step, np.asarray(image)))
    return found


def data_of(name: str, alphabet: str, vowels: str) -> SequenceData:
    if name == "stream":
        return SequenceData(alphabet, batch_size=4, window=16)
    if name == "documents":
        return SequenceData("dinos", batch_size=32)
    return SequenceData(vowels, {"tagged": name == "tagged"}, batch_size=16)


@pytest.mark.parametrize("kind", ["documents", "stream", "tagged", "classified"])
def test_training_ends_in_the_same_weights_and_metrics(kind: str, alphabet: str, vowels: str, tmp_path: Path) -> None:
    data = data_of(kind, alphabet, vowels)
    ends, metrics = [], []
    for number in (0, 1):
        watching = [Inside(every_n_steps=0), BoardLayout(Results())] * number
        logger = TensorBoardLogger(tmp_path, "run", number)
        system = trained(data, AveragedWeights(0.5), *watching, logger=logger)
        assert system._trainer is not None
        assert system.model.training == system.training
        metrics.append({name: float(value) for name, value in system.trainer.callback_metrics.items()})
        ends.append([*system.parameters(), torch.get_rng_state()])
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))
    assert metrics[0] == metrics[1]
    tags = board(tmp_path / "run/version_1").Tags()["images"]
    labelled = kind in ("tagged", "classified")
    assert set(tags) == {"inside/surprisal", "inside/gates"} | ({"inside/memory"} if not labelled else set())
    assert (tmp_path / "run/version_1/memory.json").exists() is not labelled


def test_pictures_at_the_first_validation_and_the_last_and_seldom_between(tmp_path: Path) -> None:
    data = SequenceData("dinos", batch_size=32)
    logger = TensorBoardLogger(tmp_path, "run", 0)
    trained(data, Inside(every_n_steps=3), logger=logger, max_steps=9, val_check_interval=1)
    events = board(tmp_path / "run/version_0")
    for tag in ("inside/surprisal", "inside/gates"):
        assert [step for step, _ in decoded(events, tag)] == [1, 4, 7, 9]
    names = {"embedding", "head", "layers.0", "layers.1"}
    assert {tag for tag in events.Tags()["scalars"] if "norm/" in tag} == {f"inside/weight_norm/{n}" for n in names}
    assert [event.step for event in events.Scalars("inside/weight_norm/head")] == [*range(1, 10)]


def test_what_is_looked_at_is_the_average(tmp_path: Path) -> None:
    seen: dict[str, float] = {}

    class Note(pl.Callback):
        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert isinstance(pl_module, SequenceSystem)
            seen["own"] = weight_norms(pl_module.model)["head"]
            with averaged(trainer, pl_module):
                seen["average"] = weight_norms(pl_module.model)["head"]

    data, logger = SequenceData("dinos", batch_size=32), TensorBoardLogger(tmp_path, "run", 0)
    trained(data, AveragedWeights(0.9), Note(), Inside(), logger=logger, val_check_interval=4)
    (logged,) = board(tmp_path / "run/version_0").Scalars("inside/weight_norm/head")
    assert logged.value == pytest.approx(seen["average"])
    assert logged.value != pytest.approx(seen["own"], rel=1e-3)


def test_the_memory_of_a_run(run: Run, tiny: str) -> None:
    """Of documents it is the validation loss that the whole history has."""
    status, out, err = run(f"fit --config {tiny} --trainer.max_steps 8 --model.learning_rate 0.05")
    assert status == 0, err
    folder = Path("runs/dinos/version_0")
    record = json.loads((folder / "memory.json").read_text())
    loss = json.loads((folder / "results.json").read_text())["val/loss"]
    assert record["loss"] == record["by_history"]["32"] == pytest.approx(loss, rel=1e-5)
    assert record["update"] == 8
    assert f"the last 8 characters the loss is {record['by_history']['8']:.2f}, with all {loss:.2f}\n" in out
    events = board(folder / "memory")
    for name in ("by_history", "by_position"):
        points = {str(event.step): event.value for event in events.Scalars(f"inside/loss_{name}")}
        assert points == pytest.approx(record[name])
    assert decoded(board(folder), "inside/memory")[0][0] == 8


def test_off_is_off(run: Run, tiny: str) -> None:
    status, out, err = run(f"fit --config {tiny} --inside.enabled false")
    assert status == 0, err
    assert "memory" not in out
    folder = Path("runs/dinos/version_0")
    assert not list(folder.rglob("memory*"))
    tags = board(folder).Tags()
    assert not [tag for tag in tags["images"] + tags["scalars"] if tag.startswith("inside/")]


def test_a_part_that_fails_is_one_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no picture today")

    monkeypatch.setattr(safety, "_told", set())
    monkeypatch.setattr(surprisal, "picture", broken)
    data, logger = SequenceData("dinos", batch_size=32), TensorBoardLogger(tmp_path, "run", 0)
    with pytest.warns(UserWarning, match="surprisal.*no picture today.*training goes on") as told:
        system = trained(data, Inside(every_n_steps=0), logger=logger)
    assert len([warning for warning in told if "no picture today" in str(warning.message)]) == 1
    assert system.trainer.global_step == 4
    assert board(tmp_path / "run/version_0").Tags()["images"] == ["inside/gates", "inside/memory"]


def test_of_a_network_that_diverges_the_surprisal_alone_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Warnings are errors, and none may come."""

    class Diverge(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
            assert isinstance(pl_module, SequenceSystem)
            torch.nn.init.constant_(pl_module.model.embedding.weight, torch.nan)

    data, logger = SequenceData("dinos", batch_size=32), TensorBoardLogger(tmp_path, "run", 0)
    trained(data, Diverge(), Inside(every_n_steps=0), logger=logger)
    assert board(tmp_path / "run/version_0").Tags()["images"] == ["inside/surprisal"]
    assert not (tmp_path / "run/version_0/memory.json").exists()
    assert "memory" not in capsys.readouterr().out


def test_other_loggers_have_the_norms_and_the_file(tmp_path: Path) -> None:
    data, results = SequenceData("dinos", batch_size=32), Results()
    trained(data, Inside(), BoardLayout(results), results, logger=CSVLogger(tmp_path, "run", 0))
    folder = tmp_path / "run" / "version_0"
    assert "inside/weight_norm/layers.1" in (folder / "metrics.csv").read_text()
    assert (folder / "memory.json").exists()


def test_a_backbone_that_shows_nothing_has_no_picture_of_gates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from lightseq.backbones.recurrent import Recurrent

    monkeypatch.setattr(Recurrent, "trace", Backbone.trace)
    data, logger = SequenceData("dinos", batch_size=32), TensorBoardLogger(tmp_path, "run", 0)
    trained(data, Inside(), logger=logger)
    assert board(tmp_path / "run/version_0").Tags()["images"] == ["inside/surprisal", "inside/memory"]

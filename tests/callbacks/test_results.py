import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/dinos/version_0")


def test_the_record_is_of_the_best_validation(run: Run, tiny: str) -> None:
    """Of a rate that climbs until it spoils what was learnt. Lightning counts from 0 the update a value comes after."""
    words = "--model.optimizer sgd --model.learning_rate 300 --model.warmup_steps 100 --trainer.val_check_interval 1"
    status, _, err = run(f"fit --config {tiny} --trainer.max_steps 7 --sampling.every_n_steps 0 {words}")
    assert status == 0, err
    record = json.loads((FOLDER / "results.json").read_text())
    board = EventAccumulator(str(FOLDER))
    board.Reload()
    losses = [(scalar.value, scalar.step + 1) for scalar in board.Scalars("val/loss")]
    assert len(losses) == 7
    loss, step = min(losses)
    assert step not in (1, 7)
    assert record["step"] == step
    assert record["val/loss"] == pytest.approx(loss, rel=1e-6)
    (accuracy,) = [scalar.value for scalar in board.Scalars("val/accuracy") if scalar.step + 1 == step]
    assert record["val/accuracy"] == pytest.approx(accuracy, rel=1e-6)
    assert record["val/perplexity"] == pytest.approx(math.exp(record["val/loss"]))
    assert record["precision"] == "32-true"
    assert record["seconds"] > 0
    assert "folder" not in record  # it may be moved


def test_a_run_without_a_folder_still_tells_who_asks(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_RESULTS", "asked.json")
    run(f"fit --config {tiny} --trainer.logger false --trainer.enable_checkpointing false")
    assert [path.name for path in Path().iterdir()] == ["asked.json"]
    record = json.loads(Path("asked.json").read_text())
    assert record["folder"] is None
    assert (record["step"], "val/loss" in record) == (3, True)


def test_without_a_validation_the_record_has_none(run: Run, tiny: str) -> None:
    run(f"fit --config {tiny} --trainer.limit_val_batches 0")
    assert set(json.loads((FOLDER / "results.json").read_text())) == {"seconds", "precision"}


def test_a_trial_leaves_no_record(run: Run, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSEQ_RESULTS", "asked.json")
    assert run(f"fit --config {tiny} --trainer.fast_dev_run true")[0] == 0
    assert list(Path().iterdir()) == []

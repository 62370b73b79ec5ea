"""Samples that take too long, and those that a wish to stop finds half done."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.commands import train
from lightseq.sampling import LOOK_EVERY_ON_CPU

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/bells/version_0")
ENDLESS = "--data.dataset_args.layout stream --data.batch_size 4 --sampling.length 20000"


def tags() -> set[str]:
    """All scalars and pictures."""
    found = EventAccumulator(str(FOLDER), {"scalars": 0, "images": 0}).Reload().Tags()
    return {*found["scalars"], *found["images"]}


def stopped_at() -> tuple[int, int, int]:
    """Updates that the last checkpoint knows of: made, shown, and with a count of quality."""
    content = torch.load(FOLDER / "checkpoints/last.ckpt", weights_only=True)
    states = content["callbacks"]
    return content["global_step"], states["SampleText"]["shown_update"], states["SampleQuality"]["counted_update"]


def test_samples_are_cut_when_their_time_is_up(run: Run, bells: str) -> None:
    with pytest.warns(UserWarning, match="samples are cut where drawing them takes more than 1e-09 s") as caught:
        status, _, err = run(f"fit --config {bells} {ENDLESS} --sampling.max_seconds 1e-9")
    assert status == 0, err
    assert sum("sampling.max_seconds" in str(warning.message) for warning in caught) == 1
    lines = [json.loads(line) for line in (FOLDER / "samples.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 2, 4, 4]
    assert {len(line["text"]) for line in lines} == {1 + LOOK_EVERY_ON_CPU}
    assert "samples/length/T=1.00" in tags()


def test_a_drawing_ends_when_the_process_is_asked_to_stop(
    run: Run, bells: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(pl.Callback):
        def on_train_batch_end(self, *_: Any, **__: Any) -> None:
            signal.raise_signal(signal.SIGTERM)

    own = train.house_callbacks
    monkeypatch.setattr(train, "house_callbacks", lambda *values: [Stop(), *own(*values)])
    status, _, err = run(f"fit --config {bells} {ENDLESS} --sampling.every_n_steps 1")
    assert status == 143, err
    assert not list(FOLDER.glob("samples*"))
    assert stopped_at() == (1, -1, 0)


def test_a_showing_that_is_cut_short_leaves_no_trace(run: Run, bells: str) -> None:
    """It is that of a validation, after which the network would be looked into."""
    words = "--data.dataset_args.stopped_in render --sampling.every_n_steps 0"
    status, out, err = run(f"fit --config {bells} {words}")
    assert status == 143, err
    assert not list(FOLDER.glob("samples*"))
    assert "samples:" not in out
    assert "val/loss" in tags()
    assert not [tag for tag in tags() if tag.startswith("inside/")]
    assert stopped_at() == (2, -1, 0)


def test_a_count_that_is_cut_short_is_not_logged(run: Run, bells: str) -> None:
    words = "--data.dataset_args.stopped_in judge --sampling.temperatures [0.5,1.0]"
    status, _, err = run(f"fit --config {bells} {words}")
    assert status == 143, err
    assert len((FOLDER / "samples.jsonl").read_text().splitlines()) == 4  # the showing before it
    assert not [tag for tag in tags() if tag.startswith("samples/") and "prompt" not in tag]
    assert stopped_at() == (2, 2, 0)

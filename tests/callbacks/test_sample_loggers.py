"""Samples in loggers whose packages are not installed: what their clients are asked for."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightseq.callbacks import safety
from lightseq.callbacks.sample_loggers import send
from lightseq.callbacks.showing import Rendered, Showing
from pytorch_lightning.loggers import CSVLogger, MLFlowLogger, WandbLogger

from lightseq.sampling import Sample
from lightseq.types import Rendering

PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
SOUND = np.linspace(-1, 1, 50, dtype=np.float32)


def showing() -> Showing:
    samples = [Sample(prompt, heat, 0, f"{prompt}{heat}\x1b", True) for prompt in ("", "tri") for heat in (0.5, 1.0)]
    rendered = [
        Rendered("samples/T=0.50/prompt_1", Rendering(PICTURE)),
        Rendered("samples/T=1.00/prompt_1", Rendering(audio=SOUND, sample_rate=8000)),
    ]
    return Showing(30, 2, [0.5, 1.0], 1, samples, [[], [], [], ["a remark"]], rendered)


class Recorder:
    """A client's methods, with the signatures of the real ones, which note what they are asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    # MlflowClient, of mlflow 3.17
    def log_text(self, run_id: str, text: str, artifact_file: str) -> None:
        self.asked.append(("text", run_id, text, artifact_file))

    def log_image(
        self,
        run_id: str,
        image: Any,
        artifact_file: str | None = None,
        key: str | None = None,
        step: int | None = None,
        timestamp: int | None = None,
        synchronous: bool | None = None,
    ) -> None:
        self.asked.append(("image", run_id, image, artifact_file))

    # wandb.Run, of wandb 0.31
    def log(self, data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        self.asked.append((data,))


def bare(kind: type, **own: Any) -> Any:
    """A logger of Lightning's whose constructor would ask for its package."""
    logger = kind.__new__(kind)
    vars(logger).update(own)
    return logger


@pytest.fixture(autouse=True)
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning imports the package before it hands out the client."""
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())


def test_mlflow_gets_a_page_and_pictures() -> None:
    client = Recorder()
    send(bare(MLFlowLogger, _initialized=True, _mlflow_client=client, _run_id="r1"), showing())
    (page, picture) = client.asked
    assert page == ("text", "r1", showing().page(), "samples/update_00000030.md")
    assert picture[:2] == ("image", "r1")
    assert picture[3] == "samples/update_00000030/T=0.50_prompt_1.png"
    assert (picture[2] == PICTURE).all()


def test_wandb_gets_the_table_pictures_and_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes of wandb's media, by the arguments that Lightning gives them."""
    media = SimpleNamespace(
        Table=lambda columns=None, data=None, dataframe=None: ("table", columns, data),
        Image=lambda data_or_path, **_: ("image", data_or_path),
        Audio=lambda data_or_path, sample_rate=None, caption=None: ("audio", data_or_path, sample_rate),
    )
    monkeypatch.setitem(sys.modules, "wandb", media)
    client = Recorder()
    logger = bare(WandbLogger, _experiment=client, _prefix="", _wandb_init={})
    monkeypatch.setattr(WandbLogger, "experiment", client)
    send(logger, showing())
    (table,), (picture,), (sound,) = client.asked
    assert {table["trainer/global_step"], picture["trainer/global_step"], sound["trainer/global_step"]} == {30}
    rows = [["", "0.5\ufffd", "1.0\ufffd"], ["tri", "tri0.5\ufffd", "tri1.0\ufffd"]]
    assert table["samples/table"] == ("table", ["prompt", "T=0.50", "T=1.00"], rows)
    ((_, pixels),) = picture["samples/T=0.50/prompt_1"]
    assert (pixels == PICTURE).all()
    ((_, wave, rate),) = sound["samples/T=1.00/prompt_1/sound"]
    assert (wave == SOUND).all()
    assert rate == 8000


def test_a_client_that_fails_is_a_warning_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "_told", set())
    broken = bare(MLFlowLogger, _initialized=True, _mlflow_client=SimpleNamespace(), _run_id="r1")
    with pytest.warns(UserWarning, match="training goes on") as caught:
        send(broken, showing())
    send(broken, showing())
    assert [str(warning.message).partition(":")[0] for warning in caught] == [
        "the samples' text in MLflow",
        "the samples' pictures in MLflow",
    ]


def test_any_other_logger_is_left_alone(own_folder: Path) -> None:
    send(CSVLogger("logs"), showing())
    assert list(own_folder.iterdir()) == []

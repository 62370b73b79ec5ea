"""Looking on never ends the training."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks import safety
from lightseq.callbacks.safety import LOGS, guard, safely
from pytorch_lightning.loggers import CSVLogger

Run = Callable[..., tuple[int, str, str]]
FOLDER = Path("runs/bells/version_0")
FILES = {
    "results.json": "results.json",
    "samples.jsonl": "samples.jsonl",
    "samples.md": "samples.md",
    "memory.json": "the measure of the memory",
}
"""What is written into the run folder, and how its failure is called."""


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has failed yet in this process."""
    monkeypatch.setattr(safety, "_told", set())


def test_a_failure_is_one_warning_of_its_kind() -> None:
    def fail(what: str) -> None:
        with safely(what):
            raise OSError(13, "Permission denied")

    with pytest.warns(
        UserWarning, match=r"^the sound: PermissionError: \[Errno 13\] Permission denied; training goes on without$"
    ):
        fail("the sound")
    fail("the sound")
    with pytest.warns(UserWarning, match="the picture"):
        fail("the picture")


def test_a_full_disk_is_one_warning() -> None:
    def fail(what: str) -> None:
        with safely(what):
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise ValueError("you tried to log 0.3, which is not supported") from error  # as TensorBoard's does

    words = r"^the sound: OSError: \[Errno 28\] No space left on device; training goes on without, and without whatever"
    with pytest.warns(UserWarning, match=words):
        fail("the sound")
    fail("the picture")
    with pytest.warns(UserWarning, match="^the picture: KeyError"), safely("the picture"):
        raise KeyError("a bug")


def test_a_run_tells_again_what_the_one_before_it_has_told() -> None:
    for _ in range(2):
        guard([])
        with pytest.warns(UserWarning, match="the sound"), safely("the sound"):
            raise OSError


def test_what_the_user_wants_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt), safely("the sound"):
        raise KeyboardInterrupt


class Failing(CSVLogger):
    """A logger that fails at one thing."""

    def __init__(self, folder: Path, method: str) -> None:
        super().__init__(folder)
        setattr(self, method, self._fail)

    def _fail(self, *_: object, **__: object) -> None:
        raise OSError(13, "Permission denied")


class Broken(pl.loggers.Logger):
    """A logger that fails at everything."""

    name, version = "broken", 0

    def log_metrics(self, *_: object, **__: object) -> None:
        raise RuntimeError("no connection")

    log_hyperparams = log_graph = save = after_save_checkpoint = finalize = log_metrics


def test_a_logger_that_fails_at_everything_is_a_warning_each() -> None:
    logger = Broken()
    guard([logger])
    before = dict(vars(logger))
    guard([logger])
    assert vars(logger) == before
    for name in LOGS:
        with pytest.warns(UserWarning, match=f"Broken.{name}: RuntimeError: no connection; training goes on"):
            getattr(logger, name)()
    for name in LOGS:
        getattr(logger, name)()


def test_a_logger_does_what_it_did() -> None:
    logger = CSVLogger("logs")
    guard([logger])
    logger.log_metrics({"a": 1.5}, step=3)
    logger.save()
    assert Path(logger.log_dir, "metrics.csv").read_text().split() == ["a,step", "1.5,3"]


def weights(folder: Path = FOLDER) -> dict[str, torch.Tensor]:
    content = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert content["global_step"] == 4
    return content["state_dict"]


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        (
            "judge,render",
            [
                "what the dataset makes of samples: RuntimeError: a renderer",
                "the dataset's judge: RuntimeError: a judge",
            ],
        ),
        (
            "promise",
            ["the samples' pictures in TensorBoard: ValueError", "the samples' sound in TensorBoard: ValueErr"],
        ),
    ],
)
def test_a_dataset_that_fails_is_a_warning_each(run: Run, bells: str, fails: str, told: list[str]) -> None:
    with pytest.warns(UserWarning, match="training goes on") as caught:
        status, _, err = run(f"fit --config {bells} --data.dataset_args.fails {fails}")
    assert status == 0, err
    messages = [str(warning.message) for warning in caught if "training goes on" in str(warning.message)]
    assert len(messages) == len(told), messages
    for message, words in zip(messages, told, strict=True):
        assert message.startswith(words)
    assert weights()


@pytest.mark.parametrize("kind", ["checkpoint", "early"])
def test_a_failing_judge_does_not_end_a_run_that_is_chosen_by_it(run: Run, bells: str, kind: str) -> None:
    words = "--checkpoint.monitor samples/even/T=1.00 --checkpoint.mode max"
    if kind == "early":
        words = "--trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor=samples/even/T=1.00"
        words += " --trainer.callbacks.check_finite=false"
    with pytest.warns(UserWarning, match="the dataset's judge"):
        status, _, err = run(f"fit --config {bells} --data.dataset_args.fails judge {words}")
    assert status == 0, err
    assert weights()


@pytest.mark.parametrize("how", ["folders in their place", "a full disk"])
def test_files_that_cannot_be_written(run: Run, bells: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Spoil(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            for name in FILES:
                place = Path(trainer.log_dir or "", name)
                if "folder" in how:
                    place.mkdir()
                else:
                    place.symlink_to("/dev/full")
                    place.with_name(f"{name}.part").symlink_to("/dev/full")  # of what is written whole or not at all
            Path(trainer.log_dir or "", "yardsticks").touch()

    spoil(monkeypatch, Spoil())
    with pytest.warns(UserWarning, match="training goes on") as caught:
        status, _, err = run(f"fit --config {bells}")
    assert status == 0, err
    told = sorted(str(warning.message) for warning in caught if "training goes on" in str(warning.message))
    *files, samples, lines = told
    assert all("Not a directory" in words for words in (samples, lines))
    assert [words.partition(":")[0] for words in (samples, lines)] == ["the samples' yardsticks", "the yardsticks"]
    if "folder" in how:
        assert [words.partition(":")[0] for words in files] == list(FILES.values())
        assert all("Is a directory" in words for words in files)
    else:
        (words,) = files
        assert words.partition(":")[0] in FILES.values()
        assert "No space left on device" in words
    assert weights()


def spoil(monkeypatch: pytest.MonkeyPatch, callback: pl.Callback) -> None:
    """Every run has one more callback, which comes first."""
    from lightseq.commands import train

    own = train.house_callbacks
    monkeypatch.setattr(train, "house_callbacks", lambda *values: [callback, *own(*values)])


def test_a_run_whose_loggers_fail_goes_on(
    run: Run, bells: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Bring(pl.Callback):
        def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
            trainer.loggers = [*trainer.loggers, *(Failing(tmp_path / "logs", method) for method in LOGS)]

    spoil(monkeypatch, Bring())
    with pytest.warns(UserWarning, match="Permission denied; training goes on") as caught:
        status, _, err = run(f"fit --config {bells}")
    assert status == 0, err
    messages = [str(warning.message) for warning in caught]
    assert all(any(words.startswith(f"Failing.{method}: ") for words in messages) for method in LOGS)
    assert weights()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard writes in a thread
def test_a_run_whose_folder_is_taken_away_goes_on(run: Run, bells: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Remove(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
            if trainer.global_step == 3:
                shutil.rmtree(trainer.log_dir or "")

    spoil(monkeypatch, Remove())
    with pytest.warns(UserWarning, match="training goes on"):
        status, out, err = run(f"fit --config {bells}")
    assert status == 0, err
    assert "best, after update" in out
    assert weights()

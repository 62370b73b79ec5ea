"""The picture of a confusion matrix."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import pytorch_lightning as pl
import torch
from lightseq.callbacks import confusion, safety
from lightseq.callbacks.confusion import MOST, NUMBERED, RIGHT, WRONG, ConfusionMatrix, picture
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightseq.data import SequenceData
from lightseq.system import SequenceSystem

Image = npt.NDArray[np.uint8]


def places(image: Image, colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    return (image == colour).all(-1)


def test_rows_are_true_and_columns_predicted() -> None:
    """25 labels, all right but the third, which is always taken for the sixth."""
    matrix = np.diag(np.arange(1, 26))
    matrix[2, 2], matrix[2, 5] = 0, 7
    image = picture(matrix, [f"label {i}" for i in range(25)])
    right, wrong = places(image, RIGHT), places(image, WRONG)
    cell = int(wrong.any(0).sum())
    assert wrong.sum() == cell**2
    assert right.sum() == 24 * cell**2
    rows, columns = right.any(1), right.any(0)
    begin, pitch = int(np.argmax(rows)), cell + 1
    assert rows.sum() == columns.sum() == 24 * cell
    assert np.argmax(wrong.any(1)) == begin + 2 * pitch
    assert np.argmax(wrong.any(0)) == np.argmax(columns) + 5 * pitch


def test_a_larger_share_of_the_row_is_darker() -> None:
    """Whatever the row's total."""
    shares = [0.05, 0.2, 0.75]
    matrix = np.zeros((30, 30), int)
    matrix[0, 1:4] = [20 * share for share in shares]
    matrix[9, 11:14] = [2000 * share for share in shares]
    image = picture(matrix, ["x"] * 30)
    colours, pixels = np.unique(image.reshape(-1, 3).astype(int), axis=0, return_counts=True)
    reds = colours[(colours[:, 0] > colours[:, 2]) & (pixels > 100)]
    assert len(reds) == len(shares)
    assert (np.diff(np.sort(reds[:, 1])) > 20).all()


@pytest.mark.parametrize(("labels", "numbered"), [(NUMBERED, True), (NUMBERED + 1, False)])
def test_counts_stand_in_the_cells_of_few_labels(labels: int, numbered: bool) -> None:
    one, ten = (picture(np.eye(labels, dtype=int) * count, ["x"] * labels) for count in (1, 10))
    assert np.array_equal(one, ten) is not numbered


def test_the_most_frequent_of_very_many_labels() -> None:
    matrix = np.diag(np.arange(1, MOST + 31))
    matrix[:30] = np.roll(matrix[:30], 1, axis=1)  # the rare ones are all wrong, and not seen
    names = [f"label {i}" for i in range(len(matrix))]
    image = picture(matrix, names)
    assert not places(image, WRONG).any()
    assert abs(image.shape[1] - picture(matrix[:MOST, :MOST], names[:MOST]).shape[1]) < 20
    assert places(picture(matrix[:MOST, :MOST], names[:MOST]), WRONG).any()


@pytest.mark.parametrize("labels", [1, 2, 3, 21, 200])
@pytest.mark.parametrize("name", ["x", "a" * 1000, "\x1b[31m\n", "日本", "i" * 12])
def test_any_names_and_any_number_of_labels(labels: int, name: str) -> None:
    image = picture(np.zeros((labels, labels), int), [name] * labels)
    height, width, _ = image.shape
    assert image.dtype == np.uint8
    assert width > 150 < height
    assert max(width, height) < 250 + max(560, 13 * labels)
    edges = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edges == 255).all()


def test_names_keep_what_the_font_has() -> None:
    def named(name: str) -> Image:
        return picture(np.eye(2, dtype=int), ["other", name])

    assert np.array_equal(named("Français"), named("Francais"))
    assert np.array_equal(named("ß"), named("#1"))
    assert not np.array_equal(named("one"), named("two"))


def fitted(vowels: str, *callbacks: pl.Callback) -> SequenceSystem:
    data = SequenceData(vowels, {"tagged": False}, batch_size=16)
    torch.manual_seed(0)
    system = SequenceSystem(data.vocabulary, data.labels, embedding_size=5, hidden_size=8, dropout=0.3)
    logger = TensorBoardLogger(Path(), "board", len(callbacks))
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu", logger=logger, callbacks=list(callbacks), max_epochs=3, log_every_n_steps=1, **quiet
    )
    trainer.fit(system, data)
    return system


def test_a_picture_a_validation_and_the_training_as_it_was(vowels: str) -> None:
    without, observed = fitted(vowels), fitted(vowels, ConfusionMatrix())
    assert all(torch.equal(a, b) for a, b in zip(without.parameters(), observed.parameters(), strict=True))
    boards = [EventAccumulator(f"board/version_{i}", size_guidance={"images": 0}).Reload() for i in (0, 1)]
    assert boards[0].Tags()["images"] == []
    images = boards[1].Images("val/confusion_matrix")
    assert [image.step for image in images] == [7, 14, 21]  # none of the sanity check
    matrix = observed.evaluation.metrics[0].matrix
    assert matrix is not None
    assert observed.labels is not None
    height, width, _ = picture(matrix.numpy(), observed.labels).shape
    assert (images[-1].height, images[-1].width) == (height, width)


def test_a_picture_that_fails_is_one_warning(vowels: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safety, "_told", set())
    monkeypatch.setattr(confusion, "picture", broken)
    with pytest.warns(UserWarning, match="the confusion matrix: OSError.*training goes on") as told:
        system = fitted(vowels, ConfusionMatrix())
    assert len([warning for warning in told if "confusion" in str(warning.message)]) == 1
    assert system.trainer.global_step == 21

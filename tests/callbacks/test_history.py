"""What is measured when training ends, and how it is said."""

from pathlib import Path

import numpy as np
import pytest
from lightseq.callbacks import curves
from lightseq.callbacks.history import _unit, line, texts

from lightseq.data import SequenceData
from lightseq.memory import Memory


def test_the_line_says_the_histories_there_are() -> None:
    losses = {1: 3.0, 8: 1.936, 64: 1.52, 128: 1.5}
    said = line(Memory(1.47, 99, losses, {}, {}), "characters")
    assert said == "memory with only the last 8 characters the loss is 1.94, with 64 1.52, with all 1.47"
    assert "last 1 tokens" in line(Memory(1.47, 99, {1: 2.0, 2: 1.47}, {}, {}), "tokens")


def test_a_stream_is_scored_where_the_longest_history_is_behind_it(alphabet: str) -> None:
    long, skip = texts(SequenceData(alphabet, {"times": 2000}))
    assert (len(long), {len(text) for text in long}, skip) == (10, {513}, 256)
    short, skip = texts(SequenceData(alphabet))
    assert (len(short), len(short[0]), skip) == (1, 260, 129)


def test_a_curve_goes_down_to_the_right_and_a_level_is_level() -> None:
    image = np.asarray(curves.picture({"cut": {1: 3.0, 16: 1.0}}, {"n-gram": 2.0})).astype(int)
    plot = image[60:-40, 60:-20]
    blue = np.argwhere(plot[..., 2] > plot[..., 0] + 60)
    left, right = blue[blue[:, 1].argmin()], blue[blue[:, 1].argmax()]
    assert right[0] - left[0] > curves.HEIGHT // 2
    assert right[1] - left[1] > curves.WIDTH * 0.9
    dark = (plot.max(-1) < 180).sum(1)
    assert dark.max() > curves.WIDTH // 3  # dashes


def test_a_loss_that_is_no_number_is_not_drawn() -> None:
    with pytest.raises(ValueError, match="finite"):
        curves.picture({"cut": {1: float("nan")}}, {})


@pytest.mark.parametrize(("tokens", "unit"), [("characters", "characters"), ("bytes", "tokens"), ("words", "tokens")])
def test_bytes_and_words_are_no_characters(own_folder: Path, tokens: str, unit: str) -> None:
    (own_folder / "x.txt").write_text("na\u00efve\nnature\nnative\n" * 9, encoding="utf-8")
    assert _unit(SequenceData("text", {"path": "x.txt", "by": "line", "tokens": tokens})) == unit

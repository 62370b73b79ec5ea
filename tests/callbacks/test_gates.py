"""The heat maps of gates."""

import numpy as np
from lightseq.callbacks import gates
from lightseq.callbacks.drawing import BLUE, RED, WHITE


def test_the_most_active_unit_is_above_and_time_goes_right() -> None:
    values = np.zeros((3, 1, 2))
    values[2, 0, 1] = 1.0  # the second unit, at the last time step
    image = gates.picture([{"update": values}], ["abc"])
    dark = (np.asarray(image.convert("RGB")) == BLUE).all(-1)
    column = 24
    heat = np.argwhere(dark[:, 2 * column + 6 : 3 * column + 6].all(1))
    assert len(heat) == gates.HEIGHT // 2  # the upper half of the heat map
    assert heat.min() < gates.HEIGHT // 2
    assert not dark[heat.min() : heat.max() + 1, : 2 * column + 6].any()


def test_negative_values_are_red_around_a_white_nought() -> None:
    image = gates.picture([{"cell": np.array([-2.0, 0.0, 2.0]).reshape(3, 1, 1)}], ["abc"])
    rows = np.asarray(image.convert("RGB"))
    middle = rows[gates.GAP + 60]
    assert [tuple(middle[6 + 24 * step + 12].tolist()) for step in range(3)] == [RED, WHITE, BLUE]


def test_a_panel_a_gate_and_layer_and_a_gap_between_texts() -> None:
    rng = np.random.default_rng(0)
    texts = [{name: rng.random((length, 2, 5)) for name in ("input", "forget")} for length in (4, 6)]
    two = gates.picture(texts, ["abcd", "efghij"])
    one = gates.picture([{"input": text["input"]} for text in texts], ["abcd", "efghij"])
    assert two.height > 1.8 * one.height
    gap = np.asarray(one.convert("RGB"))[:, 6 + 24 * 4 : 6 + 24 * 5]
    heat = slice(40, 40 + gates.HEIGHT // 2)
    assert (gap[heat] == 255).all()


def test_of_many_units_some_are_shown() -> None:
    few, many = (gates.picture([{"hidden": np.ones((3, 1, n))}], ["abc"]) for n in (gates.MOST_UNITS, 1000))
    assert few.height == many.height

"""Letters of the pictures."""

import numpy as np
from lightseq.callbacks.drawing import in_ascii, lettering


def test_letters_are_whole() -> None:
    """An f is higher than a capital."""
    high, line_of_f = np.asarray(lettering("f", 16)), np.asarray(lettering("A", 16))
    assert high.any(1).argmax() < line_of_f.any(1).argmax()
    assert in_ascii("Français", 3, 8) == "Francais"
    assert in_ascii("ж", 3, 8) == "#3"

"""What the dataset thinks of a model's texts, and what it makes of them."""

import numpy as np
import pytest
from lightseq_rainbow import Rainbow, is_true


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("moss green #6f7f3b", True),
        ("moss green #3b6f9f", False),
        ("dove grey #b0b1b8", True),
        ("dove grey #b01020", False),
        ("dove blue #b0b1b8", False),
        ("shell pink #f7cfca", True),
        ("shell pink #8a1538", False),
        ("bark brown #5a4636", True),
        ("bark brown #f8a756", False),
        ("poppy red #e03c31", True),
        ("poppy red #e0313c", True),
        ("poppy rouge #e03c31", False),
        ("green #6f7f3b", False),
        ("moss green", False),
        ("moss green #6f7f3", False),
        ("", False),
    ],
)
def test_what_is_true(text: str, true: bool) -> None:
    assert is_true(text) is true


def test_the_shares() -> None:
    texts = ["moss green #6f7f3b", "moss green #3b6f9f", "moss grene #3b6f9f", "moss"]
    assert Rainbow().judge(texts) == {"well_formed": 0.75, "true": 0.25}
    assert set(Rainbow().judge(list(Rainbow().documents())).values()) == {1.0}
    assert Rainbow(hexadecimal=False).judge(["moss green"]) == {}


def test_the_card() -> None:
    image = np.asarray(Rainbow().render("moss green #6f7f3b").image)
    assert image.shape == (48, 96, 3)
    assert (image == [0x6F, 0x7F, 0x3B]).all()
    assert Rainbow().render("moss green").image is None


def test_names_alone() -> None:
    names = list(Rainbow(hexadecimal=False).documents())
    assert names[0] == "poppy red"
    assert len(names) == len(set(names)) == 177


def test_a_line_that_is_not_what_it_says(tmp_path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("moss green #6f7f3b\n\nmoss green #ff0000\n")
    assert list(Rainbow(str(file)).problems()) == [
        f"{file}, line 3: 'moss green #ff0000' is not the colour it says",
    ]

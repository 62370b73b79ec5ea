import os
from pathlib import Path

import pytest

from lightseq.data import SequenceData
from lightseq.vocabulary import Vocabulary

HERE = Path(os.environ.get("LIGHTSEQ_DATA", ""), "tinyshakespeare.txt")


@pytest.mark.skipif(not HERE.is_file(), reason="LIGHTSEQ_DATA has no tinyshakespeare.txt")
def test_the_split_of_nanogpt_and_no_extra_symbol() -> None:
    data = SequenceData("shakespeare")
    text = HERE.read_text(encoding="ascii")
    assert len(data.vocabulary) == 65
    assert {split: len(part) for split, part in data.parts.items()} == {"train": 1_003_854, "val": 111_540, "test": 0}
    vocabulary = Vocabulary(data.vocabulary)
    assert vocabulary.decode(data.parts["train"]) == text[:1_003_854]
    assert vocabulary.decode(data.parts["val"]) == text[1_003_854:]
    for prompt in data.dataset.prompts:
        vocabulary.encode(prompt)


def test_a_text_of_ones_own_is_split_alike() -> None:
    Path("x.txt").write_text("abcdefghij" * 3)
    data = SequenceData("shakespeare", {"path": "x.txt"})
    assert {split: len(part) for split, part in data.parts.items()} == {"train": 27, "val": 3, "test": 0}

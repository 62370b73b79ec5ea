import os
import re
from pathlib import Path

import pytest
from lightseq.datasets.dinos import Dinos

from lightseq.data import SequenceData


def test_at_least_a_thousand_names_in_order() -> None:
    names = Dinos().documents()
    assert len(names) >= 1_000
    assert names == sorted(set(names))
    assert all(re.fullmatch("[a-z]{2,}", name) for name in names)
    assert {"tyrannosaurus", "triceratops", "yi", "micropachycephalosaurus"} <= set(names)


def test_the_split() -> None:
    data = SequenceData("dinos")
    assert data.vocabulary == ["", *"abcdefghijklmnopqrstuvwxyz"]
    assert data.labels is data.token_counts is None
    assert {split: len(part) for split, part in data.parts.items()} == {"train": 1071, "val": 134, "test": 134}


def test_its_prompts_are_known() -> None:
    letters = set("".join(Dinos().documents()))
    assert all(set(prompt) <= letters for prompt in Dinos().prompts)


@pytest.mark.skipif(
    not Path(os.environ.get("LIGHTSEQ_DATA", ""), "dinos.txt").is_file(), reason="LIGHTSEQ_DATA has no dinos.txt"
)
def test_the_list_is_another_than_the_courses() -> None:
    course = set(Path(os.environ["LIGHTSEQ_DATA"], "dinos.txt").read_text().lower().split())
    names = set(Dinos().documents())
    assert len(names - course) > 100
    assert len(course - names) > 100

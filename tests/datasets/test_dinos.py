import os
import re
from pathlib import Path

import pytest
from lightseq.datasets.dinos import DinoClades, Dinos

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


def test_the_clades() -> None:
    documents = list(DinoClades().documents())
    assert {document.labels for document in documents} == {"theropod", "sauropodomorph", "ornithischian"}
    clades = {document.tokens: document.labels for document in documents}
    assert clades["velociraptor"] == "theropod"
    assert clades["brachiosaurus"] == "sauropodomorph"
    assert clades["triceratops"] == "ornithischian"
    assert set(clades) < set(Dinos().documents())
    assert len(documents) == 1331


def test_a_list_of_ones_own() -> None:
    Path("mine.txt").write_bytes(b"Nessie\r\n\r\n Yeti\r\n")
    dinos = Dinos(path="mine.txt")
    assert dinos.documents() == ["nessie", "yeti"]
    assert dinos.prompts == ("",)


def test_every_name_once() -> None:
    Path("mine.txt").write_text("Yeti\nNessie\nyeti\n")
    assert Dinos(path="mine.txt").documents() == ["yeti", "nessie", "yeti"]
    assert Dinos(path="mine.txt", distinct=True).documents() == ["yeti", "nessie"]


HERE = Path(os.environ.get("LIGHTSEQ_DATA", ""), "dinos.txt")


@pytest.mark.skipif(not HERE.is_file(), reason="LIGHTSEQ_DATA has no dinos.txt")
def test_the_courses_list_is_another() -> None:
    course, names = Dinos("course").documents(), Dinos().documents()
    assert (len(course), len(set(course))) == (1536, 1524)
    assert course == HERE.read_text().lower().split()
    assert len(set(names) - set(course)) > 100
    assert len(set(course) - set(names)) > 100

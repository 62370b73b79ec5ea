import os
from pathlib import Path

import pytest
from lightseq.datasets.names import Names

from lightseq.data import SequenceData


@pytest.mark.skipif(
    not Path(os.environ.get("LIGHTSEQ_DATA", ""), "names.txt").is_file(), reason="LIGHTSEQ_DATA has no names.txt"
)
def test_the_names_and_what_stands_twice_on_one_side() -> None:
    data = SequenceData("names")
    names = Names().documents()
    assert (len(names), len(set(names)), len(data.vocabulary)) == (32_033, 29_494, 27)
    sides = {split: {names[i] for i in part} for split, part in data.parts.items()}
    assert not sides["train"] & (sides["val"] | sides["test"])
    assert sum(map(len, data.parts.values())) == len(names)


def test_every_name_once(own_folder: Path) -> None:
    Path("own.txt").write_text("ben\nann\nben\n\nann\nada\n")
    assert Names("own.txt").documents() == ["ben", "ann", "ben", "ann", "ada"]
    assert Names("own.txt", distinct=True).documents() == ["ben", "ann", "ada"]

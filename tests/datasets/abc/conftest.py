"""The Irish tunes, read once for all of the tests."""

import os
from pathlib import Path

import pytest
from lightseq.datasets.abc.tunes import Tune, read_tunes


@pytest.fixture(scope="session")
def irish() -> list[Tune]:
    """All of them; what needs them is skipped where they are not at hand."""
    file = Path(os.environ.get("LIGHTSEQ_DATA", ""), "irish.abc")
    if not file.is_file():
        pytest.skip("LIGHTSEQ_DATA has no irish.abc")
    return list(read_tunes(str(file), "utf-8", []))

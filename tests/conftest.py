"""Everything that tests share: a cache of their own, plugins made on the spot, a small configuration."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: there is a test for every core

import pytest
import rich
import torch

from lightseq import cli

TINY = """
data: {dataset: dinos, batch_size: 32}
model: {backbone: lstm, embedding_size: 5, hidden_size: 6, num_layers: 1}
trainer: {max_steps: 3, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1}
sampling: {temperatures: [0.0, 1.0], prompts: ["", tri], every_n_steps: 2, length: 12}
"""
"""The configuration that every short run derives from."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test in an empty folder with an empty cache elsewhere."""
    monkeypatch.setenv("LIGHTSEQ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LIGHTSEQ_PRECISION", "32-true")  # not what is faster at this moment
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    torch.manual_seed(0)
    yield here
    rich.reconfigure()


@pytest.fixture
def tiny(own_folder: Path) -> str:
    """The path of a small configuration."""
    (own_folder.parent / "tiny.yaml").write_text(TINY)
    return str(own_folder.parent / "tiny.yaml")


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution: ``plugin("colours", "lightseq.datasets", {"colours": "colours:Colours"}, code)``."""

    modules = []

    def install(distribution: str, group: str, points: dict[str, str], code: str) -> None:
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution}-1.0.dist-info"
        info.mkdir(parents=True)
        info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = "\n".join(f"{name} = {target}" for name, target in points.items())
        info.joinpath("entry_points.txt").write_text(f"[{group}]\n{lines}\n")
        module = next(iter(points.values())).partition(":")[0]
        site.joinpath(f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        modules.append(module)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def alphabet(plugin: Callable[..., None]) -> str:
    """A stream dataset: the alphabet, over and over."""
    code = """
from lightseq.data import TextDataset

class Alphabet(TextDataset):
    '''The alphabet over and over.'''
    layout = "stream"
    prompts = ("", "ab")

    def __init__(self, times: int = 100) -> None:
        self.times = times

    def documents(self):
        return ["abcdefghijklmnopqrstuvwxyz" * self.times]
"""
    plugin("alphabet", "lightseq.datasets", {"alphabet": "alphabet_plugin:Alphabet"}, code)
    return "alphabet"


@pytest.fixture
def vowels(plugin: Callable[..., None]) -> str:
    """Labelled datasets: each letter's kind (tagging), and whether a word has a vowel (classification)."""
    code = """
from itertools import product
from lightseq.data import TextDataset
from lightseq.types import Document

class Vowels(TextDataset):
    '''Three letters each, tagged or classified.'''

    def __init__(self, tagged: bool = True) -> None:
        self.tagged = tagged

    def documents(self):
        for letters in product("abcde", repeat=3):
            kinds = ["vowel" if letter in "ae" else "consonant" for letter in letters]
            yield Document("".join(letters), kinds if self.tagged else ("some" if "vowel" in kinds else "none"))
"""
    plugin("vowels", "lightseq.datasets", {"vowels": "vowels_plugin:Vowels"}, code)
    return "vowels"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Type a command in this process: ``run("fit --config dinos")`` -> status, standard output, standard error."""

    def type_in(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.main([part for word in words for part in word.split()])
        out, err = capsys.readouterr()
        return status, out, err

    return type_in

"""A dataset that judges and renders, and a short run on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

BELLS = """
import signal
import numpy as np
from lightseq.data import TextDataset
from lightseq.types import Rendering

class Bells(TextDataset):
    prompts = ("", "ab")

    def __init__(self, fails: str = "", layout: str = "documents", stopped_in: str = "") -> None:
        self.fails, self.layout, self.stopped_in = fails, layout, stopped_in

    def documents(self):
        return ["ab" * (1 + n % 7) + "c" * (n // 7) for n in range(70)]

    def judge(self, texts):
        if self.stopped_in == "judge":
            signal.raise_signal(signal.SIGTERM)
        if "judge" in self.fails:
            raise RuntimeError("a judge")
        return {"even": sum(len(text) % 2 == 0 for text in texts) / len(texts)}

    def render(self, text):
        if self.stopped_in == "render":
            signal.raise_signal(signal.SIGTERM)
        if "render" in self.fails:
            raise RuntimeError("a renderer")
        if "promise" in self.fails:
            return Rendering(np.zeros((3, 4)), np.zeros((5, 6)), 8000)
        sound = np.sin(np.arange(80, dtype=np.float32) * (1 + len(text)))
        remarks = ["<b>loud</b> `ticks`", *("again" for _ in range(9))]
        return Rendering(np.full((3, 4, 3), len(text), np.uint8), sound, 8000, remarks=remarks)
"""


@pytest.fixture
def bells(plugin: Callable[..., None], tmp_path: Path) -> str:
    """The path of a small configuration."""
    plugin("bells", "lightseq.datasets", {"bells": "bells_plugin:Bells"}, BELLS)
    tiny = """
data: {dataset: bells, batch_size: 16}
model: {backbone: gru, embedding_size: 3, hidden_size: 4, num_layers: 1}
trainer: {max_steps: 4, accelerator: cpu, enable_progress_bar: false, log_every_n_steps: 1, val_check_interval: 2}
sampling: {temperatures: [1.0], every_n_steps: 2, length: 9, judged: 5}
"""
    (tmp_path / "bells.yaml").write_text(tiny)
    return str(tmp_path / "bells.yaml")

"""A training that diverges, and what looks on and fails.

Each function raises ``BrokenError`` where something does not hold that must.
"""

import torch

from .files import TOLD
from .shop import Run, Shop, read

BELLS = """
from lightseq.data import TextDataset

class Bells(TextDataset):
    def __init__(self, fails: str = "") -> None:
        self.fails = fails

    def documents(self):
        return ["ab" * (1 + n % 7) + "c" * (n // 7) for n in range(70)]

    def judge(self, texts):
        if self.fails == "judge":
            raise RuntimeError("a judge")
        return {"even": sum(len(text) % 2 == 0 for text in texts) / len(texts)}

    def render(self, text):
        if self.fails == "render":
            raise RuntimeError("a render")
        return super().render(text)
"""


def diverged(run: Run, harm: str, update: int) -> None:
    """``nan_weights`` or ``infinite_gradient`` in an update: the run stops and explains; what is on disk is finite."""
    with run.start(harm=f"{harm} {update} 0") as life:
        status = life.end()
    life.must(status == 1, f"ended with {status}")
    for words in (f"update {update}", "learning rate", "gradient norm", "Try", "is finite", "not_finite.pt"):
        life.must(words in life.text, f"{words!r} is not told")
    life.must("Traceback" not in life.text, "a traceback")
    content = read(run.place / "checkpoints" / "last.ckpt") or {"global_step": update}
    life.must(content["global_step"] < update, f"last.ckpt is of update {content['global_step']}")
    life.must(all(weight.isfinite().all() for weight in content["state_dict"].values()), "last.ckpt is not finite")
    batches = torch.load(run.place / "not_finite.pt", weights_only=True)
    life.must(batches["update"] == update and len(batches["batches"]) == 1, f"the batch: {batches}")


def unseen(shop: Shop, fails: str) -> None:
    """The dataset's ``judge`` or its ``render`` raises: training goes on, and that is told once."""
    runs = []
    for arguments in ({}, {"fails": fails}):
        run = shop.run(data={"dataset": "./bells.py:Bells", "dataset_args": arguments}, updates=60)
        (run.folder / "bells.py").write_text(BELLS)
        with run.start("--sampling.judged", "5") as life:
            life.must(life.end() == 0, "it ended")
        runs.append(run)
    told = life.lines(TOLD)
    life.must(len(told) == 1 and f"RuntimeError: a {fails}" in told[0], f"told: {told}")
    runs[1].compare(runs[0], weights_only=True)

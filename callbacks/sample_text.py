"""Samples while a model trains."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import rich
from pytorch_lightning import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from rich.table import Table
from rich.text import Text

from ..data import SequenceData
from ..errors import UserError
from ..sampling import Sample, generate
from ..system import SequenceSystem
from ..types import NonNegativeFloat, NonNegativeInt, PositiveInt
from ..vocabulary import Vocabulary
from . import markup
from .averaging import averaged


class SampleText(Callback):
    """Shows what the model writes: every prompt at every temperature, in one batch.

    In the terminal, in TensorBoard (a text tag a temperature, and ``samples/table``), and in ``samples.jsonl`` in the
    run folder. The numbers it draws are its own and the same every time: training ends in the same weights with and
    without it, and what differs from one table to the next is the model.

    Args:
        temperatures: Divide the logits; 0 is greedy.
        prompts: Texts to continue; null is what the dataset proposes.
        n: Samples of each prompt and temperature.
        length: Tokens of a sample at the most.
        top_k: Draw among the k likeliest tokens only.
        every_n_steps: Optimiser updates between two showings; 0 is at the end only.
        seed: Of the random numbers.
    """

    def __init__(
        self,
        temperatures: list[NonNegativeFloat] = [0.0, 0.5, 0.8, 1.0],  # noqa: B006 (shown in --help, never changed)
        prompts: list[str] | None = None,
        n: PositiveInt = 1,
        length: PositiveInt = 256,
        top_k: PositiveInt | None = None,
        every_n_steps: NonNegativeInt = 200,
        seed: NonNegativeInt = 0,
    ) -> None:
        self.temperatures, self.prompts, self.n, self.length = temperatures, prompts, n, length
        self.top_k, self.every_n_steps, self.seed = top_k, every_n_steps, seed
        self._shown_update = -1
        self._file: Path | None = None

    def prompts_for(self, data: SequenceData) -> Sequence[str]:
        """The user's prompts, else the dataset's.

        Raises:
            UserError: A prompt with a token that the vocabulary lacks, or nothing to show.
        """
        prompts = data.dataset.prompts if self.prompts is None else self.prompts
        if not prompts or not self.temperatures:
            raise UserError("sampling.prompts and sampling.temperatures need one entry each at least")
        for prompt in prompts:
            try:
                Vocabulary(data.vocabulary).encode(prompt)
            except UserError as error:
                whose = (
                    "the dataset's own; sampling.prompts sets others" if self.prompts is None else "sampling.prompts"
                )
                raise UserError(f"the prompt {prompt!r} ({whose}): {error}") from None
        return prompts

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        folder = trainer.log_dir  # asked on every rank: it is broadcast
        if stage == "fit" and trainer.is_global_zero and trainer.logger is not None and folder is not None:
            self._file = Path(folder) / "samples.jsonl"

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        update = trainer.global_step
        if self.every_n_steps and update % self.every_n_steps == 0 and update != self._shown_update:
            self._show(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step != self._shown_update:
            self._show(trainer, pl_module)

    def _show(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SequenceSystem)
        self._shown_update = trainer.global_step
        if not trainer.is_global_zero or pl_module.labels is not None:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        with averaged(trainer, pl_module):
            samples = generate(
                pl_module.model,
                pl_module.vocabulary,
                self.prompts_for(data) if isinstance(data, SequenceData) else self.prompts or [""],
                self.temperatures,
                n=self.n,
                length=self.length,
                top_k=self.top_k,
                seed=self.seed,
                token_counts=pl_module.token_counts,
            )
        self._print(samples, trainer.global_step)
        self._write(samples, trainer.global_step, trainer.current_epoch)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                self._log(logger, samples, trainer.global_step)

    def _print(self, samples: Sequence[Sample], step: int) -> None:
        console = rich.get_console()
        if not console.is_terminal:
            for sample in samples:
                text = markup.plain(sample.text)
                print(f"update {step} T={sample.temperature:.2f} {sample.prompt!r}: {text}", flush=True)
            return
        grid = Table(title=f"update {step:,}", title_justify="left")
        for word in self._header():
            grid.add_column(word, overflow="fold")
        for row in self._rows(samples):
            grid.add_row(*(Text(markup.plain(cell)) for cell in row))
        console.print(grid)

    def _write(self, samples: Sequence[Sample], step: int, epoch: int) -> None:
        if self._file is None:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            for sample in samples:
                file.write(json.dumps({"step": step, "epoch": epoch, **sample._asdict()}) + "\n")

    def _log(self, logger: TensorBoardLogger, samples: Sequence[Sample], step: int) -> None:
        board = logger.experiment
        for temperature in self.temperatures:
            own = [markup.fenced(sample.text) for sample in samples if sample.temperature == temperature]
            board.add_text(f"samples/T={temperature:.2f}", "\n\n".join(own), step)
        board.add_text("samples/table", markup.table(self._header(), self._rows(samples)), step)

    def _header(self) -> list[str]:
        return ["prompt", *(f"T={temperature:.2f}" for temperature in self.temperatures)]

    def _rows(self, samples: Sequence[Sample]) -> list[list[str]]:
        """Prompt by prompt, ``n`` rows each, the temperatures side by side."""
        block = len(self.temperatures) * self.n
        return [
            [samples[start].prompt, *(sample.text for sample in samples[start + i : start + block : self.n])]
            for start in range(0, len(samples), block)
            for i in range(self.n)
        ]

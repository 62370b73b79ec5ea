"""Samples while a model trains."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning import Callback

from ..data import SequenceData
from ..errors import UserError
from ..footprint import check_texts
from ..model import SequenceModel
from ..sampling import Sample, generate
from ..system import SequenceSystem
from ..types import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from ..vocabulary import Vocabulary
from . import sample_files, sample_loggers, sample_terminal
from .graceful_stop import stop_asked
from .looking import lent
from .safety import guard, safely
from .showing import Rendered, Showing, tag_of
from .text_quality import Corpus

RENDERED = 6
"""Samples of a showing that are made into pictures and sounds, at the most."""
REMARKS = 5
"""What a dataset remarks of one sample that is written down, at the most."""


class SampleText(Callback):
    """Shows what the model writes, every prompt at every temperature in one batch.

    In the terminal, in the run's logger (TensorBoard: a text tag a temperature, ``samples/table``, and the pictures and
    sounds that the dataset's ``render`` makes of them), and in ``samples.jsonl`` and ``samples.md`` in the run folder.

    The random numbers are its own and the same every time: training ends in the same weights with and without it, and
    what differs from one table to the next is the model. Whatever of it fails is one warning.

    Rank zero alone draws, and the others wait for it. Where it is asked to stop, it shows nothing more.

    Args:
        temperatures: Divide the logits; 0 is greedy.
        prompts: Texts to continue; null is what the dataset proposes.
        n: Samples of each prompt and temperature.
        length: Tokens of a sample at the most.
        top_k: Draw among the k likeliest tokens only.
        every_n_steps: Optimiser updates between two showings, and at least between two validations at which
            ``SampleQuality`` counts; 0 is at the end only.
        at_validation: Show them in the logger and the files, though not in the terminal, at validations too: where
            half of ``every_n_steps`` has passed since the last showing, or more.
        judged: Samples of each temperature but 0 whose quality is counted, from the empty prompt; 0 counts none.
        copies_up_to: Tokens of a training split in which copies are looked up; the index takes 13 bytes a
            character, and 36 while it is made, of a list of names twice that.
        max_seconds: Of drawing, for one showing, and for one count of the quality; samples that take longer are cut.
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
        at_validation: bool = True,
        judged: NonNegativeInt = 50,
        copies_up_to: NonNegativeInt = 10_000_000,
        max_seconds: PositiveFloat = 60.0,
        seed: NonNegativeInt = 0,
    ) -> None:
        self.temperatures, self.prompts, self.n, self.length = temperatures, prompts, n, length
        self.top_k, self.every_n_steps, self.seed = top_k, every_n_steps, seed
        self.at_validation, self.judged, self.copies_up_to = at_validation, judged, copies_up_to
        self.max_seconds, self._cut_told = max_seconds, False
        self._folder: Path | None = None
        self._corpus: Corpus | None = None
        self._showing: Showing | None = None
        self._shown_update = self._told_update = -1

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
        check_texts(len(prompts) * len(self.temperatures) * self.n, self.length)
        return prompts

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        folder = trainer.log_dir  # asked on every rank: it is broadcast
        if stage != "fit":
            return
        self._folder, self._corpus, self._showing, self._shown_update, self._told_update = None, None, None, -1, -1
        self._cut_told = False
        guard(trainer.loggers)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, SequenceData) and data.labels is None:
            self.prompts_for(data)  # a mistake is told now, not at the first showing
        if trainer.is_global_zero and trainer.logger is not None and folder is not None:
            self._folder = Path(folder)

    def state_dict(self) -> dict[str, Any]:
        return {"shown_update": self._shown_update}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._shown_update = state_dict["shown_update"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._folder is not None and trainer.global_step:
            sample_files.keep(self._folder, trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.every_n_steps and trainer.global_step % self.every_n_steps == 0:
            self._show(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        since = trainer.global_step - max(0, self._shown_update)
        wanted = self.at_validation and 2 * since >= self.every_n_steps  # many short epochs would cost too much
        if wanted and not trainer.sanity_checking and trainer.state.fn == "fit":
            self._show(trainer, pl_module, told=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._show(trainer, pl_module)

    def _show(self, trainer: pl.Trainer, pl_module: pl.LightningModule, told: bool = True) -> None:
        """Draw samples, once an update, and put them everywhere; in the terminal where they are to be ``told``."""
        assert isinstance(pl_module, SequenceSystem)
        if pl_module.labels is not None:
            return
        if self._shown_update != trainer.global_step:
            before, self._shown_update, self._showing = self._shown_update, trainer.global_step, None
            with lent(trainer, pl_module) as model:
                if model is not None:
                    with safely("samples"):
                        showing = self._drawn(trainer, pl_module, model)
                        if showing is None:
                            self._shown_update = before  # a checkpoint that is written now knows of none
                        else:
                            self._write(trainer, showing)
        if told and self._showing is not None and self._told_update != trainer.global_step:
            self._told_update = trainer.global_step
            with safely("samples in the terminal"):
                sample_terminal.show(self._showing)

    def _write(self, trainer: pl.Trainer, showing: Showing) -> None:
        """Into the files and the loggers."""
        if self._folder is not None:
            sample_files.write(self._folder, showing)
        for logger in trainer.loggers:
            sample_loggers.send(logger, showing)
        self._showing = showing._replace(rendered=())

    def _drawn(self, trainer: pl.Trainer, system: SequenceSystem, model: SequenceModel) -> Showing | None:
        """None where the process is asked to stop."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        own = isinstance(data, SequenceData)
        prompts = self.prompts_for(data) if own else self.prompts or [""]
        samples = self.draw(system, model, prompts, self.temperatures, self.n)
        if samples is None:
            return None
        notes: list[list[str]] = [[] for _ in samples]
        rendered = []
        if own:
            with safely("copies in samples"):
                notes = self.corpus(data).notes([sample.text for sample in samples])
            for place, tag in self._places(len(samples)):
                with safely("what the dataset makes of samples"):
                    rendering = data.dataset.render(samples[place].text)
                    notes[place] += list(rendering.remarks)[:REMARKS]
                    rendered.append(Rendered(tag, rendering))
                if stop_asked():
                    return None
        return Showing(trainer.global_step, trainer.current_epoch, self.temperatures, self.n, samples, notes, rendered)

    def _places(self, count: int) -> Iterator[tuple[int, str]]:
        """Of so many samples those to look at and listen to, the first of a prompt and temperature, with their tags."""
        for number, place in enumerate(range(0, count, self.n)[:RENDERED]):
            prompt, heat = divmod(number, len(self.temperatures))
            yield place, f"samples/{tag_of(self.temperatures[heat])}/prompt_{prompt + 1}"

    def draw(
        self, system: SequenceSystem, model: SequenceModel, prompts: Sequence[str], heats: Sequence[float], n: int
    ) -> list[Sample] | None:
        """``n`` samples of each prompt and temperature, as far as they come within ``max_seconds``; None where the
        process is asked to stop.

        Args:
            system: Whose vocabulary it is.
            model: Its network, as ``lent`` gives it.
            prompts: Texts to continue.
            heats: Temperatures.
            n: Samples of each.
        """
        began, cut = perf_counter(), False

        def over() -> bool:
            nonlocal cut
            cut = perf_counter() - began > self.max_seconds
            return cut or stop_asked()

        samples = generate(
            model,
            system.vocabulary,
            prompts,
            heats,
            n=n,
            length=self.length,
            top_k=self.top_k,
            seed=self.seed,
            token_counts=system.token_counts,
            until=over,
        )
        if cut and not self._cut_told:
            self._cut_told = True
            warnings.warn(
                f"samples are cut where drawing them takes more than {self.max_seconds:g} s (sampling.max_seconds)",
                stacklevel=2,
            )
        return None if stop_asked() else samples

    def corpus(self, data: SequenceData) -> Corpus:
        """What samples are compared with, read when it is first asked for."""
        if self._corpus is None:
            self._corpus = Corpus(data, self.copies_up_to, self.length)
        return self._corpus

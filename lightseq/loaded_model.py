"""The public Python interface to a trained model: generate, score and inspect text without Lightning."""

import html
import operator
import os
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from torch import Tensor

from .analysis.inspection import Inspection, Task, inspect, shown
from .backbones import Backbone
from .checkpoint.load import Trained, load_trained
from .commands.inspect.inspect import LONGEST
from .commands.sample.sample import LENGTH_OF
from .errors import UserError, did_you_mean
from .model import SequenceModel
from .sampling.generate import Sample, generate
from .types import Grammar
from .vocabulary import Vocabulary


class Samples(list[Sample]):
    """A list of generated samples. Notebooks show it as a table."""

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(sample.prompt)}</td><td>{sample.temperature:g}</td>"
            f'<td style="text-align: left; white-space: pre-wrap">{html.escape(sample.text)}</td></tr>'
            for sample in self
        )
        head = "<tr><th>prompt</th><th>temperature</th><th>text</th></tr>"
        return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


@dataclass(frozen=True)
class Score:
    """Negative log-probabilities of one text, in nats."""

    tokens: list[str]
    """(S,) The scored tokens, the empty string for the end of a document; for labelled models, the true labels."""
    nats: list[float]
    """(S,) -ln p of each entry of ``tokens``."""
    total: float
    """Sum of ``nats``."""
    mean: float
    """Mean of ``nats``; 0 if nothing is scored."""

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{html.escape(shown(token))}</td><td>{nats:.3f}</td></tr>"
            for token, nats in zip(self.tokens, self.nats, strict=True)
        )
        return (
            f"<p>{self.total:.3f} nats, mean {self.mean:.3f}</p><table><thead><tr><th>token</th><th>nats</th></tr>"
            f"</thead><tbody>{cells}</tbody></table>"
        )


@dataclass(frozen=True)
class InspectedText:
    """The predictions of a model on one text. Notebooks show it as the page of ``lightseq inspect --html``."""

    inspection: Inspection
    """The data that ``lightseq inspect`` prints."""
    title: str
    backbone: Backbone
    """The backbone that produced the trace."""
    temperatures: Sequence[float] = (0.5, 1.0)
    """Temperatures offered on the page."""
    top: int = 5
    """Number of candidates shown per time step on the page."""

    @property
    def task(self) -> Task:
        """What is scored; see ``lightseq.analysis.inspection.Task``."""
        return self.inspection.task

    @property
    def tokens(self) -> list[str]:
        """(T,) Tokens read at each time step."""
        return self.inspection.tokens

    @property
    def outputs(self) -> list[str]:
        """(V,) Output classes: the tokens or the labels."""
        return self.inspection.outputs

    @property
    def targets(self) -> Tensor:
        """(T,) int64: index of the true output, ``IGNORE_INDEX`` where nothing is scored."""
        return self.inspection.targets

    @property
    def logits(self) -> Tensor:
        """(T, V) float64 logits."""
        return self.inspection.logits

    @property
    def nats(self) -> Tensor:
        """(T,) float64: -ln p(target), 0 where nothing is scored."""
        return self.inspection.nats

    @property
    def trace(self) -> dict[str, Tensor]:
        """(T, L, units) float32 each: gate activations and states by name."""
        return self.inspection.trace

    @property
    def total(self) -> float:
        """Sum of ``nats``."""
        return self.inspection.total

    @property
    def mean(self) -> float:
        """Mean nats per scored time step; 0 if none is scored."""
        return self.inspection.mean

    def html(self) -> str:
        """Return the self-contained page of ``lightseq inspect --html``.

        Raises:
            UserError: More values than a page may hold.
        """
        from .commands.inspect.page import render_page

        layers = max((values.shape[1] for values in self.trace.values()), default=0)
        return render_page(
            self.title, self.inspection, self.backbone, self.temperatures, self.top, list(range(1, layers + 1))
        )

    def _repr_html_(self) -> str:
        # a sandboxed frame keeps the page's script and style apart from the notebook's
        return (
            f'<iframe sandbox="allow-scripts" style="width: 100%; height: 720px; border: 0" '
            f'srcdoc="{html.escape(self.html())}"></iframe>'
        )


class LoadedModel:
    """A trained network with its vocabulary, in eval mode on the CPU.

    Args:
        trained: The contents of a checkpoint.
        source: The run folder or checkpoint that was loaded; ``generate(constrained=True)`` opens its dataset.
    """

    def __init__(self, trained: Trained, source: str) -> None:
        self._trained = trained
        self._source = source

    @property
    def network(self) -> SequenceModel:
        """The ``torch.nn.Module``."""
        return self._trained.model

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens in the order of their ids."""
        return self._trained.vocabulary

    @property
    def labels(self) -> list[str] | None:
        """The labels in the order of their ids; None for a language model."""
        return self._trained.labels

    @property
    def path(self) -> str:
        """Path of the checkpoint."""
        return str(self._trained.path)

    def __repr__(self) -> str:
        kind = "tokens" if self.labels is None else f"tokens, {len(self.labels)} labels"
        return f"LoadedModel({self.path!r}, {type(self.network.backbone).__name__}, {len(self.vocabulary)} {kind})"

    def generate(
        self,
        prompt: str | Sequence[str] = "",
        temperature: float | Sequence[float] = 0.8,
        n: int = 5,
        *,
        length: int | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        constrained: bool = False,
    ) -> Samples:
        """Generate ``n`` samples per prompt and temperature, the same text as ``lightseq sample``.

        Args:
            prompt: One text to continue, or several.
            temperature: One temperature, or several; 0 is greedy.
            n: Number of samples per prompt and temperature.
            length: Maximum number of generated tokens; default 512, or 1,024 if ``constrained``.
            top_k: Sample from the k likeliest tokens only.
            top_p: Sample from the smallest set of tokens with a total probability of at least p.
            seed: Seed of the random numbers.
            constrained: Sample only what the dataset's grammar allows. This opens the dataset and imports Lightning.

        Raises:
            UserError: A model that predicts labels, a value out of range, an unknown token, or no grammar.
        """
        if self.labels is not None:
            raise UserError(f"{self.path} predicts labels: it cannot generate text")
        prompts = _texts("prompt", prompt)
        temperatures = _numbers("temperature", temperature)
        if length is None:
            length = LENGTH_OF[constrained]
        return Samples(
            generate(
                self.network,
                self.vocabulary,
                prompts,
                temperatures,
                n=_integer("n", n),
                length=_integer("length", length),
                top_k=None if top_k is None else _integer("top_k", top_k),
                top_p=None if top_p is None else _numbers("top_p", top_p)[0],
                seed=_integer("seed", seed),
                token_counts=self._trained.token_counts,
                grammar=self._grammar() if constrained else None,
            )
        )

    def score(self, text: str | Sequence[str], label: str | Sequence[str] | None = None) -> Score:
        """Compute the negative log-probability of a text, or of its labels.

        Args:
            text: At most 5,000 tokens: a string, or a sequence of tokens.
            label: For models that predict labels: the true label of the text, or one label per token.

        Raises:
            UserError: An empty or too long text, an unknown token or label, or a missing label.
        """
        if self.labels is not None and label is None:
            raise UserError(f"{self.path} predicts labels: pass label=, the true label or one label per token")
        inspection = self._inspect(text, label)
        scored = inspection.scored
        targets = inspection.targets[scored].tolist()
        nats = inspection.nats[scored].tolist()
        return Score([inspection.outputs[index] for index in targets], nats, inspection.total, inspection.mean)

    def inspect(self, text: str | Sequence[str], label: str | Sequence[str] | None = None) -> InspectedText:
        """Compute logits, nats and the gate trace at each time step, as ``lightseq inspect`` does.

        Args:
            text: As in ``score``.
            label: As in ``score``; without it, a model that predicts labels has no scored time steps.

        Raises:
            UserError: An empty or too long text, or an unknown token or label.
        """
        inspection = self._inspect(text, label)
        return InspectedText(inspection, self.path, self.network.backbone)

    def _inspect(self, text: str | Sequence[str], label: str | Sequence[str] | None) -> Inspection:
        if not isinstance(text, str):
            text = _texts("text", text)
        ids = self.vocabulary.encode(text)
        if len(ids) > LONGEST:
            raise UserError(f"the text has {len(ids):,} tokens, at most {LONGEST:,} are possible: shorten it")
        truth = None if label is None else self._label_ids(_texts("label", label))
        return inspect(self.network, self.vocabulary, ids, self.labels, truth)

    def _label_ids(self, names: Sequence[str]) -> list[int]:
        if self.labels is None:
            raise UserError(f"{self.path} predicts tokens, not labels: leave label out")
        for name in names:
            if name not in self.labels:
                known = ", ".join(self.labels[:20]) + (", ..." if len(self.labels) > 20 else "")
                raise UserError(f"no label {name!r}{did_you_mean(name, self.labels) or '.'} Known labels: {known}")
        return [self.labels.index(name) for name in names]

    def _grammar(self) -> Grammar:
        from .commands.run_data import dataset_of
        from .data.dataset import plugin_errors

        dataset = dataset_of(self._source)
        with plugin_errors(dataset, type(dataset).__name__, "grammar"):
            grammar = dataset.grammar(self.vocabulary.tokens)
        if grammar is None:
            raise UserError(f"constrained=True: dataset {type(dataset).__name__} has no grammar")
        return grammar


def load(path: str | os.PathLike[str]) -> LoadedModel:
    """Load a trained model from a run folder or a checkpoint.

    Args:
        path: A run folder, of which the best checkpoint is loaded, or a ``.ckpt`` file.

    Raises:
        UserError: No checkpoint there, or a damaged or foreign one.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UserError(f"load needs the path of a run folder or checkpoint, not {path!r}")
    source = os.fspath(path)
    return LoadedModel(load_trained(source), source)


def _texts(name: str, value: Any) -> list[str]:
    """Return one text or several as a list of at least one."""
    if isinstance(value, str):
        return [value]
    try:
        texts = list(value)
    except TypeError:
        raise UserError(f"{name} must be a string or a list of strings, not {value!r}") from None
    if not texts or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{name} must be a string or a list of at least one string, not {value!r}")
    return texts


def _numbers(name: str, value: Any) -> list[float]:
    """Return one number or several as a list of at least one."""
    try:
        numbers = [value] if isinstance(value, (str, Real)) else list(value)
    except TypeError:
        numbers = []
    if not numbers or not all(isinstance(number, Real) for number in numbers):
        raise UserError(f"{name} must be a number or a list of at least one number, not {value!r}")
    return [float(number) for number in numbers]


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise UserError(f"{name} must be a whole number, not {value!r}") from None

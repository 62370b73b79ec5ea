"""The network: embedding -> backbone -> head. It knows no Lightning, so a checkpoint can be sampled without it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from . import registry
from .backbones import Backbone, detach, reset_rows
from .backbones.base import Run, Stepper
from .errors import UserError
from .footprint import check_network, within_memory
from .types import Batch, State


class SequenceModel(nn.Module):
    """Logits for every time step.

    Args:
        backbone: The recurrent network.
        vocabulary_size: V, the tokens that go in.
        embedding_size: D; None feeds one-hot vectors (D = V).
        output_size: The width of the logits: V for a language model, else the number of labels.
        tie_head: Use the embedding's weights as the head's (Press and Wolf 2017).

    Raises:
        UserError: ``tie_head`` where the sizes do not allow it.
    """

    def __init__(
        self,
        backbone: Backbone,
        vocabulary_size: int,
        embedding_size: int | None,
        output_size: int,
        tie_head: bool = False,
    ) -> None:
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.embedding = None if embedding_size is None else nn.Embedding(vocabulary_size, embedding_size)
        self.backbone = backbone
        self.head = nn.Linear(backbone.output_size, output_size)
        if tie_head:
            self._tie(embedding_size)
        else:
            nn.init.zeros_(self.head.weight)  # the first loss is ln V exactly
        nn.init.zeros_(self.head.bias)

    def _tie(self, embedding_size: int | None) -> None:
        if self.embedding is None or self.head.weight.shape != self.embedding.weight.shape:
            raise UserError(
                f"tie_head needs an embedding as wide as the backbone's output and no labels: embedding_size is "
                f"{embedding_size}, the output {self.backbone.output_size} wide; set embedding_size to that"
            )
        nn.init.normal_(self.embedding.weight, std=self.backbone.output_size**-0.5)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """tokens (B, T) -> logits (B, T, output_size), and the state after the last time step."""
        y, state = self.backbone(self.embed(tokens), state)
        return self.head(y), state

    def embed(self, tokens: Tensor) -> Tensor:
        """tokens (...) -> what the backbone reads, (..., D)."""
        if self.embedding is None:
            return functional.one_hot(tokens, self.vocabulary_size).to(self.head.weight.dtype)
        return self.embedding(tokens)  # type: ignore[no-any-return]

    def initial_state(self, batch_size: int) -> State:
        """The state that a document starts from."""
        return self.backbone.initial_state(batch_size)

    def begin(self, state: State | None, batch: Batch) -> State:
        """The state that a window begins with: the carried one, cut off from its gradients, and the initial one in the
        rows that the batch says; another number of rows starts afresh, all of them."""
        initial = self.initial_state(len(batch.tokens))
        if state is None or any(part.shape[1] != len(batch.tokens) for part in state):
            return initial
        return reset_rows(detach(state), initial, batch.reset)

    def stepper(self) -> Stepper:
        """(ids (B,), state) -> (logits (B, output_size), state), without gradients: weights prepared once."""
        advance, head = self.backbone.stepper(self._rows()), self._head()

        def step(ids: Tensor, state: State) -> tuple[Tensor, State]:
            y, state = advance(ids, state)
            return head(y), state

        return step

    def runner(self) -> Callable[[State], Run]:
        """What begins a ``Run`` that gives logits (B, output_size), at a state: for the sampler."""
        begin, head = self.backbone.runner(self._rows()), self._head()
        return lambda state: Headed(begin(state), head)

    @torch.no_grad()
    def _rows(self) -> Tensor:
        """(V, D) what the backbone reads of each token."""
        return self.embed(torch.arange(self.vocabulary_size, device=self.head.weight.device))

    def _head(self) -> Callable[[Tensor], Tensor]:
        bias, weight = self.head.bias.detach(), self.head.weight.detach().T.contiguous()
        return lambda y: torch.addmm(bias, y, weight)


class Headed:
    """The ``Run`` of a backbone with the head after it.

    Args:
        run: The backbone's.
        head: y (B, H) -> logits.
    """

    def __init__(self, run: Run, head: Callable[[Tensor], Tensor]) -> None:
        self._run, self._head = run, head

    def __call__(self, ids: Tensor) -> Tensor:
        return self._head(self._run(ids))

    @property
    def state(self) -> State:
        return self._run.state


def build_model(
    *,
    vocabulary: Sequence[str],
    labels: Sequence[str] | None,
    backbone: str,
    backbone_args: Mapping[str, Any] | None,
    embedding_size: int | None,
    hidden_size: int,
    num_layers: int,
    dropout: float,
    tie_head: bool,
) -> SequenceModel:
    """The network that a configuration or a checkpoint describes, its backbone found by entry-point name.

    Raises:
        UserError: An unknown or broken backbone, arguments it does not take, sizes that do not fit together, or that
            the machine's memory cannot hold.
    """
    own = registry.load(registry.BACKBONES, backbone).__module__.startswith("lightseq.")
    check_network(len(vocabulary), embedding_size, hidden_size, num_layers, square=own)
    with within_memory(f"a model with backbone {backbone}, backbone_args {backbone_args or {}}"):
        network = registry.build(
            registry.BACKBONES,
            backbone,
            backbone_args,
            input_size=len(vocabulary) if embedding_size is None else embedding_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        if not isinstance(network, Backbone):
            raise UserError(f"{backbone!r} is broken: {type(network).__name__} is no lightseq.backbones.Backbone")
        return SequenceModel(network, len(vocabulary), embedding_size, len(labels or vocabulary), tie_head)

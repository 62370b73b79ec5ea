"""Draws that keep to a grammar: what a row may not draw is masked, and what that costs is counted."""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from .errors import UserError
from .types import Grammar
from .vocabulary import BOUNDARY, Vocabulary, shorten


class Constraint:
    """The grammar's state of every row of a batch.

    Args:
        grammar: What may follow.
        vocabulary: The model's tokens, a boundary among them.
        fed: The ids that each row is fed before it draws: the boundary, then its prompt.
        length: Draws of a row, its end included.
        device: Of the logits.

    Raises:
        UserError: A vocabulary without a boundary, or a prompt that no valid text begins with.
    """

    def __init__(
        self, grammar: Grammar, vocabulary: Vocabulary, fed: Sequence[Sequence[int]], length: int, device: torch.device
    ) -> None:
        if vocabulary.boundary is None:
            raise UserError("a grammar is of documents, and this model was trained on a stream, which has no end")
        self._grammar, self._vocabulary = grammar, vocabulary
        self._begins, self._ends = [len(ids) for ids in fed], [len(ids) + length for ids in fed]
        states = {prompt: self._after(prompt) for prompt in {tuple(ids[1:]) for ids in fed}}
        self._states = {row: states[tuple(ids[1:])] for row, ids in enumerate(fed)}  # of the rows that go on
        self._places = {frozenset(vocabulary.tokens): 0}
        self._masks = torch.zeros(1, len(vocabulary), dtype=torch.bool, device=device)
        self.forgone = torch.zeros(len(fed), device=device)
        """(B,) nats: the sum over a row's draws of -ln of what the model, at temperature 1, gave to what is allowed."""

    def _after(self, prompt: Sequence[int]) -> Hashable:
        """The state after a prompt."""
        state = self._grammar.start()
        try:
            for index in prompt:
                state = self._grammar.advance(state, self._vocabulary.tokens[index])
        except ValueError as error:
            text = self._vocabulary.decode(prompt)
            raise UserError(f"no valid text begins with the prompt {shorten(text)!r}: {error}") from error
        return state

    def limit(self, logits: Tensor, t: int) -> Tensor:
        """The logits (B, V) of time step ``t`` with -inf for what a row may not draw, the largest of a row zero.

        Raises:
            UserError: No valid text is as short as ``length``.
        """
        places = [self._place(row, t) for row in range(len(self._begins))]
        kept = logits.masked_fill(self._masks[places], -torch.inf)
        self.forgone += (logits.logsumexp(1) - kept.logsumexp(1)).clamp(min=0)
        return kept - kept.amax(1, keepdim=True)  # else a temperature near zero makes -inf of all that is allowed

    def _place(self, row: int, t: int) -> int:
        """Which of the masks holds for a row; the first, which masks nothing, in its prompt and after its end."""
        if row not in self._states or t < self._begins[row]:
            return 0
        allowed = frozenset(self._grammar.allowed(self._states[row], self._ends[row] - t - 1))
        if not allowed:
            length = self._ends[row] - self._begins[row]
            raise UserError(f"no valid text ends within a length of {length} after its prompt; a larger one may do")
        place = self._places.setdefault(allowed, len(self._places))
        if place == len(self._masks):
            mask = torch.ones_like(self._masks[:1])
            mask[0, [self._vocabulary.ids[token] for token in allowed]] = False
            self._masks = torch.cat([self._masks, mask])
        return place

    def follow(self, ids: Tensor, t: int) -> None:
        """What the rows drew at time step ``t``, (B,); a boundary ends a row."""
        for row, index in enumerate(ids.tolist()):
            if row in self._states and t >= self._begins[row]:
                token = self._vocabulary.tokens[index]
                if token == BOUNDARY:
                    del self._states[row]
                else:
                    self._states[row] = self._grammar.advance(self._states[row], token)

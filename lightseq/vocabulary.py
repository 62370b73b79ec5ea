"""Tokens and their ids."""

from collections.abc import Iterable, Sequence

from .errors import UserError

BOUNDARY = ""
"""The token that starts and ends a document. No text contains it, and it decodes to nothing."""


class Vocabulary:
    """An ordered set of tokens; a token's id is its place.

    Args:
        tokens: Distinct strings: characters or words, and ``BOUNDARY`` where documents have one.

    Raises:
        UserError: No tokens, or one twice.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = list(tokens)
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        if not self.tokens:
            raise UserError("a vocabulary needs at least one token")
        if len(self.ids) != len(self.tokens):
            twice = next(token for token in self.tokens if self.tokens.count(token) > 1)
            raise UserError(f"the token {twice!r} stands twice in the vocabulary")

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def boundary(self) -> int | None:
        """The id of the boundary token; None in the vocabulary of a stream."""
        return self.ids.get(BOUNDARY)

    @property
    def lengths(self) -> list[int]:
        """(V,) The characters that each token stands for, a boundary counting one: the unit of bits per character."""
        return [max(1, len(token)) for token in self.tokens]

    def encode(self, text: str | Sequence[str]) -> list[int]:
        """The ids of a text's characters, or of a sequence of words.

        Raises:
            UserError: A token that the vocabulary lacks, named with its position.
        """
        try:
            return [self.ids[token] for token in text]
        except KeyError:
            position, token = next((i, t) for i, t in enumerate(text) if t not in self.ids)
            raise UserError(
                f"{describe(token)} at position {position} of {shorten(text)!r} is not among the {len(self)} tokens "
                f"the model knows{self._other_case(token)}"
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text that the ids stand for; boundaries are silent."""
        return "".join([self.tokens[index] for index in ids])

    def _other_case(self, token: str) -> str:
        known = [other for other in (token.lower(), token.upper()) if other in self.ids]
        return f"; it knows {known[0]!r}" if known else ""


def describe(token: str) -> str:
    """A token as a message names it: ``character 'T' (U+0054)`` or ``token 'dog'``."""
    return f"character {token!r} (U+{ord(token):04X})" if len(token) == 1 else f"token {token!r}"


def shorten(text: str | Sequence[str], limit: int = 40) -> str:
    """The beginning of a text, for a message."""
    joined = text if isinstance(text, str) else " ".join(text)
    return joined if len(joined) <= limit else joined[: limit - 3] + "..."

"""Tokens and their ids.

A token is a character, a word, or a byte. A byte above 127 is the lone surrogate that Python's ``surrogateescape``
makes of it (PEP 383: U+DC80 to U+DCFF), and a run of them is shown as the characters it encodes.
"""

import re
from collections.abc import Iterable, Sequence

from .errors import UserError

BOUNDARY = ""
"""The token that starts and ends a document. No text contains it, and it decodes to nothing."""


WORD = re.compile(r" ?\w+(?:['\u2019]\w+)*| ?[^\w\s]|\s")
ESCAPED = re.compile("[\udc80-\udcff]+")


def words(text: str) -> list[str]:
    """A text as words and marks, each with the space before it, and other white space by itself: joined they are the
    text again."""
    return WORD.findall(text)


def escape(text: str) -> str:
    """A text as its UTF-8 bytes, a character each."""
    return text.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape")


def unescape(text: str) -> str:
    """The text that the bytes in it encode; what is no UTF-8 is shown as U+FFFD."""
    return ESCAPED.sub(lambda run: run[0].encode("ascii", "surrogateescape").decode("utf-8", "replace"), text)


class Vocabulary:
    """An ordered set of tokens; a token's id is its place.

    Args:
        tokens: Distinct strings: characters, bytes or words, and ``BOUNDARY`` where documents have one.

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
        self._longest = max(len(token) for token in self.tokens)
        self._bytes = any(map(ESCAPED.match, self.tokens))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def boundary(self) -> int | None:
        """The id of the boundary token; None in the vocabulary of a stream."""
        return self.ids.get(BOUNDARY)

    @property
    def lengths(self) -> list[int]:
        """(V,) The characters that each token stands for: the unit of bits per character. A boundary counts one, and of
        the bytes of a character the first."""
        return [0 if "\udc80" <= token <= "\udcbf" else max(1, len(token)) for token in self.tokens]

    def encode(self, text: str | Sequence[str]) -> list[int]:
        """The ids of a text, cut into the longest tokens there are from its beginning on, or of a sequence of tokens.

        Raises:
            UserError: A token that the vocabulary lacks, named with its position.
        """
        tokens = self._tokens(text) if isinstance(text, str) else text
        try:
            return [self.ids[token] for token in tokens]
        except KeyError:
            position, token = next((i, t) for i, t in enumerate(tokens) if t not in self.ids)
            if isinstance(text, str) and self._longest > 1:
                position, token = _word_at(text, sum(map(len, tokens[:position])))
            raise UserError(
                f"{describe(token)} at position {position} of {shorten(text)!r} is not among the {len(self)} tokens "
                f"the model knows{self._other_case(token)}"
            ) from None

    def _tokens(self, text: str) -> Sequence[str]:
        """What the vocabulary lacks stays a token of one character, for the message."""
        if self._bytes:
            text = "".join(c if c in self.ids or "\ud800" <= c <= "\udfff" else escape(c) for c in text)
        if self._longest <= 1:
            return text
        tokens, begin = list[str](), 0
        while begin < len(text):
            ends = range(min(len(text), begin + self._longest), begin, -1)
            end = next((end for end in ends if text[begin:end] in self.ids), begin + 1)
            tokens.append(text[begin:end])
            begin = end
        return tokens

    def decode(self, ids: Iterable[int]) -> str:
        """The text that the ids stand for; boundaries are silent."""
        text = "".join([self.tokens[index] for index in ids])
        return unescape(text) if self._bytes else text

    def _other_case(self, token: str) -> str:
        known = [other for other in (token.lower(), token.upper()) if other in self.ids]
        return f"; it knows {known[0]!r}" if known else ""


def describe(token: str) -> str:
    """A token as a message names it: ``character 'T' (U+0054)``, ``token 'dog'`` or ``byte 0xE9``."""
    if ESCAPED.fullmatch(token) and len(token) == 1:
        return f"byte 0x{ord(token) - 0xDC00:02X}"
    return f"character {token!r} (U+{ord(token):04X})" if len(token) == 1 else f"token {token!r}"


def _word_at(text: str, position: int) -> tuple[int, str]:
    """The word that a position is in, and where it begins."""
    begin = 0
    for word in words(text):
        if begin + len(word) > position:
            break
        begin += len(word)
    return begin + len(word) - len(word.lstrip()), word.strip() or word


def shorten(text: str | Sequence[str], limit: int = 40) -> str:
    """The beginning of a text, for a message."""
    joined = text if isinstance(text, str) else " ".join(text)
    return joined if len(joined) <= limit else joined[: limit - 3] + "..."

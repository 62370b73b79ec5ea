"""Samples on a terminal as they come."""

import codecs
import itertools
import re
import sys
from collections.abc import Sequence

from ..sampling import Sample
from ..vocabulary import Vocabulary

BYTES = re.compile("[\udc80-\udcff]*$")
"""The bytes above 127 that a text ends with."""


class Growing:
    """Prints the samples of one ``generate`` one after the other: the one whose turn it is grows, the others are drawn
    along with it, and each is printed from where it is when its turn comes. In the end the terminal has what
    ``sample.show`` would have printed.

    Args:
        vocabulary: Of the model.
        prompts: As they are given to ``generate``.
        temperatures: As they are given to ``generate``.
        n: Samples of each.
    """

    def __init__(self, vocabulary: Vocabulary, prompts: Sequence[str], temperatures: Sequence[float], n: int) -> None:
        self._vocabulary = vocabulary
        self._rows = list(itertools.product(prompts, temperatures, range(n)))
        self._several = len(prompts) * len(temperatures) > 1
        self._texts, self._held, self._done = [""] * len(self._rows), [list[int]() for _ in self._rows], set[int]()
        # what stands between two samples says whether any has several lines: where none may, that is known at once
        self._breaks, self._known = False, not any("\n" in token for token in vocabulary.tokens)
        self._at, self._printed, self._clean = -1, 0, True

    def watch(self, fresh: list[list[int]]) -> None:
        """For ``generate``."""
        stop, tokens = self._vocabulary.boundary, self._vocabulary.tokens
        for row, ids in enumerate(fresh):
            if stop is not None and stop in ids:
                self._done.add(row)
            held = self._held[row] + ids
            cut = len(held) if row in self._done else len(held) - awaiting([tokens[index] for index in held[-3:]])
            self._add(row, self._vocabulary.decode(held[:cut]))
            self._held[row] = held[cut:]
        self._print()

    def finish(self, samples: Sequence[Sample]) -> None:
        """Print what is left of the samples that ``generate`` returned."""
        for row, sample in enumerate(samples):
            self._add(row, sample.text[len(self._texts[row]) :])
        self._done, self._known = set(range(len(samples))), True
        self._print()

    def interrupt(self) -> None:
        """End the line that is being printed."""
        if not self._clean:
            print(flush=True)

    def _add(self, row: int, text: str) -> None:
        self._texts[row] += text
        self._breaks = self._breaks or "\n" in text

    def _print(self) -> None:
        """As far as it is known."""
        while self._at < len(self._rows):
            if self._at < 0:
                self._turn()
            text = self._texts[self._at]
            self._write(text[self._printed :])
            self._printed = len(text)
            if self._at not in self._done or not (self._known or self._breaks):
                break
            self._write("\n\n" if self._breaks else "\n")
            self._turn()
        sys.stdout.flush()

    def _turn(self) -> None:
        """To the next sample."""
        self._at, self._printed = self._at + 1, 0
        if self._several and self._at < len(self._rows) and self._rows[self._at][2] == 0:
            prompt, temperature, _ = self._rows[self._at]
            head(prompt, temperature)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        self._clean = text.endswith("\n") if text else self._clean


def head(prompt: str, temperature: float) -> None:
    """The heading of the samples of one prompt and temperature, on standard error."""
    sys.stdout.flush()
    print(f"# T={temperature:.2f} {prompt!r}", file=sys.stderr, flush=True)


def awaiting(tokens: Sequence[str]) -> int:
    """How many of a text's last tokens, given its last three, are bytes of a character that is not whole yet."""
    end = BYTES.search("".join(tokens))
    assert end is not None  # it may be empty
    read = end[0].encode("ascii", "surrogateescape")
    return len(read) - codecs.utf_8_decode(read, "replace", False)[1]

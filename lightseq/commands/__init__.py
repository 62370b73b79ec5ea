"""One file a verb. Each has ``run(verb, words)`` and is imported only when it is called."""

import argparse
from typing import Any, NoReturn

from ..errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one message, with the nearest flag, and that guesses no abbreviations."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(prog=f"lightseq {verb}", description=description, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse words, as ``argparse`` does.

        Raises:
            UserError: A mistake; also ``--flag=--``, which argparse takes for an empty list.
        """
        for word in args or ():
            if word.startswith("--") and word.endswith("=--"):
                raise UserError(f"{word.removesuffix('=--')} needs a value, not '--'")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            word = message.split()[2].partition("=")[0]
            message = f"unknown argument {word}{did_you_mean(word, self._option_string_actions)}"
        raise UserError(message)

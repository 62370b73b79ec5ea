"""One file a verb. Each has ``run(verb, words)`` and is imported only when it is called."""

import argparse
from typing import NoReturn

from ..errors import UserError, did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one message, with the nearest flag, and that guesses no abbreviations."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(prog=f"lightseq {verb}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        if message.startswith("unrecognized arguments: "):
            word = message.split()[2].partition("=")[0]
            message = f"unknown argument {word}{did_you_mean(word, self._option_string_actions)}"
        raise UserError(message)

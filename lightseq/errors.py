"""The mistakes of a user, as one short message: what, where, and what would be right."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list like [a, b]",
}


class UserError(ValueError):
    """A mistake of the user's. The command line prints its message alone; our own bugs keep their traceback.
    ``LIGHTSEQ_DEBUG=1`` shows the traceback of these too.

    Args:
        message: What, where, and what would be right.
        status: What the command line exits with.
    """

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


class Stopped(BaseException):
    """A signal has asked the process to end, and it has done what there was to do first.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


LINES, CHARACTERS = 3, 390
"""What a message may have at the most."""


def escaped(message: str) -> str:
    """Escape the control characters and lone surrogates in a message, as a name may contain them."""
    return "".join(character if _is_plain(character) else _escaped(character) for character in message)


def printable(message: str) -> str:
    """Escape a message, and cut it to a length that can be read.

    It is cut in the middle, since it begins with the place and ends with the advice.

    Args:
        message: Of any length.

    Returns:
        At most ``LINES`` lines and ``CHARACTERS`` characters.
    """
    text = escaped(message)
    text = "\n".join(text.split("\n")[:LINES])
    if len(text) <= CHARACTERS:
        return text
    end = CHARACTERS // 3
    return f"{text[: CHARACTERS - end - 5]} ... {text[-end:]}"


def _is_plain(character: str) -> bool:
    return character == "\n" or character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'lstm'?"`` for a near miss of a known name, else the empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def quote(error: BaseException) -> str:
    """A stranger's exception on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")[:300]


def explain(complaint: str, places: Mapping[str, str]) -> str:
    """jsonargparse's complaint about a value in a few words.

    Args:
        complaint: Its message, of many lines and levels.
        places: Where each key is said.

    Returns:
        ``recipe.yaml, line 7: model.hidden_size must be > 0, not -3``.
    """
    text = " ".join(complaint.split())
    if match := re.search(r"arguments are required: (?:(?:fit|validate|test|predict)\.)?(.*)$", text):
        hint = ", or name a recipe: --config dinos" if match[1] == "data.dataset" else ""
        return f"{match[1]} is needed{hint}"
    levels = re.findall(r'(?:Parser key "|argument --)([\w.+]+)"?: ', text)
    if not levels:
        return text
    key = levels[-1].rstrip("+")
    reason = text[text.rindex(levels[-1]) + len(levels[-1]) :].lstrip('": ')
    return f"{places[key] + ': ' if key in places else ''}{key} {_reason(reason)}"


def _reason(text: str) -> str:
    """What a value must be, and what it was."""
    if match := re.fullmatch(r"Not of type \w+: (.*) does not conform to restriction (.*)", text):
        finite = " and finite" if "inf" in match[1] else ""  # else it goes without saying
        return f"must be {match[2].replace('v', '').replace(' and <inf', finite)}, not {match[1]}"
    if match := re.search(r"(invalid literal for int\(\) with base 10|could not convert string to float): (.*)", text):
        return f"must be a {'whole ' if 'int()' in match[1] else ''}number, not {match[2]}"
    union = r"Expected a <class '(?!NoneType)(\w+)'>(?:\. Got value: (\S+))?.*Given value: (.*)$"
    if "Literal[" not in text and (match := re.search(union, text)):
        return f"must be {KINDS.get(match[1], match[1])}, not {match[2] or match[3]}"
    got = re.search(r"(?:Got value|Given value): (.*)$", text)
    if match := re.search(r"Expected a <class '(\w+)'>\. Got value: (.*)$", text):
        return f"must be {KINDS.get(match[1], match[1])}, not {match[2]}"
    choices = re.findall(r"'([^']*)'|\b(\d+)\b", " ".join(re.findall(r"Literal\[(.*?)\]", text)))
    if got and choices:
        return f"must be one of {', '.join(dict.fromkeys(word or number for word, number in choices))}, not {got[1]}"
    return f"cannot be {got[1]}" if got else f"does not fit: {text}"

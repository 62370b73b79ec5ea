"""The command line: which verb, and what to do about a mistake. Only the verb's own module is imported."""

import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module

from . import streams
from .errors import Stopped, UserError, did_you_mean, escaped, printable

VERBS = {
    "fit": ("train", "train a model: lightseq fit --config dinos"),
    "validate": ("train", "score a checkpoint on the validation split"),
    "test": ("train", "score a checkpoint on the test split"),
    "predict": ("train", "print what a checkpoint makes of each test document, tab-separated"),
    "sweep": ("sweep", "train once a seed and compare: lightseq sweep --seeds 5 --config dinos"),
    "sample": ("sample", "generate text from a run or a checkpoint"),
    "inspect": ("inspect", "open a model on one text: what it expects, what that costs, what its gates do"),
    "board": ("board", "see and hear runs in TensorBoard: lightseq board runs/dinos/version_0"),
    "compare": ("compare", "runs side by side: numbers, settings that differ, samples"),
    "verify-resume": ("verify_resume", "whether a run that is stopped goes on to the last bit: takes what fit takes"),
    "datasets": ("datasets", "list the installed datasets; also datasets new NAME, datasets check NAME"),
    "configs": ("configs", "list the shipped recipes, or print one"),
}

TRAIN = ("fit", "sweep", "verify-resume")
"""Verbs that go on where standard output cannot be written: a run is worth more than its report."""

HELP = f"""usage: lightseq VERB ...

Recurrent sequence models: train on any text, watch it learn.

{chr(10).join(f"  {verb:15}{text}" for verb, (_, text) in VERBS.items())}

lightseq VERB --help says more. --version prints the version.
LIGHTSEQ_DEBUG=1 shows the traceback of a mistake, LIGHTSEQ_CACHE names the folder for encoded text."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        argv: The words after the command's name; None is those of the process.

    Returns:
        The exit status: 2 after a mistake of the user's, 1 after a training that diverged, told in one message on
        standard error; 1 where standard output cannot be written. A reader of it that went away is no failure.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    for name in ("COLUMNS", "LINES"):  # rich takes 0 columns at its word, and prints nothing
        if not re.fullmatch("[1-9][0-9]{0,3}", os.environ.get(name, "80")):
            del os.environ[name]
    trains = bool(words) and words[0] in TRAIN
    with streams.guarded(raises=not trains):
        try:
            status = _told(words)
        except SystemExit:  # of --help, and of rich where the reader of a pipe went away
            if streams.output_failure() is None:
                raise
            status, trains = 0, False
        except OSError as error:
            if error is not streams.output_failure():
                raise
            status = 0
        if trains or not isinstance(streams.output_failure(), BrokenPipeError):
            streams.tell_output_failure()
        return streams.status_of(status)


def _told(words: list[str]) -> int:
    """Run a verb, and tell of a mistake."""
    try:
        _check_words(words)
        return dispatch(words)
    except UserError as error:
        if os.environ.get("LIGHTSEQ_DEBUG") == "1":
            raise
        message = f"lightseq: {error}"  # what a run says at its end is as long as it is; a refusal is short
        print(printable(message) if error.status == 2 else escaped(message), file=sys.stderr)
        return error.status
    except Stopped as stop:  # so a shell says it: 143 of SIGTERM, 130 of SIGINT
        return 128 + stop.number
    except KeyboardInterrupt:  # a verb that has something to say about it has said so
        return 130


def _check_words(words: Sequence[str]) -> None:
    """Refuse bytes that are no UTF-8, save in a text to continue or to read: a model of bytes may know them.

    Raises:
        UserError: A word has such bytes.
    """
    for before, word in zip(["", *words], words, strict=False):
        flag = word.partition("=")[0] if "=" in word else before
        if flag not in ("--prompt", "--text") and any("\ud800" <= character <= "\udfff" for character in word):
            raise UserError(f"{word[:100]}: this is not UTF-8; rename the file, or type the text in UTF-8")


def dispatch(words: list[str]) -> int:
    """Import the verb's module and run it.

    Raises:
        UserError: An unknown verb, or a mistake in what follows it.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP)
        return 0
    if words[0] == "--version":
        from . import __version__

        print(__version__)
        return 0
    verb, *rest = words
    if verb not in VERBS:
        raise UserError(f"no verb {verb!r}{did_you_mean(verb, VERBS) or '.'} There are: {', '.join(VERBS)}")
    module = import_module(f".commands.{VERBS[verb][0]}", __package__)
    status: int = module.run(verb, rest)
    return status

"""``lightseq inspect``: one text through a trained model, time step by time step, in the terminal or as a page."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..atomic import check_writable, open_descriptor
from ..errors import UserError, did_you_mean, printable
from . import Parser
from .run_data import data_of, take_data_words
from .sample import temperatures

if TYPE_CHECKING:
    from ..checkpoint import Trained
    from ..data import SequenceData
    from ..inspection import Inspection

LONGEST = 5_000
"""Time steps that are looked at: nobody reads more, and a page draws each."""

EXCERPT = 200
"""Tokens of a stream's validation text that count as one document."""


class Chosen(NamedTuple):
    """The text to look at."""

    ids: list[int]
    truth: list[int] | None
    """The id of its label, or of each token's; None is not known, or a language model."""
    name: str
    """Where it is from."""


def run(verb: str, words: Sequence[str]) -> int:
    """Read the text with the model, and print what it made of it or write a page."""
    own, data_words = take_data_words(words)
    arguments = _parser(verb).parse_args(own)
    page = None if arguments.html is None else _writable(arguments.html)
    _check(arguments)
    if data_words and arguments.text is not None:
        raise UserError(f"{data_words[0].partition('=')[0]} is for a document, and --text is given")

    from ..checkpoint import load_trained
    from ..inspection import inspect

    trained = load_trained(arguments.place)
    if arguments.text is not None:
        chosen = Chosen(trained.vocabulary.encode(arguments.text), None, "--text")
    elif arguments.document is not None:
        chosen = _from_data(data_of(arguments.place, data_words), arguments.document)
    else:
        chosen = _first(arguments.place, data_words)
        print(printable(f"lightseq: no --text and no --document: {chosen.name} it is"), file=sys.stderr)
    if arguments.label is not None:
        chosen = chosen._replace(truth=_truth(trained, arguments.label))
    if len(chosen.ids) > LONGEST:
        raise UserError(f"{chosen.name} has {len(chosen.ids):,} tokens, and {LONGEST:,} can be looked at: cut it")
    seen = inspect(trained.model, trained.vocabulary, chosen.ids, trained.labels, chosen.truth)
    seen, layers = _selected(seen, arguments.gates, arguments.layer)
    if page is None:
        from .inspect_text import print_inspection

        print_inspection(seen, arguments.temperature, arguments.top, layers)
        return 0
    from .inspect_page import write_page

    title = f"{trained.path}, {chosen.name}"
    write_page(page, title, seen, trained.model.backbone, arguments.temperature, arguments.top, layers)
    print(f"wrote {page}", file=sys.stderr if open_descriptor(page) == 1 else sys.stdout)
    return 0


def _writable(place: str) -> Path:
    """Where the page goes; said before anything is computed.

    Raises:
        UserError: A folder, a file that may not be written, or no folder to make it in.
    """
    path = Path(place)
    try:
        check_writable(path)
    except IsADirectoryError as error:
        raise UserError(f"--html names a file, and {place!r} is a folder: {place.rstrip('/')}/page.html") from error
    except OSError as error:
        raise UserError(f"--html {place}: {error.strerror}") from error
    return path


def _check(arguments: argparse.Namespace) -> None:
    """What can be said before anything is read.

    Raises:
        UserError: A number out of its range, or flags that exclude each other.
    """
    for temperature in arguments.temperature:
        if not 0 <= temperature < math.inf:
            raise UserError(f"a temperature is 0 (greedy) or more, not {temperature:g}")
    for name, value, least in (
        ("top", arguments.top, 1),
        ("layer", arguments.layer, 1),
        ("document", arguments.document, 0),
    ):
        if value is not None and value < least:
            raise UserError(f"--{name} is at least {least}, not {value}")
    if arguments.text is not None and arguments.document is not None:
        raise UserError("--text and --document are two texts: give one of them")
    if arguments.text == "":
        raise UserError("--text is empty: there is nothing to read")


def _first(place: str, data_words: Sequence[str]) -> Chosen:
    """The first document of the validation split.

    Raises:
        UserError: The data cannot be opened.
    """
    try:
        return _from_data(data_of(place, data_words), 0)
    except UserError as error:
        raise UserError(f"there is no --text, and no document to take instead: {error}") from error


def _from_data(data: "SequenceData", number: int) -> Chosen:
    """A document of the validation split; of a stream, so many tokens of its validation text."""
    part, store = data.parts["val"], data.store
    stream = data.dataset.layout == "stream"
    count = -(-len(part) // EXCERPT) if stream else len(part)
    if number >= count:
        kind = f"excerpts of {EXCERPT} tokens" if stream else "documents"
        raise UserError(f"--document {number}: the validation split has {count:,} {kind}, counted from 0")
    if stream:
        begin = number * EXCERPT
        return Chosen(part[begin : begin + EXCERPT].tolist(), None, f"excerpt {number} of the validation text")
    begin, end = store.offsets[part[number] :][:2].tolist()
    truth = None
    if store.label_ids is not None:
        truth = store.label_ids[begin:end].tolist() if store.tagged else [int(store.label_ids[part[number]])]
    return Chosen(store.tokens[begin:end].tolist(), truth, f"document {number} of the validation split")


def _truth(trained: "Trained", said: str) -> list[int]:
    """The ids of a label, or of several with commas between them.

    Raises:
        UserError: The model predicts no labels, or does not know one.
    """
    if trained.labels is None:
        raise UserError(f"--label {said}: {trained.path} predicts tokens, not labels")
    names = [said] if said in trained.labels else said.split(",")
    for name in names:
        if name not in trained.labels:
            known = ", ".join(trained.labels[:20]) + (", ..." if len(trained.labels) > 20 else "")
            raise UserError(f"no label {name!r}{did_you_mean(name, trained.labels) or '.'} There are: {known}")
    return [trained.labels.index(name) for name in names]


def _selected(seen: "Inspection", gates: list[str] | None, layer: int | None) -> "tuple[Inspection, list[int]]":
    """What is asked for of the trace, and the numbers of its layers, from 1.

    Raises:
        UserError: A gate or a layer that the model does not have.
    """
    trace, count = seen.trace, max((values.shape[1] for values in seen.trace.values()), default=0)
    if (gates or layer) and not trace:
        raise UserError("this backbone has no trace: there are no gates to choose from")
    for name in gates or ():
        if name not in trace:
            raise UserError(f"no gate {name!r}{did_you_mean(name, trace) or '.'} There are: {', '.join(trace)}")
    if layer is not None and layer > count:
        raise UserError(f"--layer {layer}: the model has {count}")
    layers = list(range(1, count + 1)) if layer is None else [layer]
    span = slice(layers[0] - 1, layers[-1]) if layers else slice(0)
    return seen._replace(trace={name: trace[name][:, span] for name in gates or trace}), layers


def _names(text: str) -> list[str]:
    """``input,forget`` -> ["input", "forget"]."""
    return text.split(",")


def _parser(verb: str) -> Parser:
    parser = Parser(
        verb,
        "Open a model on one text: what it expects at each time step, what that costs, and what its gates do. "
        "--data.dataset and --data.dataset_args name the data where a checkpoint alone may not.",
    )
    parser.add_argument("place", metavar="RUN_OR_CHECKPOINT", help="a run folder (its best checkpoint) or a .ckpt file")
    parser.add_argument("--text", help="what to read; default: the first document of the validation split")
    parser.add_argument(
        "--document", type=int, metavar="N", help="read that document of the validation split, counted from 0"
    )
    parser.add_argument("--label", metavar="L", help="the text's true label, or L,L,... one a token")
    parser.add_argument("--html", metavar="FILE", help="write a page to look at in a browser instead of printing")
    parser.add_argument(
        "--temperature", type=temperatures, default=[0.5, 1.0], metavar="T,T", help="0 is greedy; default 0.5,1.0"
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="candidates of a time step; default 5")
    parser.add_argument("--gates", type=_names, metavar="NAME,NAME", help="of the trace; default all")
    parser.add_argument("--layer", type=int, metavar="N", help="counted from 1; default all")
    return parser

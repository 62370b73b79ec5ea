"""``lightseq sample``: text from a run or a checkpoint, alone on standard output so that it pipes. On a terminal it
streams: a text is printed while it is drawn."""

import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError, printable
from . import Parser
from .run_data import data_of, take_data_words

if TYPE_CHECKING:
    from ..data import SequenceData
    from ..sampling import Sample
    from ..types import Grammar
    from ..vocabulary import Vocabulary
    from .novel import Draw

LENGTH_OF = {False: 512, True: 1024}
"""Tokens drawn at the most where nobody says: without a grammar, and with one, which ends each text in time."""


def temperatures(text: str) -> list[float]:
    """``0.5,0.8`` -> [0.5, 0.8]."""
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"numbers with commas between them are needed, not {text!r}") from None


def run(verb: str, words: Sequence[str]) -> int:
    """Generate and print. Headings go to standard error, where there is more than one prompt or temperature."""
    words, data_words = take_data_words(words)
    arguments = _parser(verb).parse_args(words)
    arguments.prompt = arguments.prompt or [""]
    uses_data = arguments.valid_bars or arguments.novel or arguments.save
    if data_words and not uses_data:
        raise UserError(f"{data_words[0].partition('=')[0]} is for --valid-bars, --novel and --save")

    from ..checkpoint import load_trained
    from ..sampling import generate

    if arguments.save is not None:
        from .saving import check_free

        check_free(arguments.save)
    trained = load_trained(arguments.place)
    if trained.labels is not None:
        raise UserError(f"{trained.path} predicts labels: there is no text to sample from it")
    data = _data(arguments, data_words) if uses_data else None
    grammar = _grammar(data, trained.vocabulary.tokens) if data is not None and arguments.valid_bars else None
    draw = partial(
        generate,
        trained.model,
        trained.vocabulary,
        length=arguments.length if arguments.length is not None else LENGTH_OF[grammar is not None],
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        token_counts=trained.token_counts,
        grammar=grammar,
    )
    notes = list[str]()
    if sys.stdout.isatty() and not arguments.novel and grammar is None:
        samples = _streamed(arguments, draw, trained.vocabulary)
    else:
        samples, notes = _samples(arguments, draw, data)
        _print(samples, arguments)
    if grammar is not None and samples:
        notes.append(_cost(samples))
    if arguments.save is not None:
        from .saving import save

        notes += save(samples, arguments.save, data)
    for note in notes:
        print(printable(note), file=sys.stderr)
    return 0


def _data(arguments: Namespace, words: Sequence[str]) -> "SequenceData | None":
    """The data of the model; None, with a note, where they cannot be had and only pictures and sounds need them."""
    try:
        return data_of(arguments.place, words)
    except UserError as error:
        if words or arguments.valid_bars or arguments.novel:
            raise
        print(printable(f"lightseq: {error}; the texts alone are saved"), file=sys.stderr)
        return None


def _grammar(data: "SequenceData", tokens: Sequence[str]) -> "Grammar":
    from ..data.dataset import blamed

    with blamed(data.dataset, data.dataset_name, "grammar"):
        grammar = data.dataset.grammar(tokens)
    if grammar is None:
        raise UserError(
            f"--valid-bars: dataset {data.dataset_name!r} has no grammar, which would say what a valid text is"
        )
    return grammar


def _samples(arguments: Namespace, draw: "Draw", data: "SequenceData | None") -> tuple[list["Sample"], list[str]]:
    """The samples, and what is to be said of them."""
    prompts, temperatures, n, seed = arguments.prompt, arguments.temperature, arguments.n, arguments.seed
    if not arguments.novel:
        return draw(prompts, temperatures, n=n, seed=seed), []

    from .novel import draw_novel, shortfall, texts_of

    assert data is not None
    if data.dataset.layout == "stream":
        raise UserError(f"--novel: dataset {data.dataset_name!r} is one stream, there are no documents to compare with")
    found = draw_novel(draw, prompts, temperatures, n=n, seed=seed, known=texts_of(data.store))
    notes = [note for each in found if (note := shortfall(each, n)) is not None]
    return [sample for each in found for sample in each.samples], notes


def _streamed(arguments: Namespace, draw: "Draw", vocabulary: "Vocabulary") -> list["Sample"]:
    """The samples, printed while they are drawn."""
    from .streaming import Growing

    growing = Growing(vocabulary, arguments.prompt, arguments.temperature, arguments.n)
    try:
        samples = draw(arguments.prompt, arguments.temperature, n=arguments.n, seed=arguments.seed, watch=growing.watch)
        growing.finish(samples)
    except KeyboardInterrupt:
        growing.interrupt()
        raise
    return samples


def _print(samples: Sequence["Sample"], arguments: Namespace) -> None:
    """Print the samples. Where standard output cannot be written, files that are to be saved are wanted all the same.

    Raises:
        OSError: Standard output cannot be written, and there is nothing to save.
    """
    try:
        show(samples, len(arguments.prompt) * len(arguments.temperature) > 1)
    except OSError:
        if arguments.save is None:
            raise


def show(samples: Sequence["Sample"], several: bool) -> None:
    """A line a sample; a blank line after each where any has several."""
    from .streaming import head

    end = "\n\n" if any("\n" in sample.text for sample in samples) else "\n"
    for sample in samples:
        if several and sample.number == 0:
            head(sample.prompt, sample.temperature)
        print(sample.text, end=end)
    sys.stdout.flush()


def _cost(samples: Sequence["Sample"]) -> str:
    """What the grammar cost, in nats a character, a text's end counting as one."""
    from math import exp

    characters = sum(len(sample.text) - len(sample.prompt) + 1 for sample in samples)
    nats = sum(sample.forgone for sample in samples) / characters
    return (
        f"--valid-bars cost {nats:.3f} nats a character (the model gave {100 - 100 * exp(-nats):.1f} % of its "
        f"probability to what was masked)"
    )


def _parser(verb: str) -> Parser:
    parser = Parser(verb, "Generate text from a trained model.")
    parser.add_argument("place", metavar="RUN_OR_CHECKPOINT", help="a run folder (its best checkpoint) or a .ckpt file")
    parser.add_argument(
        "--temperature", type=temperatures, default=[0.8], metavar="T,T", help="0 is greedy; default 0.8"
    )
    parser.add_argument("--prompt", action="append", help="text to continue; may be given several times")
    parser.add_argument("--n", type=int, default=5, help="texts of each prompt and temperature; default 5")
    parser.add_argument(
        "--length",
        type=int,
        help=f"tokens drawn at the most; default {LENGTH_OF[False]}, with --valid-bars {LENGTH_OF[True]}",
    )
    parser.add_argument("--top-k", type=int, help="draw among the k likeliest tokens only")
    parser.add_argument("--top-p", type=float, help="draw among the fewest tokens that reach probability p only")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers; default 0")
    parser.add_argument(
        "--valid-bars",
        action="store_true",
        help="draw only what the dataset's grammar allows: of tunes, whole bars and headers; says what it cost",
    )
    parser.add_argument(
        "--novel", action="store_true", help="only texts that are not among the dataset's documents, and each once"
    )
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="a new folder for the texts, and for their pictures and sounds"
    )
    return parser

"""``lightseq datasets``: what is installed; ``new`` begins a package with one, ``check`` looks at one."""

import argparse
import inspect
from collections.abc import Sequence

from .. import registry
from ..errors import UserError, did_you_mean
from . import Parser

HOUSE = frozenset({"dataset", "dataset_args", "seed", "tokens", "label_names"})
"""What ``SequenceData`` takes, and a look at a dataset does not."""

MORE = """also:
  lightseq datasets new NAME                    write a package with a dataset of your own
  lightseq datasets check NAME [--key value]    look at one: size, alphabet, duplicates, what a model has to beat"""


def run(verb: str, words: Sequence[str]) -> int:
    """List, or hand over to ``new`` or ``check``.

    Raises:
        UserError: Another word, or a mistake in what follows it.
    """
    if words[:1] == ["new"]:
        from . import new_dataset

        return new_dataset.run(f"{verb} new", words[1:])
    if words[:1] == ["check"]:
        return check(f"{verb} check", words[1:])
    if words and not words[0].startswith("-"):
        raise UserError(
            f"no 'lightseq {verb} {words[0]}'{did_you_mean(words[0], ('new', 'check')) or '.'} There are: new, check"
        )
    parser = Parser(verb, "Every installed dataset: data.dataset names one.")
    parser.epilog, parser.formatter_class = MORE, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--load", action="store_true", help="import each: its layout and first line, or why it is broken"
    )
    show(parser.parse_args(words).load)
    return 0


def show(load: bool) -> None:
    """Name, distribution, version and target of every dataset, from metadata alone; ``load`` imports them too."""
    rows = []
    for point in registry.plugins(registry.DATASETS):
        owner = registry.distribution(point)
        release = point.dist.version if point.dist is not None else ""
        rows.append([point.name, f"{owner} {release}", point.value, _describe(f"{owner}:{point.name}") if load else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(3)] if rows else []
    for row in rows:
        print("  ".join([*(f"{word:{width}}" for word, width in zip(row, widths, strict=False)), row[3]]).rstrip())


def _describe(name: str) -> str:
    from ..data import TextDataset

    try:
        target = registry.load(registry.DATASETS, name)
    except UserError as error:
        return f"broken: {error}"
    if not issubclass(target, TextDataset):
        return f"broken: {target.__name__} is no lightseq.data.TextDataset"
    if inspect.isabstract(target):
        return f"broken: {target.__name__} lacks {', '.join(sorted(target.__abstractmethods__))}()"
    return f"{target.layout}: {(target.__doc__ or '').strip().partition(chr(10))[0]}"


def check(verb: str, words: Sequence[str]) -> int:
    """Print what the data doctor finds: what is a setting of ``SequenceData`` goes there, the rest to the dataset.

    Raises:
        UserError: An unknown dataset or argument, or data that cannot be read.
    """
    parser = Parser(
        verb,
        "What is in a dataset, what is wrong with it, and what a model has to beat on it. Arguments are those of "
        "data.dataset_args, and of data: --batch_size, --window, --val_fraction and so on.",
    )
    parser.usage = f"lightseq {verb} NAME [--argument value ...]"
    parser.add_argument("name", metavar="NAME", help="an installed dataset, or ./my_data.py:MyData")
    name = parser.parse_args([word for word in words if word in ("-h", "--help")] or words[:1]).name
    given = _pairs(words[1:])

    from .. import signatures
    from ..callbacks import markup
    from ..data import SequenceData
    from ..data.doctor import examine
    from ..data.findings import lines

    registry.allow_file(name)
    known = signatures.parameters(SequenceData, "data", HOUSE)
    own, settings = dict[str, str](), dict[str, str]()
    for key, value in given.items():
        short = key.removeprefix("data.")  # as for fit: --data.window, --data.dataset_args.path
        ours = short in known and not short.startswith("dataset_args.")
        (settings if ours else own)[short.removeprefix("dataset_args.")] = value
    data = SequenceData(name, own, **signatures.convert(known, settings, "data"))
    print("\n".join(map(markup.plain, lines(examine(data)))))
    return 0


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """``--key value`` and ``--key=value``."""
    pairs: dict[str, str] = {}
    queue = list(words)
    while queue:
        flag, equals, value = queue.pop(0).partition("=")
        if not flag.startswith("--"):
            raise UserError(f"{flag!r} stands alone: an argument is --name value")
        if not equals and not queue:
            raise UserError(f"{flag} needs a value")
        pairs[flag.removeprefix("--")] = value if equals else queue.pop(0)
    return pairs

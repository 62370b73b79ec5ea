"""``lightseq datasets``: what is installed."""

from collections.abc import Sequence

from .. import registry
from ..errors import UserError
from . import Parser


def run(verb: str, words: Sequence[str]) -> int:
    """Name, distribution, version and target of every dataset, from metadata alone; ``--load`` imports them too."""
    parser = Parser(verb, "Every installed dataset: data.dataset names one.")
    parser.add_argument(
        "--load", action="store_true", help="import each: its layout and first line, or why it is broken"
    )
    load = parser.parse_args(words).load
    points = registry.plugins(registry.DATASETS)
    rows = []
    for point in points:
        owner = registry.distribution(point)
        release = point.dist.version if point.dist is not None else ""
        rows.append([point.name, f"{owner} {release}", point.value, _describe(f"{owner}:{point.name}") if load else ""])
    widths = [max(len(row[i]) for row in rows) for i in range(3)] if rows else []
    for row in rows:
        print("  ".join([*(f"{word:{width}}" for word, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0


def _describe(name: str) -> str:
    from ..data import TextDataset

    try:
        target = registry.load(registry.DATASETS, name)
    except UserError as error:
        return f"broken: {error}"
    if not issubclass(target, TextDataset):
        return f"broken: {target.__name__} is no lightseq.data.TextDataset"
    return f"{target.layout}: {(target.__doc__ or '').strip().partition(chr(10))[0]}"

"""``lightseq configs``: the shipped recipes."""

from collections.abc import Sequence

from ..config import recipes
from ..errors import UserError, did_you_mean
from . import Parser


def run(verb: str, words: Sequence[str]) -> int:
    """List the recipes with their first comment line, or print one."""
    parser = Parser(verb, "The shipped recipes: lightseq fit --config NAME uses one.")
    parser.add_argument("name", nargs="?", help="print this recipe")
    name = parser.parse_args(words).name
    shipped = recipes()
    if name is None:
        width = max(map(len, shipped))
        for recipe, text in shipped.items():
            head = text.partition("\n")[0]
            print(f"{recipe:{width}}  {head.removeprefix('#').strip()}")
    elif name in shipped:
        print(shipped[name], end="")
    else:
        raise UserError(f"no recipe {name!r}{did_you_mean(name, shipped) or '.'} Shipped: {', '.join(shipped)}")
    return 0

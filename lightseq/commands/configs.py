"""``lightseq configs``: the shipped recipes."""

from collections.abc import Mapping, Sequence

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
        print(_heads({recipe: text for recipe, text in shipped.items() if "/" not in recipe}))
        print("\nto put after one of them, for other devices:")
        print(_heads({recipe: text for recipe, text in shipped.items() if "/" in recipe}))
    elif name in shipped:
        print(shipped[name], end="")
    else:
        raise UserError(f"no recipe {name!r}{did_you_mean(name, shipped) or '.'} Shipped: {', '.join(shipped)}")
    return 0


def _heads(recipes: Mapping[str, str]) -> str:
    """Names, and the first line of each, side by side."""
    width = max(map(len, recipes))
    heads = {recipe: text.partition("\n")[0].removeprefix("#").strip() for recipe, text in recipes.items()}
    return "\n".join(f"{recipe:{width}}  {head}" for recipe, head in heads.items())

"""Names of dinosaurs."""

from collections.abc import Sequence
from importlib.resources import files

from ..data import TextDataset


class Dinos(TextDataset):
    """Genus names of dinosaurs, lower case, one document each; embedded, so no network is needed."""

    prompts: Sequence[str] = ("", "tri", "mega")

    def documents(self) -> list[str]:
        """About a thousand names in alphabetical order; the data card is in ``datasets/README.md``."""
        return files(__package__).joinpath("dinos.txt").read_text(encoding="ascii").split()

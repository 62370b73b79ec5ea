"""Names of dinosaurs, and the branch of their tree."""

from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Literal

from ..data import TextDataset, fetch
from ..data.files import lines
from ..types import Document

COURSE = (
    "dinos.txt",
    "https://raw.githubusercontent.com/prateekb1912/dinosaur-island/881521c/dinos.txt",
    "ad6465621cf56c08f71d4fbb40cf7eab763f9df42c54cc460d6c4d86e9c927fb",
)


class Dinos(TextDataset):
    """Genus names of dinosaurs, lower case, one document each.

    Args:
        source: ``embedded``, 1,339 names that come with the package and need no network; or ``course``, the 1,536 of
            the Coursera assignment, downloaded.
        path: A copy of the course's list, or names of your own, one a line, in place of ``source``.
        distinct: Every name once: 12 lines of the course's repeat an earlier one.
    """

    prompts: Sequence[str] = ("", "tri", "mega")

    def __init__(
        self, source: Literal["embedded", "course"] = "embedded", path: str | None = None, distinct: bool = False
    ) -> None:
        self.source, self.path, self.distinct = source, path, distinct
        if path is not None:  # it may have other letters
            self.prompts = ("",)

    def download(self) -> None:
        if self.path is None and self.source == "course":
            fetch(*COURSE)

    def documents(self) -> list[str]:
        """The names; where they come from is in ``datasets/README.md``."""
        if self.path is None and self.source == "embedded":
            return [name for name, _ in _embedded()]
        file = str(fetch(*COURSE)) if self.path is None else self.path
        names = [line.strip().lower() for _, line in lines(file) if line.strip()]
        return list(dict.fromkeys(names)) if self.distinct else names


class DinoClades(TextDataset):
    """Genus names of dinosaurs, each with its clade: theropod, sauropodomorph or ornithischian; embedded."""

    def documents(self) -> Iterable[Document]:
        """The names whose place is not disputed."""
        for name, clade in _embedded():
            if clade:
                yield Document(name, clade)


def _embedded() -> list[tuple[str, str]]:
    """Name and clade; an empty one where the place of the genus is disputed."""
    lines = files(__package__).joinpath("dinos.tsv").read_text(encoding="ascii").splitlines()
    return [(name, clade) for name, _, clade in (line.partition("\t") for line in lines)]

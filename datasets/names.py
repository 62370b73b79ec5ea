"""First names."""

from collections.abc import Sequence

from ..data import TextDataset, fetch
from ..data.files import lines

FILE = (
    "names.txt",
    "https://raw.githubusercontent.com/karpathy/makemore/988aa59e4d8fefa526d06f3b453ad116258398d4/names.txt",
    "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
)


class Names(TextDataset):
    """The 32,033 first names of makemore, lower case, one document each; downloaded.

    Args:
        path: A copy of the file, or names of your own, one a line.
        distinct: Every name once: 2,539 stand there twice.
    """

    prompts: Sequence[str] = ("", "an", "jo")

    def __init__(self, path: str | None = None, distinct: bool = False) -> None:
        self.path, self.distinct = path, distinct
        if path is not None:  # it may have other letters
            self.prompts = ("",)

    def download(self) -> None:
        if self.path is None:
            fetch(*FILE)

    def documents(self) -> list[str]:
        """The names, the most frequent first."""
        file = str(fetch(*FILE)) if self.path is None else self.path
        names = [line for _, line in lines(file) if line.strip()]
        return list(dict.fromkeys(names)) if self.distinct else names

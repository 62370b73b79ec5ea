"""Shakespeare."""

from collections.abc import Sequence

from ..data import TextDataset, fetch
from ..data.files import chunks
from ..types import Document

FILE = (
    "tinyshakespeare.txt",
    "https://raw.githubusercontent.com/karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/"
    "input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


class Shakespeare(TextDataset):
    """tinyshakespeare, one stream of 1,115,394 characters; downloaded.

    The last tenth validates, as in nanoGPT, so that numbers compare, and nothing is added to its 65 characters.

    Args:
        path: A copy of the file, or another text that is to be split alike: the first nine tenths train.
    """

    layout = "stream"
    prompts: Sequence[str] = ("", "ROMEO:\n", "To be")

    def __init__(self, path: str | None = None) -> None:
        self.path = path
        if path is not None:  # it may have other characters
            self.prompts = ("",)

    def download(self) -> None:
        if self.path is None:
            fetch(*FILE)

    def documents(self) -> list[Document]:
        """The text that trains, 1,003,854 characters of tinyshakespeare, and the text that validates, 111,540."""
        text = "".join(chunks(str(fetch(*FILE)) if self.path is None else self.path))
        cut = int(0.9 * len(text))
        return [Document(text[:cut], split="train"), Document(text[cut:], split="val")]

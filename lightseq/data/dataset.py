"""What a dataset is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from ..errors import UserError, quote
from ..types import Document, Grammar, Layout, Rendering


class TextDataset(ABC):
    """A corpus under a name: an entry point of the group ``lightseq.datasets``.

    A plugin writes ``documents`` and nothing else; its constructor's parameters, with their annotations, are what a
    user may set under ``data.dataset_args``. ``super().__init__()`` is never required.

    Example::

        class Colours(TextDataset):
            prompts = ("", "gr")

            def documents(self):
                return ["red", "green", "grey", "blue"]
    """

    layout: Layout = "documents"
    """``documents``: rows start afresh, one document each, and a boundary token starts and ends it. ``stream``: the
    documents are one long text, read in contiguous windows with the state carried, and no token is added."""

    prompts: Sequence[str] = ("",)
    """What to continue when samples are shown while training; the empty prompt begins from nothing."""

    @abstractmethod
    def documents(self) -> Iterable[str | Document]:
        """The texts, in the same order at every call: a name, a tune, a whole play. They may be produced one by one
        and be larger than memory. Called more than once: to learn the alphabet, then to encode."""

    def download(self) -> None:
        """Fetch what ``documents`` reads; called before it, by one process of a machine at a time."""

    def fingerprint(self) -> str | None:
        """What changes whenever the documents change, told without reading them: for files, their names, sizes and
        times (``lightseq.data.files.fingerprint``), and every option that matters. The source of the class's own module
        counts by itself; a version of your own stands for what other modules do. None, the default: the documents are
        read at every start, to see whether they are those of the cache."""
        return None

    def problems(self) -> Iterable[str]:
        """What the data doctor shows: records that were repaired or left out, each with its file and line and what was
        done. Default: none."""
        return ()

    def judge(self, texts: Sequence[str]) -> Mapping[str, float]:
        """Shares between 0 and 1 by name, of generated texts: how many are valid, say. A model may write anything, and
        the texts are all there is: nothing is opened. Default: none."""
        return {}

    def render(self, text: str) -> Rendering:
        """A picture or a sound of one generated text, opening nothing. Default: neither."""
        return Rendering()

    def grammar(self, tokens: Sequence[str]) -> Grammar | None:
        """What makes a sampler write valid texts only.

        Args:
            tokens: Of the model's vocabulary, the empty string being the boundary: all that can be allowed.

        Returns:
            None, the default: there is no such thing.
        """
        return None


@contextmanager
def blamed(dataset: TextDataset, name: str, hook: str) -> Iterator[None]:
    """While a hook of a dataset's runs: a file that cannot be read is the user's mistake, and whatever else a
    stranger's code raises is its own. A bug of a built-in one keeps its traceback.

    Raises:
        UserError: In both cases, with the dataset's name.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, UnicodeError) as error:
        raise UserError(f"dataset {name!r} cannot be read: {error}") from error
    except (Exception, SystemExit) as error:
        if type(dataset).__module__.startswith("lightseq."):
            raise
        raise UserError(
            f"dataset {name!r} is broken: {type(dataset).__name__}.{hook}() raises {quote(error)}"
        ) from error

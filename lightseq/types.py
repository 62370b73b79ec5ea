"""The words that every module shares.

Dimensions, in this order wherever they meet:

    B  rows of a batch         V  tokens of a vocabulary    H  hidden size
    T  time steps              D  embedding width           L  layers
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy.typing as npt
from torch import Tensor

if TYPE_CHECKING:
    PositiveInt: TypeAlias = int
    NonNegativeInt: TypeAlias = int
    PositiveFloat: TypeAlias = float
    NonNegativeFloat: TypeAlias = float
    Probability: TypeAlias = float
    PluginArguments: TypeAlias = dict[str, Any]
else:  # to the command line these are types that check the range too, so the annotation is the check
    from jsonargparse import typing as ranges

    PositiveInt, NonNegativeInt = ranges.PositiveInt, ranges.NonNegativeInt
    PositiveFloat = ranges.restricted_number_type("FinitePositive", float, [(">", 0), ("<", float("inf"))])
    NonNegativeFloat = ranges.restricted_number_type("FiniteNonNegative", float, [(">=", 0), ("<", float("inf"))])
    # not Any: it would read the text 007 as a number, and import what a value calls its class_path
    PluginArguments = dict[str, str | int | float | bool | list | dict | None]
    Probability = ranges.restricted_number_type("Probability", float, [(">=", 0), ("<", 1)])

IGNORE_INDEX = -100
"""The target of a time step at which nothing is scored."""

State: TypeAlias = tuple[Tensor, ...]
"""What a backbone carries from one time step to the next: tensors with the batch on dimension 1, as cuDNN has it."""

Layout: TypeAlias = Literal["documents", "stream"]
"""Rows that start afresh, one document each, or one long text in contiguous windows with the state carried."""

Split: TypeAlias = Literal["train", "val", "test"]


class Batch(NamedTuple):
    """One window of every row."""

    tokens: Tensor
    """(B, T) int64, the inputs."""
    targets: Tensor
    """(B, T) int64, ``IGNORE_INDEX`` where nothing is scored."""
    reset: Tensor
    """(B,) bool, True where the row starts from the initial state."""
    part: int = 0
    """Which of the batches that make an update: the rows go on where this part of the update before ended."""


class Document(NamedTuple):
    """One document of a dataset, where a bare string does not say enough."""

    tokens: str | Sequence[str]
    """The characters of a text, or words."""
    labels: str | Sequence[str] | None = None
    """None: predict the next token. One a token: tagging. One string: classification of the whole document."""
    split: Split | None = None
    """None: dealt by the data module."""
    group: str | None = None
    """Documents of one group are dealt to one side of the split; None: those of equal tokens are."""
    augmented: bool = False
    """Made of another document of its group, for training alone: the other splits leave it out."""


class Rendering(NamedTuple):
    """What a dataset makes of a sample to look at and to listen to."""

    image: "Tensor | npt.NDArray[Any] | None" = None
    """(height, width, 3) uint8."""
    audio: "npt.NDArray[Any] | None" = None
    """float32 mono in [-1, 1]."""
    sample_rate: int | None = None
    """Hertz."""
    files: Mapping[str, bytes] = {}  # never changed; a read-only view could not be sent to another process
    """What else can be saved of it, by the end of the file's name: ``{".mid": b"MThd..."}``."""
    remarks: Sequence[str] = ()
    """What is to be said of the text in words, what is wrong with it and where, a line each."""


class Grammar(Protocol):
    """What may follow a text token by token, so that every text that ends is valid: the sampler draws of nothing else.

    States are values: nothing that was given is changed, and equal states allow the same.
    """

    def start(self) -> Hashable:
        """The state before the first token."""

    def advance(self, state: Hashable, token: str) -> Hashable:
        """The state after one more token.

        Raises:
            ValueError: No valid text begins so; the message says why.
        """

    def allowed(self, state: Hashable, left: int) -> Collection[str]:
        """The tokens that may come next, the empty string being the end, of which a valid text can still be made with
        ``left`` tokens in all, the end not counted. Never empty for a state that was reached by what it allowed."""

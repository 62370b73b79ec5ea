"""The data of a run or a checkpoint, for the verbs that look at a model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import config, signatures
from ..errors import UserError

if TYPE_CHECKING:
    from ..data import SequenceData, TextDataset

NAMES_DATA = ("--data.dataset", "--data.dataset_args")
"""What a user may say of the data beside a checkpoint, and must where it would name a place or a file of code."""

RULED = frozenset({"dataset", "dataset_args", "tokens", "label_names"})
"""What of ``SequenceData`` is no number to be read from a configuration."""


def take_data_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--data.dataset`` and ``--data.dataset_args...`` out of a command line, for ``data_of``.

    Returns:
        The other words, and those.

    Raises:
        UserError: A flag without its value.
    """
    others, taken = list[str](), list[str]()
    queue = list(words)
    while queue:
        word = queue.pop(0)
        flag, equals, _ = word.partition("=")
        if not any(f"{flag}.".startswith(f"{known}.") for known in NAMES_DATA):
            others.append(word)
            continue
        if not equals and not queue:
            raise UserError(f"{flag} needs a value")
        taken += [word] if equals else [word, queue.pop(0)]
    return others, taken


def data_of(place: str, words: Sequence[str] = ()) -> "SequenceData":
    """The data that a run was trained on, encoded with the checkpoint's vocabulary; nothing is read before it is asked
    for. A checkpoint alone opens nothing that may name a place, and neither it nor a run names code to run.

    Args:
        place: A run folder or a checkpoint.
        words: What ``take_data_words`` took: other data, or what a checkpoint alone does not say.

    Raises:
        UserError: No checkpoint, no such dataset, or a checkpoint that names a place.
    """
    from ..checkpoint import find_checkpoint, read_checkpoint
    from ..data import SequenceData
    from .arguments import read_command_line

    said = read_command_line([*words, f"--ckpt_path={place}"], "sample").settings.values
    stored = read_checkpoint(find_checkpoint(place))["hyper_parameters"]
    name = config.get(said, "data.dataset")
    if not name:
        raise UserError(f"{place} does not say what it was trained on: --data.dataset names it")
    known = signatures.parameters(SequenceData, "data", RULED)
    numbers = {key: value for key, value in said["data"].items() if key in known}
    return SequenceData(
        str(name),
        config.get(said, "data.dataset_args"),
        tokens=stored["vocabulary"],
        label_names=stored["labels"],
        **signatures.convert(known, numbers, "data"),
    )


def dataset_of(place: str, words: Sequence[str] = ()) -> "TextDataset":
    """The dataset of a run or a checkpoint, not read: for what it makes of a text.

    Args:
        place: As ``data_of``.
        words: As ``data_of``.

    Raises:
        UserError: As ``data_of``.
    """
    return data_of(place, words).dataset

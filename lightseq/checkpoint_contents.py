"""Check the contents of a checkpoint before anything is built from them.

A checkpoint may come from somebody else. Its settings must have the types that lightseq writes, its tensors must hold
the numbers that their shapes claim, and a network that is built from it may not have more parameters than it stores.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import UserError
from .footprint import TooLargeError, parameters_at_most

MAX_EXPANDED_BYTES = 1 << 28
"""Size of a tensor outside the weights that may be larger than what is stored of it: a state that is the same in every
row is stored once."""

MAX_DEPTH = 32

MAX_ITEMS = 1_000_000
"""Values in the arguments of a plugin, a vocabulary of words among them."""

MAX_ARGUMENT_DEPTH = 5

MAX_CHARACTERS = 1 << 26
"""Characters of all tokens of a vocabulary together."""

MAX_SHOWN = 60
"""Characters of a value that a message shows."""


def check_contents(content: Mapping[str, Any], path: Path) -> None:
    """Check the types of the settings and the sizes of the tensors.

    Args:
        content: Of the checkpoint, with everything in ``hyper_parameters`` that a network is built from.
        path: The checkpoint, for messages.

    Raises:
        UserError: A setting of another type, or a tensor that is not a plain one with its numbers in the file.
    """
    settings = content["hyper_parameters"]
    for name, expected, is_valid in SETTINGS:
        if not is_valid(settings[name]):
            raise UserError(f"{path}: {name} must be {expected}, not {_shown(settings[name])}")
    counts = settings.get("token_counts")
    if counts is not None and not (_is_list(counts, _is_count) and len(counts) == len(settings["vocabulary"])):
        raise UserError(f"{path}: token_counts must be a count for each token, not {_shown(counts)}")
    data = content.get("datamodule_hyper_parameters", {})
    if not _is_arguments(data) or data is None or not isinstance(data.get("dataset_args"), dict | None):
        raise UserError(f"{path}: datamodule_hyper_parameters must be the settings of a dataset, not {_shown(data)}")
    for name in ("epoch", "global_step"):
        if not _is_count(content.get(name, 0)):
            raise UserError(f"{path}: {name} must be a whole number, not {_shown(content[name])}")
    weights = content["state_dict"]
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise UserError(f"{path}: state_dict must be tensors by name, not {_shown(weights)}")
    for name, weight in weights.items():
        if not isinstance(weight, Tensor):
            raise UserError(f"{path}: {name} must be a tensor, not {_shown(weight)}")
        _check_tensor(weight, name, path, 0)
    for name, tensor in _tensors(content, path):
        _check_tensor(tensor, name, path, MAX_EXPANDED_BYTES)


@contextmanager
def no_larger_than_stored(limit: int | None, path: Path | None) -> Iterator[None]:
    """Refuse to build a network with more parameters than a checkpoint stores.

    Args:
        limit: Numbers in all parameters that are built within the context; None sets no limit.
        path: The checkpoint, for the message.

    Raises:
        UserError: There are more, or a size that no memory holds.
    """
    if limit is None:
        yield
        return
    larger = UserError(f"the settings in {path} describe a network larger than its {limit:,} stored weights")
    try:
        with parameters_at_most(limit, larger):
            yield
    except TooLargeError as error:
        raise UserError(f"{path}: {error}") from error


def weight_count(content: Mapping[str, Any]) -> int:
    """Return the number of numbers in all weights of a checkpoint."""
    return sum(weight.numel() for weight in content["state_dict"].values())


def _check_tensor(tensor: Tensor, name: str, path: Path, allowance: int) -> None:
    """Refuse a tensor that is not dense, or whose shape claims more numbers than are stored."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    size = tensor.numel() * tensor.element_size()
    if not plain or size > max(tensor.untyped_storage().nbytes(), allowance):
        raise UserError(f"{path}: the tensor {name} of shape {tuple(tensor.shape)} is not stored whole")


def _tensors(content: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors in nested dicts, lists and tuples, with the keys that lead there; each container once."""
    seen = set[int]()
    queue = [("", content, 0)]
    while queue:
        name, value, depth = queue.pop()
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            if depth > MAX_DEPTH:
                raise UserError(f"{path}: {name[:MAX_SHOWN]} is nested more than {MAX_DEPTH} deep")
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else enumerate(value)
            queue.extend((f"{name}.{key}".lstrip(".")[:MAX_SHOWN], inner, depth + 1) for key, inner in items)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: Any) -> bool:
    return _is_count(value) and value > 0


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1


def _is_list(value: Any, is_item: Any = lambda item: isinstance(item, str)) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_item, value))


def _is_vocabulary(value: Any) -> bool:
    return _is_list(value) and sum(map(len, value)) <= MAX_CHARACTERS


def _is_arguments(value: Any) -> bool:
    """Return whether a value is what a configuration can hold as the arguments of a plugin.

    A list that stands in several places counts in each: written out, it would be as long.
    """
    if not isinstance(value, dict | None):
        return False
    queue = [(value, 0)]
    left = MAX_ITEMS
    while queue and left:
        inner, depth = queue.pop()
        left -= 1
        if isinstance(inner, dict | list | tuple):
            if depth == MAX_ARGUMENT_DEPTH or len(inner) > left:
                return False
            if isinstance(inner, dict) and not all(isinstance(key, str) for key in inner):
                return False
            queue += [(part, depth + 1) for part in (inner.values() if isinstance(inner, dict) else inner)]
        elif not (inner is None or isinstance(inner, str | int | float | bool)):
            return False
    return not queue


SETTINGS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (
    ("vocabulary", "a list of tokens", _is_vocabulary),
    ("labels", "a list of labels or None", lambda value: value is None or _is_vocabulary(value)),
    ("backbone", "the name of a backbone", lambda value: isinstance(value, str)),
    ("backbone_args", "arguments by name or None", _is_arguments),
    ("embedding_size", "a whole number above 0 or None", lambda value: value is None or _is_size(value)),
    ("hidden_size", "a whole number above 0", _is_size),
    ("num_layers", "a whole number above 0", _is_size),
    ("dropout", "a number from 0 to below 1", _is_share),
    ("tie_head", "True or False", lambda value: isinstance(value, bool)),
)
"""Of what a network is built from: the name, what it must be, and the check."""


def _shown(value: Any) -> str:
    """Return the type of a value, and the value itself where it is short to say."""
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str | int | float) or value is None:
        text = repr(value[:MAX_SHOWN] if isinstance(value, str) else value)
        return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
    return f"a {type(value).__name__}"

"""Memory that sizes would take at the least, compared with the machine's before anything is built."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from .errors import UserError

NUMBER, MODULE, ROW = 4, 2_000, 200
"""Bytes of a weight, of an empty layer, and of a text that is being drawn."""

TOKEN = 8
"""Bytes of a drawn token in Python's lists."""

TOO_LARGE = ("memory", "overflow", "invalid shape", "too large", "too big")
"""Words of torch's about a size that it cannot even reserve."""


class TooLargeError(UserError):
    """Something that the machine's memory cannot hold."""


def physical_memory() -> int | None:
    """Return the bytes of memory that this process may use at most; None if the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([memory, *(limit for limit in limits if limit != resource.RLIM_INFINITY)])


def check_memory(needed: float, what: str) -> None:
    """Refuse what the machine's memory cannot hold.

    Args:
        needed: Bytes.
        what: What would take them, and which settings say so.

    Raises:
        TooLargeError: They are more than the machine has.
    """
    memory = physical_memory()
    if memory is not None and needed > memory:
        raise TooLargeError(f"{what} would take {_size(needed)} of memory, and this machine has {_size(memory)}")


@contextmanager
def parameters_at_most(limit: int, refused: UserError) -> Iterator[None]:
    """Refuse to build a network with more parameters than a limit. Their memory is reserved, and not used yet.

    Args:
        limit: Numbers in all parameters that are built within the context.
        refused: The message.

    Raises:
        UserError: ``refused``; also for a size that no memory holds.
    """
    counted = set[int]()
    count = 0

    def add(module: nn.Module, name: str, parameter: Any) -> None:
        nonlocal count
        if parameter is not None and id(parameter) not in counted:
            counted.add(id(parameter))
            count += parameter.numel()
            if count > limit:
                raise refused

    handle = register_module_parameter_registration_hook(add)
    try:
        yield
    except (RuntimeError, OverflowError) as error:
        if not any(words in str(error) for words in TOO_LARGE):
            raise
        raise refused from error
    finally:
        handle.remove()


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Refuse to build a network whose weights are larger than the memory.

    Args:
        what: What is built, for the message.

    Raises:
        TooLargeError: They are.
    """
    memory = physical_memory() or sys.maxsize
    refused = TooLargeError(f"{what} would take more memory than this machine has, which is {_size(memory)}")
    with parameters_at_most(memory // NUMBER, refused):
        yield


def check_network(vocabulary: int, embedding: int | None, hidden: int, layers: int, square: bool) -> None:
    """Refuse a network whose weights alone are larger than the memory.

    Args:
        vocabulary: V.
        embedding: D; None for one-hot vectors.
        hidden: H.
        layers: L.
        square: Whether each layer has a matrix of H x H; else it has H weights at the least.

    Raises:
        TooLargeError: They are.
    """
    layer = hidden * hidden if square else hidden
    weights = vocabulary * (embedding or 0) + vocabulary * hidden + layers * layer
    sizes = f"embedding_size {embedding}, hidden_size {hidden}, num_layers {layers}"
    check_memory(NUMBER * weights + MODULE * layers, f"a model of {sizes}")


def check_texts(rows: int, length: int) -> None:
    """Refuse to draw more text than the memory holds.

    Args:
        rows: Texts that are drawn side by side.
        length: Tokens of each at the most.

    Raises:
        TooLargeError: It is more.
    """
    check_memory(rows * (ROW + TOKEN * length), f"{rows:,} texts of up to {length:,} tokens")


def _size(size: float) -> str:
    """Format a number of bytes with a unit."""
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size = size / 1000
    return f"{size:.3g} EB"

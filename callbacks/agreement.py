"""What the processes of a run tell each other about the run itself.

By messages of their own, over gloo, so that a GPU need not be waited for.
"""

from typing import Any

import torch
import torch.distributed as dist

_groups: dict[object, dist.ProcessGroup | None] = {}
"""By the process group that a run computes with: the one that it talks over."""


def agreed(number: int) -> int:
    """The largest number that any process says; each must ask. Of one process its own."""
    if not _several():
        return number
    said = torch.tensor(number)
    dist.all_reduce(said, dist.ReduceOp.MAX, group=_group())
    return int(said)


def gathered(own: Any) -> list[Any]:
    """What every process has to say, by rank; each must ask.

    Args:
        own: Plain types and tensors on the CPU.
    """
    if not _several():
        return [own]
    everyone = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, own, group=_group())
    return list(everyone)


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _group() -> dist.ProcessGroup | None:
    """Made when it is first asked for, which is at the same place in all processes."""
    whole = dist.group.WORLD
    if whole not in _groups:
        _groups.clear()
        _groups[whole] = None if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
    return _groups[whole]

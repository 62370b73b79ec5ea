"""A network of which each process keeps a part, by torch's ``fully_shard`` (Zhao et al. 2023, arXiv 2304.11277, after
Rajbhandari et al. 2020, arXiv 1910.02054)."""

from copy import deepcopy

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy, Strategy
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from .backbones.blocks import Block
from .errors import UserError
from .model import SequenceModel


def shards(strategy: Strategy, optimizer: str) -> bool:
    """Whether a strategy leaves to each process a part of the network.

    Raises:
        UserError: One that is not supported, or an optimiser that is not supported under it.
    """
    if isinstance(strategy, FSDPStrategy | DeepSpeedStrategy):
        raise UserError(f"{type(strategy).__name__} is not supported; --config trainer/fsdp shards a network")
    if isinstance(strategy, ModelParallelStrategy) and optimizer == "muon":
        raise UserError("model.optimizer muon needs whole matrices, and trainer/fsdp has none; use adamw")
    return isinstance(strategy, ModelParallelStrategy)


class Sharding:
    """Divides a network among the processes, and puts it together again for one of them.

    Args:
        model: The same in all processes, not yet divided.
    """

    def __init__(self, model: SequenceModel) -> None:
        self.model = model
        without_values = {id(p): nn.Parameter(torch.empty_like(p, device="meta")) for p in model.parameters()}
        self._form = deepcopy(model, without_values)

    def divide(self, device: torch.device) -> None:
        """Leave to each process a part of every weight. A residual block is whole while it computes; the rest of a
        network, and all of one that has no such blocks, while a window goes through it. What is divided stays so. All
        processes must call.

        Args:
            device: What this process computes on.
        """
        if isinstance(self.model, FSDPModule):
            return
        mesh = init_device_mesh(device.type, (dist.get_world_size(),))
        for module in self.model.backbone.modules():
            if isinstance(module, Block):
                fully_shard(module, mesh=mesh)
        fully_shard(self.model, mesh=mesh)
        register_fsdp_forward_method(self.model, "initial_state")  # it may be learned, and is asked for before a window

    def whole(self, kept: bool) -> SequenceModel | None:
        """A copy with all the weights, whose use is no other process' business. All processes must call.

        Args:
            kept: Whether this process gets it; the others get None.
        """
        weights = {}
        for name, value in self.model.state_dict().items():
            weight = value.full_tensor() if isinstance(value, DTensor) else value
            if kept:
                weights[name] = weight
        if not kept:
            return None
        copy = deepcopy(self._form)
        copy.load_state_dict(weights, assign=True)
        return copy.to(copy.head.weight.device)

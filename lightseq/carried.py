"""What a rank carries from a batch to the next beside the weights."""

from typing import Any

import torch

from .types import State


class Carried:
    """Hidden states, and sums that are not yet used. No buffers of a module: a replicated strategy would overwrite each
    rank's with those of rank zero.

    Args:
        device: What the rank computes on.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.states: dict[int, State] = {}
        """By the part of an update that goes on with it."""
        self.since_log = torch.zeros(3, dtype=torch.float64, device=device)
        """Nats, tokens and characters since the last log."""
        self.update_size = torch.zeros((), dtype=torch.float64, device=device)
        """What the update under way scores so far: tokens, or documents."""

    def state_dict(self) -> dict[str, Any]:
        """Plain types and tensors on the CPU."""
        return {
            "hidden": {part: [t.detach().cpu() for t in state] for part, state in self.states.items()},
            "since_log": self.since_log.cpu(),
            "update_size": self.update_size.cpu(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where ``state_dict`` was taken."""
        self.states = {part: tuple(t.to(self.device) for t in own) for part, own in state["hidden"].items()}
        self.since_log.copy_(state["since_log"])
        self.update_size.copy_(state["update_size"])

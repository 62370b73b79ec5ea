"""``--init_from``: a new run that begins with the weights of an old one."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoint import find_checkpoint, read_checkpoint
from ..checkpoint_contents import weight_count
from ..data import SequenceData
from ..errors import UserError
from ..system import SequenceSystem
from ..transfer import architecture, grown, transfer
from .report import note


class Origin(NamedTuple):
    """A run to begin from."""

    path: Path
    content: Mapping[str, Any]
    """Of its checkpoint."""

    def rule(self, settings: Any, places: Mapping[str, str]) -> int:
        """Its architecture rules, and its vocabulary grows by what the text adds.

        Args:
            settings: Of the fit, of which they are set.
            places: Where each is said.

        Returns:
            The number of parameters that the new network can have at most.
        """
        stored = self.content["hyper_parameters"]
        tokens, labels = SequenceData(settings["data"]["dataset"], settings["data"]["dataset_args"]).alphabet()
        settings["data"]["tokens"] = grown(stored["vocabulary"], tokens)
        ruled, notes = architecture(settings["model"], stored, labels is not None, places)
        for name, value in ruled.items():
            settings["model"][name] = value
        for text in notes:
            note(text)
        outputs = len(stored["labels"] or stored["vocabulary"])
        growth = max(
            len(settings["data"]["tokens"]) / len(stored["vocabulary"]),
            len(labels or settings["data"]["tokens"]) / outputs,
            1,
        )
        return math.ceil(weight_count(self.content) * growth)  # no weight grows by more than tokens or outputs do

    def give(self, system: SequenceSystem) -> str:
        """Its weights, to a system that has just been built; what there is to say about it."""
        return "\n".join(transfer(system.model, system.vocabulary.tokens, system.labels, self.content, self.path))


def find_origin(place: str | None, beside: str | None) -> Origin | None:
    """The run that ``init_from`` names.

    Args:
        place: What it says.
        beside: What ``ckpt_path`` says.

    Raises:
        UserError: No such run, or both of them.
    """
    if place is None:
        return None
    if beside is not None:
        raise UserError("--ckpt_path goes on with all of a run, --init_from begins another with its weights: name one")
    if not place:
        raise UserError("--init_from is empty: name a run folder or a checkpoint")
    path = find_checkpoint(place)
    return Origin(path, read_checkpoint(path))

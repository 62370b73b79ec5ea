"""``--init_from``: a new run that begins with the weights of an old one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoint import find_checkpoint, read_checkpoint
from ..data import SequenceData
from ..errors import UserError
from ..system import SequenceSystem
from ..transfer import architecture, grown, transfer
from .arguments import HERE
from .report import note


class Origin(NamedTuple):
    """A run to begin from."""

    path: Path
    content: Mapping[str, Any]
    """Of its checkpoint."""

    def rule(self, settings: Any, places: Mapping[str, str]) -> None:
        """Its architecture rules, and its vocabulary grows by what the text adds.

        Args:
            settings: Of the fit, of which they are set.
            places: Where each is said.
        """
        stored = self.content["hyper_parameters"]
        tokens, labels = SequenceData(settings["data"]["dataset"], settings["data"]["dataset_args"]).alphabet()
        settings["data"]["tokens"] = grown(stored["vocabulary"], tokens)
        ruled, notes = architecture(settings["model"], stored, labels is not None, places)
        for name, value in ruled.items():
            settings["model"][name] = value
        for text in notes:
            note(text)

    def give(self, system: SequenceSystem, precision: str) -> str:
        """Its weights, to a system that has just been built; what there is to say about it."""
        if precision == "64-true":
            system.double()  # as Lightning will: no digit of the old run's is to be lost on the way
        return "\n".join(transfer(system.model, system.vocabulary.tokens, system.labels, self.content, self.path))


def find_origin(settings: Any, places: Mapping[str, str]) -> Origin | None:
    """The run that ``init_from`` names. One that goes on from a checkpoint has its weights already.

    Raises:
        UserError: No such run, or a ``--ckpt_path`` beside it.
    """
    if settings["init_from"] is None:
        return None
    if settings.get("ckpt_path") is None:
        path = find_checkpoint(settings["init_from"])
        return Origin(path, read_checkpoint(path))
    if HERE == places.get("init_from") == places.get("ckpt_path"):
        raise UserError("--ckpt_path goes on with all of a run, --init_from begins another with its weights: name one")
    return None

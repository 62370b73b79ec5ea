"""Where a fit begins: afresh, in a run that goes on, from a checkpoint, or with the weights of another run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from .. import signatures
from ..callbacks.averaging import averaging_of
from ..callbacks.exact_resume import KEY
from ..callbacks.restored_state import check_run_record
from ..checkpoint import MODEL_SETTINGS, find_checkpoint, read_checkpoint
from ..checkpoint_contents import weight_count
from ..config import Settings
from ..data import SequenceData
from ..errors import UserError
from ..system import SequenceSystem
from .init_from import Origin, find_origin
from .parser import LINKS
from .report import note
from .resume import Resumed, check_files, check_not_ended, check_same, run_of, take_resumed
from .run_folder import check_unfinished

CHECKED = frozenset((*LINKS, "backbone_args"))
"""Settings of the model whose types are checked elsewhere."""

RULED = {*MODEL_SETTINGS, "optimizer"} - {*LINKS, "dropout"}
"""Settings of the model that a run which goes on cannot change."""


class Beginning:
    """What a verb takes from elsewhere.

    Args:
        places: Where each setting is said.
        trust: Whether links in a run folder may lead out of it.
    """

    def __init__(self, places: Mapping[str, str], trust: bool) -> None:
        self.places = places
        self.trust = trust
        self.weights: dict[str, torch.Tensor] | None = None
        """Of a checkpoint."""
        self.stored: dict[str, Any] = {}
        """What it says of the run that wrote it."""
        self.update = 0
        """Its last one."""
        self.path: Path | None = None
        """The checkpoint, or that of the run whose weights begin this one."""
        self.most_parameters: int | None = None
        """Numbers in the weights of the network that it describes; None where there is no checkpoint."""
        self.resumed: Resumed | None = None
        self.origin: Origin | None = None
        self._averaged = False

    @property
    def same_run(self) -> bool:
        """Whether a run goes on with all of its settings."""
        return self.resumed is not None and not self.resumed.changes

    @property
    def folder(self) -> Path | None:
        """Of the run that goes on."""
        return run_of(self.resumed.path) if self.resumed else None

    def take(self, verb: str, settings: Any, resolved: Callable[[], Settings]) -> None:
        """A checkpoint's vocabulary and sizes rule, wherever one is given; a setting that says otherwise is named.

        Args:
            verb: fit, validate, test or predict.
            settings: Of the verb, which are set.
            resolved: Gives them as ``config.yaml`` will hold them.

        Raises:
            UserError: No such checkpoint, none where one is needed, or one that a fit cannot go on from.
        """
        if verb == "fit":
            self.resumed = take_resumed(settings, resolved)
            if self.folder is not None:
                check_files(self.folder, self.trust)
            if self.resumed is None:  # a run that goes on has its weights
                self.origin = find_origin(settings["init_from"], settings.get("ckpt_path"))
        elif word := next((word for word in ("resume", "init_from") if settings[word] is not None), None):
            raise UserError(f"{word} is for fit; {verb} takes --ckpt_path, a run folder or a checkpoint")
        if settings.get("ckpt_path") is None:
            if verb != "fit":
                raise UserError(f"{verb} needs --ckpt_path, a run folder or a checkpoint")
            return
        path = self.resumed.path if self.resumed else find_checkpoint(settings["ckpt_path"], last=verb == "fit")
        content = read_checkpoint(path)
        self.weights, stored = content["state_dict"], content["hyper_parameters"]
        self.path, self.most_parameters = path, weight_count(content)
        settings["ckpt_path"] = str(path)
        if verb == "fit":
            self.stored, self._averaged = check_run_record(content, KEY, path), "averaging_state" in content
            self._check_left(content, settings["trainer"], path)
            self.update = content["global_step"]
        settings["data"]["tokens"], settings["data"]["label_names"] = stored["vocabulary"], stored["labels"]
        ruled = RULED if self.resumed else set(stored) - set(LINKS)
        known = signatures.parameters(SequenceSystem, "model", CHECKED)
        names = set(settings["model"].keys()) & ruled & set(stored)  # an older one may lack a setting
        checked = {name: stored[name] for name in names if name in known}
        stored = {**stored, **signatures.convert(known, checked, str(path))}
        for name in names:
            key = f"model.{name}"
            if key in self.places and settings["model"][name] != stored[name]:
                note(f"{self.places[key]}: {key} is {stored[name]} in the checkpoint, which rules")
            settings["model"][name] = stored[name]

    def _check_left(self, content: Mapping[str, Any], trainer: Mapping[str, Any], path: Path) -> None:
        """Refuse where nothing is left to do."""
        if self.resumed and self.same_run:
            check_not_ended(self.resumed, content)
        else:
            check_unfinished(content, trainer["max_epochs"], trainer["max_steps"], path)

    def check(self, trainer: pl.Trainer, data: SequenceData, place: str | None) -> None:
        """Refuse what shows only when all is built.

        Args:
            trainer: The run.
            data: Its data.
            place: The checkpoint.

        Raises:
            UserError: Averaged weights and nothing to go on averaging, another number of processes, another text.
        """
        if self._averaged and not averaging_of(trainer):
            raise UserError(f"{place} has averaged weights: to go on, say how with --averaging.decay")
        if self.stored:
            exact = self.resumed is not None and not self.resumed.with_changes
            check_same(self.stored, trainer.world_size, data.store.key if exact else None, str(place))

    def give_weights(self, system: SequenceSystem) -> None:
        """Load the weights of the checkpoint, to score them.

        Raises:
            UserError: They do not fit the settings beside them.
        """
        assert self.weights is not None
        try:
            system.load_state_dict(self.weights)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(f"the weights in {self.path} do not fit its settings: {reason:.200}") from error

    def give(self, system: SequenceSystem) -> str:
        """The weights of another run, to a system that has just been built; what to say about where it begins."""
        if self.resumed:
            return f"\nresume {self.resumed.path}, after update {self.update}"
        return "\n" + self.origin.give(system) if self.origin else ""

"""Check what a checkpoint says of callbacks and of the run, before a fit restores it.

A checkpoint may come from somebody else. Lightning's ``ModelCheckpoint`` takes paths from it, and removes these files
later; here they are looked for by name in the folder of the run, and nowhere else.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import Tensor

from ..checkpoint import LAST, PREVIOUS
from ..errors import UserError

RUN_RECORD = {
    "world_size": int,
    "precision": str,
    "text": str | None,
    "validation_due": bool,
    "ending": bool,
    "accumulate": int,
    "ranks": list,
}
"""What ``ExactResume`` stores of a run, and the types of it."""


def check_run_record(content: Mapping[str, Any], key: str, path: str | Path) -> dict[str, Any]:
    """Return what ``ExactResume`` has stored in a checkpoint; empty for one of plain Lightning.

    Args:
        content: Of the checkpoint.
        key: Of the record in it.
        path: The checkpoint, for messages.

    Raises:
        UserError: A value of another type, or one that is missing.
    """
    record = content.get(key, {})
    if not isinstance(record, dict):
        raise UserError(f"{path}: {key} must be a record of the run, not a {type(record).__name__}")
    for name, expected in RUN_RECORD.items() if record else ():
        value = record.get(name)
        if not isinstance(value, expected) or (isinstance(value, int) and expected is int and not value >= 1):
            raise UserError(f"{path}: {key}.{name} does not hold what a run stores there")
    if record and len(record["ranks"]) != record["world_size"]:
        raise UserError(f"{path}: {key}.ranks holds {len(record['ranks'])} states for {record['world_size']} processes")
    return record


def restorable_states(trainer: pl.Trainer, states: object) -> dict[str, Any]:
    """Return the states of the callbacks as they may be restored.

    The files of a ``ModelCheckpoint`` are those of the same names in its own folder; any other is forgotten. States of
    callbacks that are not lightseq's or ``EarlyStopping`` are plain values for their own classes to read.

    Args:
        trainer: With the callbacks, and the folders of its ``ModelCheckpoint`` resolved.
        states: Of a checkpoint, by ``state_key``.

    Raises:
        UserError: The state of a callback has not the names and types that it stores.
    """
    if not isinstance(states, dict):
        raise UserError("callbacks must be states by name")
    restorable = dict(states)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        state = states.get(callback.state_key)
        if state is None:
            continue
        if not isinstance(state, dict):
            raise UserError(f"the state of {type(callback).__name__} does not hold what it stores there")
        if isinstance(callback, ModelCheckpoint):
            restorable[callback.state_key] = _with_own_files(callback, state)
        elif _is_checked(callback) and not matches(state, callback.state_dict()):
            raise UserError(f"the state of {type(callback).__name__} does not hold what it stores there")
    return restorable


def check_optimizer(optimizers: Sequence[torch.optim.Optimizer], states: object) -> None:
    """Check the stored state of the optimizers: a fused one reads and writes as many numbers as its weight has.

    Args:
        optimizers: As they were built, with the parameters in their groups.
        states: Of a checkpoint, one for each.

    Raises:
        UserError: Another number of groups or parameters, or a state that is not a tensor of its parameter's shape.
    """
    refused = UserError("the state of the optimizer in the checkpoint does not fit the weights")
    if not isinstance(states, list) or len(states) != len(optimizers):
        raise refused
    for optimizer, state in zip(optimizers, states, strict=True):
        if not isinstance(state, dict) or not isinstance(state.get("param_groups"), list):
            raise refused
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        indices = [index for group in state["param_groups"] for index in _indices(group)]
        moments = state.get("state")
        if not isinstance(moments, dict) or len(indices) != len(parameters):
            raise refused
        by_index = dict(zip(indices, parameters, strict=True))
        for index, values in moments.items():
            if index not in by_index or not isinstance(values, dict):
                raise refused
            if not all(_is_moment(name, value, by_index[index]) for name, value in values.items()):
                raise refused


def _indices(group: object) -> list[int]:
    """Return the indices of a stored group's parameters; none where its options are not plain numbers."""
    if not isinstance(group, dict) or not isinstance(group.get("params"), list):
        return []
    options = (value for name, value in group.items() if name != "params")
    for value in options:
        numbers = value if isinstance(value, list | tuple) else [value]
        if not all(number is None or isinstance(number, bool | int | float | str) for number in numbers):
            return []
    return [index for index in group["params"] if isinstance(index, int)]


def _is_moment(name: object, value: object, parameter: Tensor) -> bool:
    """Return whether a value is a number, such as that of the updates, or a tensor of a parameter's shape and kind."""
    if value is None or _is_number(value):
        return True
    if not isinstance(value, Tensor):
        return False
    if name == "step":
        return _is_scalar(value)
    return value.shape == parameter.shape and value.is_contiguous() and value.is_floating_point()


def matches(value: Any, template: Any) -> bool:
    """Return whether a value has the structure of a template: names of dicts, shapes of tensors, types of numbers.

    An empty dict stands for numbers by name, and None for a text that may be missing.
    """
    if isinstance(template, dict):
        if not isinstance(value, dict):
            return False
        if not template:
            return all(isinstance(name, str) and _is_number(number) for name, number in value.items())
        return value.keys() == template.keys() and all(matches(value[name], template[name]) for name in template)
    if isinstance(template, Tensor):
        return isinstance(value, Tensor) and value.shape == template.shape
    if template is None:
        return value is None or isinstance(value, str)
    return _is_number(value) if _is_number(template) else isinstance(value, type(template))


def check_loops(loops: object, trainer: pl.Trainer) -> None:
    """Check the counters by which the loops go on.

    Args:
        loops: Of a checkpoint.
        trainer: Of the fit.

    Raises:
        UserError: Something else than a number where one is needed.
    """
    if not isinstance(loops, dict) or not _fits(loops.get("fit_loop", {}), trainer.fit_loop.state_dict()):
        raise UserError("the loops in the checkpoint do not say as numbers how far the training has come")


def check_schedules(trainer: pl.Trainer, states: object) -> None:
    """Check the stored states of the learning rate's schedules.

    Args:
        trainer: With its schedules set up.
        states: Of a checkpoint, one for each.

    Raises:
        UserError: Something else than a number where one is needed, or another count of them.
    """
    if not _fits(states, [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs]):
        raise UserError("the learning rate's schedule in the checkpoint does not fit the optimizer")


def _fits(value: Any, template: Any) -> bool:
    """Return whether a value has a number wherever a template has one, as far as both have the same names."""
    if isinstance(template, dict):
        common = template.keys() & value.keys() if isinstance(value, dict) else ()
        return isinstance(value, dict) and all(_fits(value[name], template[name]) for name in common)
    if isinstance(template, list):
        return isinstance(value, list) and len(value) == len(template) and all(map(_fits, value, template))
    return _is_number(value) if _is_number(template) else True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_checked(callback: Callback) -> bool:
    return isinstance(callback, EarlyStopping) or type(callback).__module__.startswith("lightseq.")


def _with_own_files(callback: ModelCheckpoint, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a ``ModelCheckpoint`` as it follows from the files in its folder and their stored scores."""
    scores = state.get("best_k_models")
    kept = {
        path: score
        for name, score in (scores.items() if isinstance(scores, dict) else ())
        if (path := _own_file(callback, name)) and (_is_number(score) or _is_scalar(score))
    }
    lowest, highest = (min(kept, key=kept.__getitem__), max(kept, key=kept.__getitem__)) if kept else ("", "")
    best, worst = (lowest, highest) if callback.mode == "min" else (highest, lowest)
    is_full = bool(kept) and len(kept) == callback.save_top_k
    return {
        "monitor": callback.monitor,
        "dirpath": callback.dirpath,
        "current_score": None,
        "best_k_models": kept,
        "best_model_path": best or _own_file(callback, state.get("best_model_path")),
        "best_model_score": kept[best] if best else None,
        "kth_best_model_path": worst if is_full else "",
        "kth_value": kept[worst] if is_full else callback.kth_value,
        "last_model_path": _own_file(callback, state.get("last_model_path")),
    }


def _own_file(callback: ModelCheckpoint, path: object) -> str:
    """Return the file of the same name in the folder of a ``ModelCheckpoint``; empty where there is none."""
    name = Path(path).name if isinstance(path, str) and "\0" not in path else ""
    if callback.dirpath is None or not name.endswith(".ckpt") or name in (LAST, PREVIOUS):
        return ""
    file = os.path.join(callback.dirpath, name)
    return file if os.path.isfile(file) and not os.path.islink(file) else ""


def _is_scalar(value: object) -> bool:
    return isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex()

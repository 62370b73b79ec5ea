"""Two runs compared bit for bit: their last checkpoints entry by entry, their losses update by update."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
from torch import Tensor

from ..checkpoint import find_checkpoint, read_checkpoint

Entry: TypeAlias = tuple[str, ...]
"""The keys that lead to a leaf of a checkpoint, a tensor or a plain value."""

Losses: TypeAlias = Mapping[str, Mapping[int, Sequence[float]]]
"""By tag and update what was logged: one value, or more where an update was logged again and was another."""

CLOCKS = ("seconds", "time_elapsed")
"""How the key of a leaf ends that says how long something took."""

GIVEN = {("datamodule_hyper_parameters", name) for name in ("tokens", "label_names")}
"""What a run that goes on gives to its data; of any other the data find it. The model's hyper-parameters hold both."""

RESUMED = "config.resume-"
"""With an update after it: the configuration with which a run has gone on."""

ROWS = ("weights", "averaged weights", "optimiser", "schedule", "position", "hidden states", "random numbers", "other")
"""What the leaves of a checkpoint are grouped into."""

GROUPS = {
    "state_dict": "weights",
    "current_model_state": "weights",
    "averaging_state": "averaged weights",
    "optimizer_states": "optimiser",
    "lr_schedulers": "schedule",
    **dict.fromkeys(("loops", "epoch", "global_step"), "position"),
}
"""By the first key that leads to a leaf. What is not here is another's own."""

OF_A_RANK = {"hidden": "hidden states", "random": "random numbers"}
"""The same of what lightseq stores for each process."""


class Run(NamedTuple):
    """What a run's folder says."""

    checkpoint: Mapping[str, Any]
    leaves: Mapping[Entry, Any]
    losses: Losses
    went_on: Sequence[str]
    """After which updates, where it has been stopped."""


class Row(NamedTuple):
    """What came of comparing one thing."""

    name: str
    verdict: str
    """``equal``, ``DIFFERS``, or ``-`` where neither run has any of it."""
    detail: str = ""


def read_run(folder: Path, root: Path) -> Run:
    """The last checkpoint and the losses of a run.

    Args:
        folder: Of the run.
        root: A folder above it, which is left out of all paths that the checkpoint holds.

    Raises:
        UserError: There is no checkpoint, or it cannot be read.
    """
    content = read_checkpoint(find_checkpoint(folder, last=True))
    leaves = {
        path: leaf
        for path, leaf in _leaves(content, (), str(root))
        if not path[-1].endswith(CLOCKS) and path[:2] not in GIVEN
    }
    losses: dict[str, dict[int, list[float]]] = {}
    for file in sorted(filter(Path.is_file, folder.glob("*tfevents*"))):  # by the time in the name
        events = EventAccumulator(str(file), size_guidance={"scalars": 0}, purge_orphaned_data=False).Reload()
        for tag in events.Tags()["scalars"]:
            for event in events.Scalars(tag):
                values = losses.setdefault(tag, {}).setdefault(event.step + 1, [])  # Lightning counts from 0
                if repr(event.value) not in map(repr, values):  # as text a NaN is its own equal
                    values.append(event.value)
    resumes = [file.stem.removeprefix(RESUMED) for file in sorted(folder.glob(f"{RESUMED}*.yaml"))]
    return Run(content, leaves, losses, resumes)


def compare(whole: Run, resumed: Run, stop: int | None = None) -> list[Row]:
    """A row for each of ``ROWS``, one for ``train/loss``, and one for all ``val/...``. Where something differs it says
    what differs first, and how many do.

    Args:
        whole: A run that was never stopped.
        resumed: The one to compare with it.
        stop: The update after which it must have gone on, once: begun anew it would be equal too. None asks nothing.
    """
    averaged = "averaging_state" in {path[0] for path in (*whole.leaves, *resumed.leaves)}
    groups: dict[str, list[Entry]] = {name: [] for name in ROWS}
    for path in dict.fromkeys((*whole.leaves, *resumed.leaves)):
        groups[_group(path, averaged)].append(path)
    rows = [_leaves_row(name, paths, whole.leaves, resumed.leaves) for name, paths in groups.items()]
    validations = [tag for tag in dict.fromkeys((*whole.losses, *resumed.losses)) if tag.startswith("val/")]
    rows.append(_losses_row("train/loss", ["train/loss"], whole.losses, resumed.losses))
    rows.append(_losses_row("val/*", validations, whole.losses, resumed.losses))
    if stop is not None and resumed.went_on != [str(stop)]:
        rows.append(Row("went on", "DIFFERS", f"after {' and '.join(resumed.went_on) or 'nothing'}, and not {stop}"))
    return rows


def same(one: Any, other: Any) -> bool:
    """Whether two leaves are equal to the last bit, of one type, dtype and shape; a NaN is its own equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))
    return type(one) is type(other) and repr(one) == repr(other)


def counted(number: int, noun: str, ending: str = "s") -> str:
    """``1 value``, ``2 values``."""
    return f"{number:,} {noun}{ending * (number != 1)}"


def _leaves(value: Any, path: Entry, root: str) -> Iterator[tuple[Entry, Any]]:
    """An empty list or mapping is a leaf too."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key).replace(root, "")), root)
    elif isinstance(value, list | tuple) and value:
        for place, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(place)), root)
    else:
        yield path, value.replace(root, "") if isinstance(value, str) else value


def _group(path: Entry, averaged: bool) -> str:
    if averaged and path[0] == "state_dict":  # a run that averages stores the average as the model's weights
        return "averaged weights"
    if path[:2] == ("callbacks", "AveragedWeights"):
        return "averaged weights"
    if path[:2] == ("lightseq", "ranks"):
        return OF_A_RANK.get(path[3], "other")
    return GROUPS.get(path[0], "other")


def _leaves_row(name: str, paths: Sequence[Entry], whole: Mapping[Entry, Any], resumed: Mapping[Entry, Any]) -> Row:
    if not paths:
        return Row(name, "-")
    absent = object()
    pairs = {path: (whole.get(path, absent), resumed.get(path, absent)) for path in paths}
    unlike = [path for path, (one, other) in pairs.items() if not same(one, other)]
    if not unlike:
        tensors = sum(isinstance(one, Tensor) for one, _ in pairs.values())
        return Row(name, "equal", counted(tensors, "tensor") if tensors else "")
    one, other = pairs[unlike[0]]
    if one is absent or other is absent:
        said = f": only in the {'resumed' if one is absent else 'whole'} run's checkpoint"
    else:
        said = _difference(one, other)
    more = f"; {len(unlike):,} of {len(paths):,} entries" if len(paths) > 1 else ""
    return Row(name, "DIFFERS", f"{'/'.join(unlike[0])}{said}{more}")


def _difference(one: Any, other: Any) -> str:
    """Where two leaves differ first, what each says there, and how far they are apart at the most."""
    alike = isinstance(one, Tensor) and isinstance(other, Tensor) and one.dtype == other.dtype
    if not alike or one.shape != other.shape:
        return f": {_said([one], [other])}"
    unlike = (_bits(one) != _bits(other)).view(*one.shape, -1).any(-1)
    place = tuple(unlike.nonzero()[0].tolist())
    gaps = (one.double() - other.double()).abs()[unlike].tolist() if one.is_floating_point() else []
    where = str(list(place)) if place else ""
    return f"{where}: {_said([one[place].item()], [other[place].item()])}{_largest(gaps)}"


def _losses_row(name: str, tags: Sequence[str], whole: Losses, resumed: Losses) -> Row:
    places = [(update, tag) for tag in tags for update in {**whole.get(tag, {}), **resumed.get(tag, {})}]
    if not places:
        return Row(name, "-")
    unlike = dict[tuple[int, str], tuple[Sequence[float], Sequence[float]]]()
    for update, tag in places:
        one, other = (run.get(tag, {}).get(update, ()) for run in (whole, resumed))
        if list(map(repr, one)) != list(map(repr, other)):
            unlike[update, tag] = one, other
    if not unlike:
        return Row(name, "equal", counted(len(places), "value"))
    update, first = min(unlike, key=lambda place: place[0])
    gaps = [abs(a - b) for (_, tag), own in unlike.items() if tag == first for a in own[0] for b in own[1]]
    detail = f"{first} of update {update}: {_said(*unlike[update, first])}{_largest(gaps)}"
    return Row(name, "DIFFERS", f"{detail}; {len(unlike):,} of {counted(len(places), 'value')}")


def _largest(gaps: Sequence[float]) -> str:
    """Of differences the largest; one that is not a number is larger than any."""
    return f", largest difference {max(gaps, key=lambda gap: (isnan(gap), gap)):.3g}" if gaps else ""


def _said(one: Sequence[Any], other: Sequence[Any]) -> str:
    """What either run has, in as many digits as it takes to see a difference."""
    texts = ["", ""]
    for digits in (9, 17):
        texts = [" and ".join(_shown(value, digits) for value in values) or "nothing" for values in (one, other)]
        if texts[0] != texts[1]:
            break
    return f"{texts[0]} at once, {texts[1]} resumed"


def _shown(value: Any, digits: int) -> str:
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    return f"{value:.{digits}g}" if isinstance(value, float) else f"{value!r:.80}"


def _bits(tensor: Tensor) -> Tensor:
    """Its bytes, in one row."""
    return tensor.contiguous().view(-1).view(torch.uint8)

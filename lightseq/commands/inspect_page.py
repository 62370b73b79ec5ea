"""The page that ``lightseq inspect --html`` writes: one file that fetches nothing and opens from a disk."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..atomic import cannot_write, open_descriptor, write_whole
from ..backbones import Backbone
from ..errors import UserError
from ..inspection import Inspection, character_classes, shown
from .inspect_words import gate, loss_words

MOST_VALUES = 6_000_000
"""Logits and traced values that a page may hold: 32 MB of text."""


def write_page(
    path: Path,
    title: str,
    inspection: Inspection,
    backbone: Backbone,
    temperatures: Sequence[float],
    top: int,
    layers: Sequence[int],
) -> None:
    """Write it whole or not at all.

    Args:
        path: Where to.
        title: What was looked at.
        inspection: The text and what the model made of it.
        backbone: Whose trace it is.
        temperatures: To jump to.
        top: Candidates of a time step that are shown at first.
        layers: What the layers in the trace are called.

    Raises:
        UserError: More values than a page may hold, or a file that cannot be written.
    """
    count = sum(values.numel() for values in [inspection.logits, *inspection.trace.values()])
    if count > MOST_VALUES:
        raise UserError(
            f"a page of {count:,} values is too large, {MOST_VALUES:,} at most: cut the text, or choose with --gates "
            "and --layer"
        )
    page = _page(_content(title, inspection, backbone, temperatures, top, layers))
    try:
        write_whole(path, page)
    except OSError as error:
        if open_descriptor(path) == 1:  # of standard output the command line tells
            raise
        raise cannot_write(path, error) from error


def _content(
    title: str,
    inspection: Inspection,
    backbone: Backbone,
    temperatures: Sequence[float],
    top: int,
    layers: Sequence[int],
) -> dict[str, Any]:
    """What the page's script reads; arrays are little-endian float32 in base64."""
    return {
        "title": title,
        "task": inspection.task,
        "tokens": [shown(token) for token in inspection.tokens],
        "breaks": [t for t, token in enumerate(inspection.tokens) if "\n" in token],
        "outputs": [shown(output) for output in inspection.outputs],
        "targets": [
            target if scored else -1
            for target, scored in zip(inspection.targets.tolist(), inspection.scored.tolist(), strict=True)
        ],
        "nats": inspection.nats.tolist(),
        "logits": _packed(inspection.logits),
        "temperatures": list(temperatures),
        "top": top,
        "loss": loss_words(inspection),
        "sum": inspection.total,
        "mean": inspection.mean,
        "layers": list(layers),
        "backbone": type(backbone).__name__,
        "gates": [
            {"name": name, "layers": values.shape[1], "units": values.shape[2], "values": _packed(values)}
            | gate(backbone, name)._asdict()
            for name, values in inspection.trace.items()
        ],
        "classes": character_classes(inspection.tokens),
    }


def _page(content: dict[str, Any]) -> str:
    """The template with the content in it. The browser is told to run this very script and nothing else, and to load
    nothing, so that a token that looks like markup stays a token even if it came to be read as such."""
    parts = {name: files(__package__).joinpath(f"inspect.{name}").read_text("utf-8") for name in ("html", "css", "js")}
    allowed = base64.b64encode(hashlib.sha256(parts["js"].encode()).digest()).decode()
    # in a script element nothing but "<" can end it or begin a comment
    data = json.dumps(content, allow_nan=False).replace("<", "\\u003c")
    page = parts["html"]
    for place, text in (("HASH", allowed), ("STYLE", parts["css"]), ("SCRIPT", parts["js"]), ("DATA", data)):
        page = page.replace(f"{{{{{place}}}}}", text, 1)
    return page


def _packed(values: Tensor) -> str:
    return base64.b64encode(np.nan_to_num(values.numpy()).astype("<f4").tobytes()).decode()

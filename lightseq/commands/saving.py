"""Samples in a folder: their text, and what their dataset makes of it to look at and to listen to."""

import io
import os
import wave
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..callbacks.markup import plain
from ..data import SequenceData, TextDataset
from ..data.dataset import blamed
from ..errors import UserError
from ..sampling import Sample
from .predictions import ESCAPES

LIST = "samples.tsv"
"""What tells which file is which, a record a sample."""

FIELDS = ("number", "prompt", "temperature", "ended", "files", "remarks")


class Files(NamedTuple):
    """What is saved of one sample."""

    contents: dict[str, bytes]
    """By the end of the file's name."""
    remarks: Sequence[str] = ()


def check_free(folder: Path) -> None:
    """Refuse a place where something is.

    Raises:
        UserError: It is no folder, or below something that is none, cannot be read, or is not empty.
    """
    nearest = next(place for place in (folder, *folder.absolute().parents) if os.path.exists(place))
    if not nearest.is_dir():
        raise UserError(f"--save {folder}: {nearest} is no folder; name a new one")
    try:
        taken = os.path.exists(folder) and any(folder.iterdir())
    except OSError as error:
        raise UserError(f"--save {folder}: {error.strerror}") from error
    if taken:
        raise UserError(f"--save {folder}: the folder is not empty; name a new one")


def save(samples: Sequence[Sample], folder: Path, data: SequenceData | None) -> list[str]:
    """Write each sample's files as ``0001.txt``, ``0001.wav`` and so on, and last a list of them. Whatever ends it
    before leaves nothing behind.

    Args:
        samples: They are numbered in this order.
        folder: New or empty.
        data: What renders them; None: the texts alone are saved.

    Returns:
        What is to be said: remarks, then what was saved and what was not, in a line each.

    Raises:
        UserError: The folder is not empty any more, or the disk refuses.
    """
    check_free(folder)  # again: samples take their time, and another's files must not be cleared away
    try:
        there = folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            said = _write_all(samples, folder, data)
        except BaseException:
            for file in folder.iterdir():  # all of them are ours: it was new or empty
                file.unlink()
            if not there:
                folder.rmdir()
            raise
    except OSError as error:
        raise UserError(f"--save {folder}: {error.strerror or error}") from error
    return [*said[:-1], f"saved in {folder}: {said[-1]}"]


def _write_all(samples: Sequence[Sample], folder: Path, data: SequenceData | None) -> list[str]:
    """Every sample's files, and the list; what is to be said, the kinds of files last."""
    silent = data is not None and type(data.dataset).render is TextDataset.render
    said, failures, kinds = list[str](), list[str](), Counter[str]()
    lines = ["\t".join(FIELDS)]
    for number, sample in enumerate(samples, 1):
        made = Files({})
        try:
            if data is not None and not silent:
                made = _rendered(sample.text, data)
        except UserError as error:
            failures.append(f"{number:04}: {error}")
        files = {**made.contents, ".txt": f"{sample.text}\n".encode("utf-8", "replace")}
        for suffix, content in files.items():
            (folder / f"{number:04}{suffix}").write_bytes(content)
        kinds.update(list(files))
        said += [f"{number:04}: {remark}" for remark in made.remarks]
        lines.append(_record(f"{number:04}", sample, made._replace(contents=files)))
    (folder / LIST).write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8", "replace"))
    if failures:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        said.append(f"lightseq: {failures[0]}{more}; the text is saved")
    if data is not None and silent:
        said.append(f"dataset {data.dataset_name!r} renders neither picture nor sound")
    return [*said, ", ".join(f"{count} {suffix}" for suffix, count in sorted(kinds.items())) + f", {LIST}"]


def _rendered(text: str, data: SequenceData) -> Files:
    """What the dataset makes of a text: a picture as PNG, a sound as 16-bit PCM, and files of its own.

    Raises:
        UserError: A stranger's dataset raises, or returns what is neither picture nor sound.
    """
    with blamed(data.dataset, data.dataset_name, "render"):
        rendering = data.dataset.render(text)
        contents = dict(rendering.files)
        if rendering.image is not None:
            png = io.BytesIO()
            Image.fromarray(np.asarray(rendering.image)).save(png, "PNG")
            contents[".png"] = png.getvalue()
        if rendering.audio is not None:
            sound = io.BytesIO()
            with wave.open(sound, "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(rendering.sample_rate)  # type: ignore[arg-type]  # None raises, as it should
                file.writeframes((np.clip(rendering.audio, -1, 1) * 32_767).round().astype("<i2").tobytes())
            contents[".wav"] = sound.getvalue()
        return Files(contents, [plain(remark) for remark in rendering.remarks])


def _record(number: str, sample: Sample, made: Files) -> str:
    """A line of the list, escaped as ``lightseq predict`` does it."""
    fields = (
        number,
        sample.prompt,
        f"{sample.temperature:g}",
        "yes" if sample.ended else "no",
        " ".join(f"{number}{suffix}" for suffix in sorted(made.contents)),
        "; ".join(made.remarks),
    )
    return "\t".join(field.translate(ESCAPES) for field in fields)

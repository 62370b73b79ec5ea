"""What a run prints before it begins and after it ended."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent

import numpy as np

from ..callbacks import markup
from ..checkpoint import load_trained
from ..data import SequenceData
from ..errors import UserError, printable
from ..sampling import generate
from ..streams import first_of_run, tell_output_failure
from ..system import SequenceSystem

SAMPLES = 10

FILES = ("config.yaml", "hparams.yaml", "results.json", "checkpoints/", "samples.md", "samples.jsonl", "memory.json")
"""Of a run folder, as the end of a run lists them."""


def note(text: str) -> None:
    """Something the user should know, on standard error; of several processes the first says it."""
    if first_of_run():
        print(printable(f"lightseq: {text}"), file=sys.stderr)


def missing_checkpoint(path: Path) -> UserError:
    """Return the message at the end of a run that has no checkpoint, and met no error of the disk."""
    return UserError(f"{str(path)[-200:]} is not there: it was removed, or never written", status=1)


def lost_checkpoint(paths: Sequence[Path]) -> UserError:
    """Return the message at the end of a run whose checkpoints could not be written."""
    more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
    return UserError(
        f"{str(paths[0])[-200:]}{more} is not on the disk, and lost: make room there, or choose another place with "
        "--trainer.default_root_dir",
        status=1,
    )


def describe(data: SequenceData, system: SequenceSystem, done: str) -> str:
    """The data, and the model and what is done to it, in a few lines."""
    stream = data.dataset.layout == "stream"
    unit = "tokens" if stream else "documents"
    sizes = ", ".join(f"{len(part):,} {split}" for split, part in data.parts.items())
    settings = system.hparams
    parameters = sum(p.numel() for p in system.parameters())
    shape = f"{settings['backbone']} {settings['hidden_size']} x {settings['num_layers']}"
    lines = [
        f"data   {data.dataset_name}: {sizes} {unit}, {len(data.vocabulary)} tokens in the vocabulary"
        + (f", {len(data.labels)} labels" if data.labels else ""),
        f"model  {shape}: {parameters:,} parameters, {done}",
    ]
    rows = data.training_lanes(1) if stream else min(data.batch_size, len(data.parts["train"]))
    if rows < data.batch_size:
        lines.append(
            f"note   the text is short: batches of {rows}, in place of the {data.batch_size} of data.batch_size"
        )
    if not stream and data.cold_starts:
        lines.append("note   data.cold_starts is for a stream: documents begin afresh without it")
    if not stream and (shared := _held_out_in_training(data)):
        lines.append(f"note   {shared:,} held-out documents also stand in training: the dataset says so itself")
    if data.labels and not data.store.tagged:
        longer = int((np.diff(data.store.offsets) + 1 > data.window).sum())
        if longer:
            lines.append(f"note   {longer:,} documents are longer than data.window: their last window alone teaches")
    return "\n".join(lines)


def _held_out_in_training(data: SequenceData) -> int:
    """Documents to validate or test on with an equal one, or one of their group, to train on: of a dataset that says
    itself which part they are in."""
    if not data.store.splits.any():
        return 0
    train, *held_out = (data.store.digests[data.parts[split]] for split in ("train", "val", "test"))
    return int(np.isin(np.concatenate(held_out), train).sum())


def print_results(
    data: SequenceData, language_model: bool, best: Mapping[str, float], path: str, folder: Path | None
) -> None:
    """The best numbers, samples of the best model, where things are, and what to type next.

    Args:
        data: What was trained on.
        language_model: Whether there is text to sample, rather than labels.
        best: The values of the best validation, and its ``step``; empty where there was none.
        path: The best checkpoint, else the last; empty where there is none.
        folder: The run folder; None where nothing was logged.
    """
    if best:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in best.items() if name != "step")
        print(f"\nbest, after update {best['step']:.0f}: {numbers}")
    if path and language_model:
        trained = load_trained(path)
        prompt = min(data.dataset.prompts, key=len)
        samples = generate(
            trained.model, trained.vocabulary, [prompt], [0.8], n=SAMPLES, token_counts=trained.token_counts
        )
        print(f"\n{SAMPLES} samples of {Path(path).name} at temperature 0.8:")
        texts = [indent(markup.plain(sample.text), "  ") for sample in samples]
        print(("\n\n" if any("\n" in text for text in texts) else "\n").join(texts))
    if folder is None:
        if path:
            print(f"\ncheckpoint: {path}")
            tell_output_failure(f"; training went on: {path}")
        return
    shown = _shown(folder)
    there = [name for name in FILES if Path(folder, name).exists()]
    print(f"\nin {shown}: {', '.join([*there, 'TensorBoard events'])}")
    if path:
        print("next:")
        if language_model:
            print(f"  lightseq sample {shlex.quote(shown)} --temperature 0.5,0.8,1.0 --n 5")
        else:
            print(f"  lightseq predict --ckpt_path {shlex.quote(shown)}")
        print(f"  lightseq inspect {shlex.quote(shown)} --html inside.html")
        print(f"  lightseq board {shlex.quote(shown)}")
    tell_output_failure(f"; training went on: {shown}")


def print_values(parts: Sequence[Mapping[str, float]], chief: bool) -> None:
    """A metric a line, by one process of a run; the parts, a data loader each, repeat each other."""
    values = {name: value for part in parts for name, value in part.items()}
    for name in sorted(values) if chief else ():
        print(f"{name:24}  {values[name]:.6f}")


def _shown(folder: Path) -> str:
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)

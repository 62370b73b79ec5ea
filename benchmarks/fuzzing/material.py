"""What is mutated: small texts, three small runs, and the settings that a fit has."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import yaml

SMALL = (
    "--data.batch_size=16",
    "--data.window=16",
    "--model.embedding_size=4",
    "--model.hidden_size=6",
    "--model.num_layers=1",
    "--trainer.max_steps=2",
    "--trainer.limit_val_batches=1",
    "--trainer.accelerator=cpu",
    "--trainer.precision=32-true",
    "--trainer.enable_progress_bar=false",
    "--sampling.prompts=['']",
    "--sampling.length=8",
    "--sampling.judged=0",
    "--sampling.max_seconds=2",
    "--inside.enabled=false",
)
"""Flags of a fit that takes a second."""

RUNS = {"text": "text.txt", "names": "names.txt", "labelled": "labelled.tsv"}
"""By dataset, what it reads: a stream, documents, and documents with labels."""

TUNE = "X:{number}\nT:Tune {number}\nM:4/4\nL:1/8\nK:{key}\n|:{bar}|{bar}|{bar}|{bar}:|\n\n"

PACKERS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


def prepare(folder: Path, type_in: Callable[[list[str]], str]) -> None:
    """Write the texts, train the runs, and list the settings.

    Args:
        folder: A new one.
        type_in: Runs a command of lightseq's, and gives its standard output.
    """
    folder.mkdir()
    random = Random(0)
    names = ["".join(random.choices("abcdeinorst", k=random.randint(3, 9))) for _ in range(300)]
    texts = {
        "names.txt": "".join(f"{name}\n" for name in names),
        "text.txt": "".join(f"{' '.join(random.sample(names, 6))}.\n" for _ in range(100)),
        "labelled.tsv": "".join(f"{name}\t{'some' if 'a' in name else 'none'}\n" for name in names),
        "tagged.tsv": "".join(f"{name}\t{name[0]}\n" + "\n" * (i % 5 == 0) for i, name in enumerate(names)),
        "tunes.abc": "".join(
            TUNE.format(
                number=number, key=random.choice(["G", "Am", "D", "Ddor"]), bar="".join(random.choices("ABcdeG", k=8))
            )
            for number in range(1, 41)
        ),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    for ending, pack in PACKERS.items():
        (folder / f"text.txt.{ending}").write_bytes(pack(texts["text.txt"].encode()))
    for dataset, file in RUNS.items():
        words = ["fit", "--config", dataset, f"--data.dataset_args.path={folder / file}", *SMALL]
        type_in([*words, f"--trainer.default_root_dir={folder / 'runs'}"])
    settings = yaml.safe_load(type_in(["fit", "--config", "dinos", "--print_config"]))
    (folder / "keys.json").write_text(json.dumps(sorted(leaves(settings))))


def leaves(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys of the settings."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"

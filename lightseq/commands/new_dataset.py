"""``lightseq datasets new``: a package with a dataset, which installs, passes its test and trains as it is."""

import keyword
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from string import Template

from .. import registry
from ..errors import UserError
from . import Parser

PROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "$package"
version = "0.1.0"
description = "A dataset for lightseq: $name"
readme = "README.md"
requires-python = ">=3.10"
dependencies = ["lightseq-rnn"]

[project.entry-points."lightseq.datasets"]
$name = "$module:$class_name"

[tool.setuptools]
packages = ["$module"]

[tool.setuptools.package-data]
"$module" = ["*.txt"]
"""

MODULE = '''"""A dataset for lightseq."""

import os
from collections.abc import Iterator

from lightseq.data import TextDataset
from lightseq.data.files import fingerprint, lines

OWN = os.path.join(os.path.dirname(__file__), "$name.txt")


class $class_name(TextDataset):
    """Numbers in words, one document each.

    Args:
        path: A text file with a document a line; the package brings its own.
        lower_case: Whether capital letters become small ones.
    """

    prompts = ("", "t", "forty")

    def __init__(self, path: str = OWN, lower_case: bool = True) -> None:
        self.path, self.lower_case = path, lower_case

    def documents(self) -> Iterator[str]:
        """The texts, in the same order at every call."""
        for _, line in lines(self.path):
            if line.strip():
                yield line.lower() if self.lower_case else line

    def fingerprint(self) -> str | None:
        """Saves reading the file to see that it has not changed; every option that matters goes in."""
        return fingerprint([self.path], self.lower_case)
'''

TEST = '''"""Holds the dataset to what lightseq asks of every one, as it is installed."""

from lightseq import registry
from lightseq.testing import check_dataset


def test_the_contract():
    check_dataset(lambda: registry.build(registry.DATASETS, "$name", {}))
'''

RECIPE = """# $name: a small model, seconds on a CPU. lightseq fit --help says what else may stand here.
seed_everything: 0
data:
  dataset: "$name"
  batch_size: 16
model:
  backbone: lstm
  hidden_size: 128
  dropout: 0.3
  learning_rate: 1.0e-2
  schedule: cosine
trainer:
  max_epochs: 20
  gradient_clip_val: 1.0
sampling:
  temperatures: [0.0, 0.5, 0.8, 1.0]
  every_n_steps: 100
"""

README = """# $package

A dataset for lightseq. In this folder:

```
pip install -e .
pytest
lightseq datasets check $name
lightseq fit --config $name.yaml
```

To make it yours, put your own texts into `$module/$name.txt`, or change `documents` in `$module/__init__.py`: it
gives the texts one by one, read from wherever they are. The constructor's arguments, with their annotations, are what
`--data.dataset_args` takes; call those that say what to open `path` or `..._path`. What else a dataset may say (one
long stream, labels, splits, a download, a judge of what a model writes, a picture of it) stands in
`lightseq.data.TextDataset`.
"""

ONES = """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
eighteen nineteen"""
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


def run(verb: str, words: Sequence[str]) -> int:
    """Write the package, and say what to type next.

    Raises:
        UserError: A name that is none or is taken, or a folder that cannot be written.
    """
    parser = Parser(verb, "Write a package with a dataset of your own: it installs, passes its test and trains.")
    parser.add_argument("name", metavar="NAME", help="what data.dataset will call it: small letters, digits and _")
    parser.add_argument("--folder", default=".", help="where to write the folder NAME; default here")
    arguments = parser.parse_args(words)
    name = check_name(arguments.name)
    place = write(files(name), Path(arguments.folder) / name)
    own = shlex.quote(os.path.join(arguments.folder, name))  # ./birds: pip takes a bare word for a package elsewhere
    print(f"in {place}: {', '.join(sorted(files(name)))}")
    print("next:")
    print(f"  pip install -e {own}")
    print(f"  pytest {own}")
    print(f"  lightseq datasets check {name}")
    print(f"  lightseq fit --config {own}/{name}.yaml")
    return 0


def check_name(name: str) -> str:
    """The name, if a dataset, a module and a class can have it.

    Raises:
        UserError: What would be right, or whose it is.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9_]*[a-z0-9])?", name) or keyword.iskeyword(class_name(name)):
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
        hint = f", {near!r} say" if near and not keyword.iskeyword(class_name(near)) else ""
        raise UserError(f"{name!r} is no name for a dataset: small letters, digits and _, a letter first{hint}")
    owners = [registry.distribution(point) for point in registry.plugins(registry.DATASETS) if point.name == name]
    with suppress(PackageNotFoundError):
        owners.append(distribution(package(name)).name)
    if owners:
        raise UserError(f"the name {name!r} is taken, by the installed {owners[0]}: choose another")
    return name


def package(name: str) -> str:
    """What pip calls it."""
    return f"lightseq-{name.replace('_', '-')}"


def class_name(name: str) -> str:
    """``sea_shells`` -> ``SeaShells``."""
    return "".join(word.capitalize() for word in name.split("_"))


def files(name: str) -> dict[str, str]:
    """The text of every file of the package, by its path in it."""
    module = f"lightseq_{name}"
    texts = {
        "pyproject.toml": PROJECT,
        "README.md": README,
        f"{name}.yaml": RECIPE,
        f"test_{name}.py": TEST,
        f"{module}/__init__.py": MODULE,
        f"{module}/{name}.txt": "".join(f"{number}\n" for number in _numbers()),
    }
    words = {"name": name, "module": module, "package": package(name), "class_name": class_name(name)}
    return {path: Template(text).substitute(words) for path, text in texts.items()}


def _numbers() -> list[str]:
    """From one to ninety-nine."""
    ones = ONES.split()
    return ones + [f"{ten}{one}" for ten in TENS.split() for one in ("", *(f"-{digit}" for digit in ones[:9]))]


def write(texts: Mapping[str, str], place: Path) -> Path:
    """Write files into a new folder, all or none.

    Raises:
        UserError: The folder exists, or cannot be written.
    """
    if os.path.exists(place):
        raise UserError(f"{place} exists already: choose another name, or another --folder")
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        try:
            for path, text in texts.items():
                file = beside / place.name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            os.replace(beside / place.name, place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{place} cannot be written ({reason})") from error
    return place

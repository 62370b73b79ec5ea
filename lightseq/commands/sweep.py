"""``lightseq sweep``: one configuration, trained once a seed. How far the seeds lie apart is luck, and a difference
between two settings that is no larger may be luck as well."""

import json
import os
import statistics
import sys
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..config import find_lasting_config, read_settings
from ..errors import Stopped, UserError
from ..streams import failure, tell_output_failure
from . import Parser
from .children import fit_command, run_child, stopped_by

LARGEST = 2**32 - 1
"""NumPy takes no larger seed."""

MOST = 1000
"""Seeds that a single number may ask for: a larger one was meant as a seed."""

COLUMNS = {"val/loss": 4, "val/loss_cold64": 4, "val/loss_cold256": 4, "val/accuracy": 4, "seconds": 1}
"""What is compared, and its decimals."""


class Trained(NamedTuple):
    """What came of a seed."""

    seed: int
    status: int
    record: Mapping[str, Any]
    """As the ``Results`` callback leaves it; empty where the run did not come to its end."""


def seeds(text: str) -> Sequence[int]:
    """``3`` -> 0, 1, 2, and ``0,3,7`` -> 0, 3, 7."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        raise ArgumentTypeError(f"how many, or whole numbers with commas between them, not {text!r:.80}") from None
    for place, number in enumerate(numbers):
        if not 0 <= number <= LARGEST:
            raise ArgumentTypeError(f"a seed is between 0 and {LARGEST}, not {number}")
        if number in numbers[:place]:
            raise ArgumentTypeError(f"{number} stands there twice")
    if numbers == [0]:
        raise ArgumentTypeError("0 is none at all; the seed 0 alone is --seeds 1")
    if len(numbers) == 1 and numbers[0] > MOST:
        raise ArgumentTypeError(f"{numbers[0]} would be so many; one seed alone is fit --seed_everything {numbers[0]}")
    return numbers if len(numbers) > 1 else range(numbers[0])


def run(verb: str, words: Sequence[str]) -> int:
    """Train once a seed, one after another, and compare.

    A mistake of the user's ends the sweep where it shows at the first seed, as the others would make it too. Any other
    failure is told, and the sweep goes on: a process of its own shares nothing with the next, a network that diverges
    with one seed need not with another, and the runs before and after it are as good as ever.

    Returns:
        2 after such a mistake, 1 where any run failed, else 0.
    """
    arguments, rest = _parser(verb).parse_known_args(words)
    if arguments.seeds is None:
        raise UserError(f"{verb} needs --seeds, how many or which: --seeds 5, or --seeds 0,3,7")
    _check_fresh(verb, rest)
    environment = dict(os.environ)
    runs: list[Trained] = []
    try:
        for number, seed in enumerate(arguments.seeds, 1):
            print(f"seed {seed} ({number} of {len(arguments.seeds)})", flush=True)
            trained = _train(seed, rest, environment)
            if trained.status == 2 and not runs:
                return 2
            if trained.status:
                print(f"lightseq: seed {seed} {_failure(trained.status)}", file=sys.stderr)
            if "precision" in trained.record:  # where it is chosen by timing, the seeds should not differ in it
                environment.setdefault("LIGHTSEQ_PRECISION", trained.record["precision"])
            runs.append(trained)
    except Stopped:
        print(f"lightseq: the sweep was stopped at seed {seed}; what follows is of those before it", file=sys.stderr)
        raise
    finally:  # a sweep that is stopped shows what it has
        for line in table(runs):
            print(line)
        tell_output_failure(f"; training went on: {', '.join(folders)}" if (folders := _folders(runs)) else "")
    return int(any(trained.status for trained in runs))


def table(runs: Sequence[Trained]) -> list[str]:
    """The lines of a table: a seed each, then the median, lowest and highest of every column where there are two."""
    names = [name for name in COLUMNS if any(name in trained.record for trained in runs)]
    if not names:
        return []
    rows = [["seed", *names, "run"]]
    for trained in runs:
        place = _failure(trained.status) if trained.status else trained.record.get("folder") or ""
        rows.append([str(trained.seed), *(_cell(name, trained.record.get(name)) for name in names), place])
    measured = [trained.record for trained in runs if names[0] in trained.record]
    columns = {name: [record[name] for record in measured if name in record] for name in names}
    if len(measured) > 1:
        for word, summary in (("median", statistics.median), ("lowest", min), ("highest", max)):
            rows.append([word, *(_cell(name, summary(values)) for name, values in columns.items()), ""])
    widths = [max(len(row[i]) for row in rows) for i in range(len(names) + 1)]
    shown = [[f"{cell:>{width}}" for cell, width in zip(row, widths, strict=False)] for row in rows]
    return ["", *("  ".join([*cells, row[-1]]).rstrip() for cells, row in zip(shown, rows, strict=True))]


def _folders(runs: Sequence[Trained]) -> list[str]:
    return [trained.record["folder"] for trained in runs if trained.record.get("folder")]


def _check_fresh(verb: str, words: Sequence[str]) -> None:
    """Refuse what would make the runs anything but fresh ones that differ in the seed.

    Raises:
        UserError: Another seed, a checkpoint to go on from, or a configuration that cannot be read.
    """
    for word, following in zip(words, [*words, ""][1:], strict=True):
        flag, equals, value = word.partition("=")
        if flag == "--seed_everything":
            raise UserError(f"{verb} sets --seed_everything itself, from --seeds: leave it out")
        if flag in ("--ckpt_path", "--resume"):
            raise UserError(f"{verb} begins every run afresh: leave {flag} out")
        name = value if equals else following
        if flag in ("--config", "-c") and name:
            settings = read_settings(*find_lasting_config(name))
            for key in ("ckpt_path", "resume"):
                if key in settings.values:
                    raise UserError(f"{settings.places[key]}: {verb} begins every run afresh: leave {key} out")


def _train(seed: int, words: Sequence[str], environment: Mapping[str, str]) -> Trained:
    """One run, which writes where this process does.

    Raises:
        Stopped: This process was asked to stop, or the run was; it has ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        command = fit_command([f"--seed_everything={seed}", *words])
        with open(os.devnull, "wb") as nowhere:  # what this process cannot write that one cannot either, and would fail
            out = nowhere if failure(sys.stdout) else None
            status = run_child(command, {**environment, "LIGHTSEQ_RESULTS": str(file)}, out)
        if number := stopped_by(status):
            raise Stopped(number)
        done = status in (0, 1) and file.exists()  # 1: of its output alone; --print_config, say, trains nothing
        return Trained(seed, status, json.loads(file.read_text(encoding="utf-8")) if done else {})


def _failure(status: int) -> str:
    return f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"


def _cell(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{COLUMNS[name]}f}"


def _parser(verb: str) -> Parser:
    parser = Parser(verb, "Train once a seed, and compare: how much of a difference between two settings is luck.")
    parser.usage = f"lightseq {verb} --seeds N [what fit takes ...]"
    parser.epilog = "All other arguments are those of fit: lightseq fit --help"
    parser.add_argument(
        "--seeds", type=seeds, metavar="N", help="how many, from 0 on: 5; or which, with commas between them: 0,3,7"
    )
    return parser

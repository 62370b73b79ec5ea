"""``lightseq verify-resume``: whether a run that is stopped and goes on is, to the last bit, the run that was not."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import check_writable
from ..config import find_lasting_config, read_settings
from ..errors import Stopped, UserError
from . import Parser
from .children import fit_command, run_child, stopped_by

if TYPE_CHECKING:
    from .bit_equality import Row, Run

STOP_AFTER = "LIGHTSEQ_STOP_AFTER"
"""Updates after which a fit stops as SIGTERM would stop it."""

STOPPED = 143
"""How such a fit ends."""

CHEAP = (
    "--trainer.max_epochs=-1",  # the updates alone bound it
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--sampling.every_n_steps=0",
    "--sampling.at_validation=false",
    "--sampling.judged=0",
    "--sampling.length=16",
    "--inside.enabled=false",
)
"""What only looks on. The user's own flags come after these, and may say otherwise; files may not."""

FRESH = ("ckpt_path", "init_from", "resume")
"""Settings of fit's that would make the first run anything but a fresh one."""

OWN = ("trainer.max_steps", "trainer.default_root_dir", "trainer.logger", *FRESH)
"""Flags of fit's that are not the user's here."""


def run(verb: str, words: Sequence[str]) -> int:
    """Train n updates at once; train the first k of them, stop, and go on; compare.

    Returns:
        0 where all is equal, 1 where anything differs; the status of a fit that fails.

    Raises:
        UserError: A stop that is not before the last update, or a setting that is not the user's here.
    """
    arguments, rest = _parser(verb).parse_known_args(words)
    updates, stop = arguments.updates, arguments.stop
    if updates < 2:
        raise UserError(f"--updates must be >=2, to stop between two of them, not {updates}")
    if stop is not None and not 1 <= stop < updates:
        raise UserError(f"--stop must be >=1 and below the {updates} of --updates, not {stop}")
    _check_own(verb, rest)
    try:
        with _folder(arguments.keep) as folder:
            return _verify([*CHEAP, *rest, f"--trainer.max_steps={updates}"], stop, folder)
    except subprocess.CalledProcessError as failed:
        sys.stderr.write(failed.stderr)
        return failed.returncode


def _verify(words: Sequence[str], stop: int | None, folder: Path) -> int:
    """Three fits, and the report."""
    from .bit_equality import compare, counted, read_run  # it takes torch, which --help need not wait for

    roots = folder / "whole", folder / "stopped"
    environment = {name: value for name, value in os.environ.items() if name != STOP_AFTER}
    first = _fit("whole", words, roots[0], environment)
    whole = read_run(Path(first["folder"]), roots[0])
    updates = whole.checkpoint["global_step"]
    stop = _inside(whole, updates) if stop is None else stop
    if stop >= updates:
        raise UserError(f"the run has come to its end after {counted(updates, 'update')}: --stop must be below that")
    environment["LIGHTSEQ_PRECISION"] = first["precision"]  # where it is chosen by timing, the others have the same
    _fit("stopped", words, roots[1], {**environment, STOP_AFTER: str(stop)}, STOPPED)
    last = _fit("resumed", [*words, "--resume=auto"], roots[1], environment)
    resumed = read_run(Path(last["folder"]), roots[1])
    rows = compare(whole, resumed, stop)
    for line in _report(whole, stop, rows):
        print(line)
    return int(any(row.verdict == "DIFFERS" for row in rows))


def _report(whole: "Run", stop: int, rows: Sequence["Row"]) -> Iterator[str]:
    from .bit_equality import counted

    content, own = whole.checkpoint, whole.checkpoint["lightseq"]
    updates = content["global_step"]
    yield (
        f"{content['datamodule_hyper_parameters']['dataset']}: {counted(updates, 'update')} at once, and {stop} + "
        f"{updates - stop} with a stop between, in {own['precision']} on {counted(own['world_size'], 'process', 'es')}"
    )
    batch = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["completed"]
    for row in rows:
        detail = f"epoch {content['epoch']}, batch {batch}" if row[:2] == ("position", "equal") else row.detail
        yield f"  {row.name:18}  {row.verdict:7}  {detail}".rstrip()
    differs = any(row.verdict == "DIFFERS" for row in rows)
    yield "a resumed run is another one: see DIFFERS above" if differs else "a stopped run goes on bit for bit"


def _inside(whole: "Run", updates: int) -> int:
    """The update nearest to three sevenths of a run that does not end an epoch; of one that has none but such, that at
    three sevenths."""
    epochs, middle = whole.losses.get("epoch", {}), max(1, updates * 3 // 7)
    near = sorted(range(1, updates), key=lambda update: abs(update - middle))
    return next((update for update in near if epochs.get(update) == epochs.get(update + 1)), middle)


def _fit(
    name: str, words: Sequence[str], root: Path, environment: Mapping[str, str], expected: int = 0
) -> dict[str, Any]:
    """One fit in a process of its own; what it prints goes into files beside its folder.

    Returns:
        Its numbers, as the ``Results`` callback leaves them; nothing of a run that is stopped.

    Raises:
        Stopped: This process was asked to stop, or the fit was; it has ended.
        subprocess.CalledProcessError: It ended with another status than expected; ``stderr`` is what to say of it.
        UserError: It trained nothing, or not in a run folder.
    """
    out, err, record = (root.with_name(f"{name}.{ending}") for ending in ("out", "err", "json"))
    command = fit_command([*words, f"--trainer.default_root_dir={root}"])
    variables = {**environment, "LIGHTSEQ_RESULTS": str(record)}
    with out.open("wb") as said, err.open("wb") as complained:
        status = run_child(command, variables, said, complained)
    number = stopped_by(status)
    if number and status != expected:
        raise Stopped(number)
    if status != expected:
        message = err.read_text(encoding="utf-8", errors="replace")
        if status != 2:  # a mistake of the user's says all itself
            message += f"lightseq: the {name} run ended with status {status}, not {expected}\n"
        raise subprocess.CalledProcessError(128 - status if status < 0 else status or 1, command, stderr=message)
    if expected:
        return {}
    numbers = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    if numbers.get("folder") is None:
        raise UserError(f"the {name} run left {'no run folder' if numbers else 'nothing'} to compare")
    return dict(numbers)


def _check_own(verb: str, words: Sequence[str]) -> None:
    """Refuse settings that are not the user's here.

    Raises:
        UserError: One of them, or a configuration that cannot be read.
    """
    for word, following in zip(words, [*words, ""][1:], strict=True):
        flag, equals, value = word.partition("=")
        if flag.removeprefix("--") in OWN:
            raise UserError(f"{verb} sets {flag} itself: leave it out")
        name = value if equals else following
        if flag in ("--config", "-c") and name:
            settings = read_settings(*find_lasting_config(name))
            for key in FRESH:
                if key in settings.values:
                    raise UserError(f"{settings.places[key]}: {verb} begins with a fresh run: leave {key} out")


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    """Where the runs go: a folder that goes away again, or one to keep.

    Raises:
        UserError: The folder to keep is not new, or cannot be made.
    """
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="lightseq-verify-resume-") as place:
            yield Path(place).resolve()
        return
    folder = Path(keep).resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
        check_writable(folder / "whole.out")
    except OSError as error:
        raise UserError(f"--keep {keep}: {error.strerror}") from error
    if taken:
        raise UserError(f"--keep {keep}: the folder is not empty; name a new one")
    yield folder


def _parser(verb: str) -> Parser:
    parser = Parser(
        verb,
        "Train n updates at once; train the same n with a stop after k, as SIGTERM stops a run, and go on; say whether "
        "both end in the same weights, optimiser, data and losses, to the last bit.",
    )
    parser.usage = f"lightseq {verb} [--updates N] [--stop K] [--keep FOLDER] [what fit takes ...]"
    parser.epilog = (
        "All other arguments are those of fit: lightseq fit --help. Samples, pictures and the end after max_epochs are "
        "left out, unless a flag says otherwise. Exit status: 0 equal, 1 different, else that of a fit that failed."
    )
    parser.add_argument("--updates", type=int, default=40, metavar="N", help="of the whole run; default 40")
    parser.add_argument(
        "--stop",
        type=int,
        metavar="K",
        help="the update to stop after; default: near three sevenths, and inside an epoch where there is such an "
        "update. It may be the last one of an epoch too.",
    )
    parser.add_argument("--keep", metavar="FOLDER", help="keep the runs and what they print in a new folder")
    return parser

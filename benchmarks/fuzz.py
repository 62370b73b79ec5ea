"""Mutated inputs of every command: python benchmarks/fuzz.py [--trials 500] [--seconds 600] [--seed 0] [--kinds words].

Configurations, YAML structures, command lines, data files, and checkpoints are mutated, each trial in a process that
can write to one folder, with a limit on its time and memory. A trial fails where a command ends in a traceback, hangs,
is killed, refuses in more than three lines or 400 characters, leaves anything behind with a refusal, or tries to write
anywhere else. ``--only KIND:NUMBER`` shows one trial again.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

from fuzzing.inputs import KINDS
from fuzzing.material import prepare
from runs import machine

LINES, CHARACTERS = 3, 400
"""Of a refusal, at the most."""

FAULTS = ("traceback", "hang", "killed", "too long", "left files", "wrote outside")

SHOWN = 20
"""Failing trials that are shown."""


class Outcome(NamedTuple):
    """The outcome of a trial."""

    kind: str
    number: int
    words: list[str]
    status: int | None
    """Below 0 by a signal; None of one that hangs."""
    out: str
    err: str
    message: str
    """Of a refusal."""
    fault: str | None


class Server:
    """Run trials in a child process, one at a time.

    Args:
        workplace: The one folder that they can write to.
    """

    def __init__(self, workplace: Path) -> None:
        environment = {
            "OMP_NUM_THREADS": "1",
            "LIGHTSEQ_PRECISION": "32-true",
            "PYTHONWARNINGS": "ignore",
            "TMPDIR": str(workplace),
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("LIGHTSEQ_")}
        self.workplace = workplace
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "fuzzing" / "server.py"), str(workplace)],
            env={**inherited, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.closed = bool(self._answer()["closed"])
        """Whether a trial can write to its own folder alone, rather than being asked to."""

    def run(self, kind: str, seed: int, number: int) -> Outcome:
        """Run one trial."""
        with self._answered({"kind": kind, "seed": seed, "number": number}) as (answer, folder):
            return judge(kind, number, answer, folder)

    def type_in(self, words: list[str]) -> str:
        """Run a command that must succeed, and return its standard output."""
        with self._answered({"words": words}) as (answer, _):
            if answer["status"]:
                raise SystemExit(f"lightseq {' '.join(words)} ended with {answer['status']}:\n{answer['err']}")
            return str(answer["out"])

    def close(self) -> None:
        """End the child process."""
        self.process.communicate()

    @contextmanager
    def _answered(self, order: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Path]]:
        """Yield the answer to an order, and the folder that it ran in, which is removed afterwards."""
        assert self.process.stdin is not None
        folder = Path(tempfile.mkdtemp(prefix="trial-", dir=self.workplace))
        try:
            self.process.stdin.write(json.dumps({**order, "folder": str(folder)}) + "\n")
            self.process.stdin.flush()
            yield self._answer(), folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the process that runs the trials has ended")
        return dict(json.loads(line))


def judge(kind: str, number: int, answer: dict[str, Any], folder: Path) -> Outcome:
    """Decide from a trial's answer whether it failed.

    Args:
        kind: Of the trial.
        number: Of the trial.
        answer: The server's.
        folder: The trial's, as it was left.
    """
    made = json.loads(answer["made"] or "{}")
    if "harness" in made or not made:
        raise SystemExit(f"{kind}:{number} could not be made:\n{made.get('harness', answer)}")
    status, err = answer["status"], answer["err"]
    message = refusal(err) if status == 2 else ""
    fault = None
    if status is None:
        fault = "hang"
    elif "Read-only file system" in err:
        fault = "wrote outside"
    elif "Traceback (most recent call last)" in err:
        fault = "traceback"
    elif status < 0:
        fault = "killed"
    elif status == 2 and (len(message) > CHARACTERS or message.count("\n") >= LINES or not message):
        fault = "too long"
    elif status == 2 and left(folder, made["before"]):
        fault = "left files"
    return Outcome(kind, number, made["words"], status, answer["out"], err, message, fault)


def refusal(err: str) -> str:
    """Return the message of a refusal, without the notes before it."""
    begin = max(err.rfind("\nlightseq: ") + 1, 0)
    return err[begin:].rstrip("\n") if err[begin:].startswith("lightseq: ") else err


def left(folder: Path, before: dict[str, int]) -> list[str]:
    """Return what a refused command has made, changed or removed, other than its cache."""
    places = [path for name in ("here", "tmp") for path in sorted((folder / name).rglob("*"))]
    after = {str(path): path.lstat().st_mtime_ns for path in places}
    folders = {str(path) for path in places if path.is_dir() and not path.is_symlink()}
    made = [path for path in after if path not in before]
    changed = [path for path, when in after.items() if before.get(path, when) != when and path not in folders]
    return made + changed + [path for path in before if path not in after]


def trials(servers: Sequence[Server], kinds: Sequence[str], count: int, seconds: float, seed: int) -> Iterator[Outcome]:
    """Run trials of each kind in turn until the time is over, and yield their outcomes."""
    end = monotonic() + seconds
    free: SimpleQueue[Server] = SimpleQueue()
    for server in servers:
        free.put(server)

    def one(work: tuple[str, int]) -> Outcome | None:
        if monotonic() > end:
            return None
        server = free.get()
        try:
            return server.run(work[0], seed, work[1])
        finally:
            free.put(server)

    work = [(kind, number) for number in range(count) for kind in kinds]
    with ThreadPoolExecutor(len(servers)) as pool:
        yield from filter(None, pool.map(one, work))


def table(outcomes: Sequence[Outcome], kinds: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a Markdown table with one row for each kind."""
    header = ["kind", "trials", "accepted", "refused", *FAULTS, "longest message"]
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for name in [*kinds, "all"]:
        own = [outcome for outcome in outcomes if name in (outcome.kind, "all")]
        refused = [outcome for outcome in own if outcome.status == 2]
        good = [outcome for outcome in own if outcome.status in (0, 1) and outcome.fault is None]
        counts = [sum(outcome.fault == fault for outcome in own) for fault in FAULTS]
        longest = max((len(outcome.message) for outcome in refused), default=0)
        cells = [name, len(own), len(good), len(refused), *counts, longest]
        yield f"| {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in cells)} |"


def show(outcome: Outcome) -> str:
    """Describe a failing trial."""
    end = outcome.err.strip().splitlines()[-1:] or [""]
    words = " ".join(shlex.quote(word) for word in outcome.words).encode("unicode_escape").decode("ascii")
    return f"{outcome.kind}:{outcome.number}  {outcome.fault}\n  lightseq {words:.300}\n  {end[0]!a:.300}"


def main() -> None:
    """Run the trials and print the table; status 1 where any failed."""
    parser = argparse.ArgumentParser(description="Mutated inputs of every command.")
    parser.add_argument("--trials", type=int, default=500, help="of each kind, at the most; default 500")
    parser.add_argument("--seconds", type=float, default=1800, help="for all of them; default 1800")
    parser.add_argument("--seed", type=int, default=0, help="of the mutations; default 0")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="default all")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trials at once; default all cores")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one trial, with all that it prints")
    parser.add_argument("--all", action="store_true", help="show every failing trial")
    arguments = parser.parse_args()
    kinds, seed = arguments.kinds, arguments.seed
    with started(1 if arguments.only else arguments.workers) as servers:
        if arguments.only:
            sys.exit(again(servers[0], arguments.only, seed))
        outcomes = list(trials(servers, kinds, arguments.trials, arguments.seconds, seed))
    print(f"{machine()}, seed {seed}")
    if not all(server.closed for server in servers):
        print("no mounts of its own: a trial was asked, not made, to write to its own folder alone")
    print("\n".join(table(outcomes, kinds)))
    failed = [outcome for outcome in outcomes if outcome.fault]
    for outcome in failed if arguments.all else failed[:SHOWN]:
        print(show(outcome))
    sys.exit(bool(failed))


@contextmanager
def started(workers: int) -> Iterator[list[Server]]:
    """Start servers in a folder with the inputs that are mutated."""
    with tempfile.TemporaryDirectory(prefix="lightseq-fuzz-") as folder:
        workplace = Path(folder).resolve()
        servers = [Server(workplace) for _ in range(workers)]
        prepare(workplace / "material", servers[0].type_in)
        yield servers
        for server in servers:
            server.close()


def again(server: Server, name: str, seed: int) -> int:
    """Run one trial and print what it prints; 1 where it fails."""
    kind, _, number = name.partition(":")
    outcome = server.run(kind, seed, int(number))
    print(f"lightseq {' '.join(shlex.quote(word) for word in outcome.words)}".encode("unicode_escape").decode("ascii"))
    print(f"{outcome.out}{outcome.err}status {outcome.status}, fault: {outcome.fault}")
    return int(outcome.fault is not None)


if __name__ == "__main__":
    main()

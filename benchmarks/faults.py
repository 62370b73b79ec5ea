"""Harm that comes to runs, and what is left of them: python benchmarks/faults.py [--quick] [--rows kills signals].

A tiny network is killed, interrupted, starved of its disk, given damaged checkpoints, and goes on with
``--resume auto``. A trial survives where all that is promised of its fault holds. Where the run is to end like one
that nothing befell, all that is in the two last checkpoints, every logged value, and the loss of every update are
compared bit for bit.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from signal import SIGINT, SIGTERM
from statistics import median
from typing import NamedTuple

from injection.files import (
    DAMAGES,
    damaged,
    flips,
    full_at_the_beginning,
    full_log,
    full_to_the_end,
    reader_gone,
    small_disk,
    unwritable,
)
from injection.life import BrokenError
from injection.processes import broken, kills, signalled
from injection.shop import DOCUMENTS, ELSEWHERE, LONG, SAVED_EVERY, STREAM, UPDATES, Run, Shop
from injection.training import diverged, unseen
from runs import machine

MOMENTS = ("saving", "training", "saving", "starting", "training")
"""Of kills, in turn; as many as come to one run."""

PHASES = ("training", "validation", "sampling", "saving")

RANKS = ((1, 0), (2, 0), (2, 1))
"""Processes, and the one of them that gets a signal."""


class Trial(NamedTuple):
    """What came of trials that held."""

    count: int = 1
    seconds: float | None = None
    """From the fault to the end of all ranks."""
    equal: int = 0
    """How many ended as the run that nothing befell."""
    inside: int = 0
    """How many were killed inside a save."""


Plan = Iterator[tuple[int, Callable[[], Trial]]]
"""Trials: how many, and what makes them."""


class Row(NamedTuple):
    """Of the table."""

    fault: str
    trials: int
    plan: Callable[[Shop, int, Random], Plan]
    within: float = float("inf")
    """Seconds until all ranks must be gone."""


def plan_kills(shop: Shop, trials: int, dice: Random) -> Plan:
    def kill(first: int, moments: Sequence[str]) -> Trial:
        run = shop.run(data=DOCUMENTS if first // len(MOMENTS) % 2 else STREAM, updates=LONG)
        inside = kills(run, moments, dice)
        run.finish()
        return Trial(len(moments), equal=len(moments), inside=inside)

    for first in range(0, trials, len(MOMENTS)):
        moments = MOMENTS[: trials - first]
        yield len(moments), partial(kill, first, moments)


def plan_signals(shop: Shop, trials: int, dice: Random) -> Plan:
    """Of 24 no two are alike, and any few of them differ in everything."""

    def stop(n: int) -> Trial:
        devices, rank = RANKS[n % 3]
        run = shop.run(devices)
        seconds = signalled(run, (SIGTERM, SIGINT)[(n // 12 + n // 4) % 2], PHASES[n % 4], dice, rank)
        run.finish()
        return Trial(seconds=seconds, equal=1)

    return ((1, partial(stop, n)) for n in range(trials))


def plan_broken(shop: Shop, trials: int, dice: Random) -> Plan:
    def end(n: int) -> Trial:
        run = shop.run(devices=2)
        seconds = broken(run, ("raise", "die")[n // 2 % 2], (n + 1) % 2, dice.randrange(1, UPDATES))
        run.finish()
        return Trial(seconds=seconds, equal=1)

    return ((1, partial(end, n)) for n in range(trials))


def plan_damaged(shop: Shop, trials: int, dice: Random) -> Plan:
    def damage(kind: str) -> Trial:
        damaged(shop.run(), kind)
        return Trial(equal=1)

    return ((1, partial(damage, kind)) for kind in islice(cycle(DAMAGES), trials))


def plan_flips(shop: Shop, trials: int, dice: Random) -> Plan:
    def flip() -> Trial:
        flips(shop.run(), trials, dice)
        return Trial(trials)

    yield trials, flip


def plan_unwritable(shop: Shop, trials: int, dice: Random) -> Plan:
    with small_disk(shop.folder / "probe") as disk:
        read_only = ["read_only"] * bool(disk or os.geteuid())  # permissions do not bind root

    def close(harm: str) -> Trial:
        run = shop.run()
        with small_disk(run.folder / "runs") as disk:
            unwritable(run, harm, disk)
        return Trial(equal=1)

    return ((1, partial(close, harm)) for harm in islice(cycle(["disk_full", "no_checkpoints", *read_only]), trials))


def plan_full(harm: Callable[[Run, Mapping[str, str]], None], shop: Shop, trials: int, dice: Random) -> Plan:
    """
    Args:
        harm: ``full_at_the_beginning`` or ``full_to_the_end``.
        shop: As for every plan.
        trials: As for every plan.
        dice: As for every plan.
    """

    def fill_up() -> Trial:
        run = shop.run()
        with small_disk(run.folder / "runs") as disk:
            harm(run, disk)
        return Trial(equal=1)

    return ((1, fill_up) for _ in range(trials))


def plan_unheard(shop: Shop, trials: int, dice: Random) -> Plan:
    def silence(full: bool) -> Trial:
        run = shop.run()
        if full:
            with small_disk(run.folder / "log") as disk:
                full_log(run, disk)
        else:
            reader_gone(run)
        return Trial(equal=1)

    return ((1, partial(silence, full)) for full in islice(cycle((True, False)), trials))


def plan_diverged(shop: Shop, trials: int, dice: Random) -> Plan:
    def diverge(harm: str) -> Trial:
        diverged(shop.run(), harm, dice.randrange(SAVED_EVERY + 1, UPDATES))
        return Trial()

    return ((1, partial(diverge, harm)) for harm in islice(cycle(("nan_weights", "infinite_gradient")), trials))


def plan_unseen(shop: Shop, trials: int, dice: Random) -> Plan:
    def look(what: str) -> Trial:
        if what == "no_run_folder":
            unwritable(shop.run(), what)
        else:
            unseen(shop, what)
        return Trial(equal=1)

    return ((1, partial(look, what)) for what in islice(cycle(("no_run_folder", "judge", "render")), trials))


ROWS = {
    "kills": Row("kill -9 at a random moment", 20, plan_kills),
    "signals": Row("SIGTERM or SIGINT, to one process or one of two", 20, plan_signals, 10),
    "broken": Row("an exception or kill -9 on one rank of two", 8, plan_broken, 60),
    "damaged": Row("last checkpoint cut short, empty, changed, of another program", 6, plan_damaged),
    "flips": Row("one bit of the last checkpoint flipped", 50, plan_flips),
    "unwritable": Row("disk full or read-only for a while, checkpoints removed", 6, plan_unwritable),
    "full_at_the_beginning": Row("disk full at the beginning", 2, partial(plan_full, full_at_the_beginning)),
    "full_to_the_end": Row("disk full to the end", 2, partial(plan_full, full_to_the_end)),
    "unheard": Row("disk of the terminal's log full, its reader gone", 4, plan_unheard),
    "diverged": Row("loss NaN or gradient infinite", 4, plan_diverged),
    "unseen": Row("run folder removed, judge or renderer raises", 3, plan_unseen),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="faults to inject; default all")
    parser.add_argument("--trials", type=int, help="of each row, in place of its own number")
    parser.add_argument("--quick", action="store_true", help="two trials of each row")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    shop, began, table, failed = Shop(folder), time.monotonic(), list[str](), 0
    for name in arguments.rows:
        trials = arguments.trials or (2 if arguments.quick else ROWS[name].trials)
        held, more = tried(ROWS[name], shop, trials, Random(arguments.seed))
        table.append(line(ROWS[name], trials, held))
        failed += more
    apart = ELSEWHERE.exists() and os.stat(ELSEWHERE).st_dev != os.stat(folder).st_dev
    print(f"{machine()}; temporary files on {'another' if apart else 'the same'} file system")
    print(f"{time.monotonic() - began:.0f} s in all\n")
    print("| fault | trials | survived | seconds until all ranks were gone: median, longest | ends bit-equal |")
    print("|---|---|---|---|---|")
    print("\n".join(table))
    if failed:
        sys.exit(f"what is left of them: {folder}")
    shutil.rmtree(folder)


def tried(row: Row, shop: Shop, trials: int, dice: Random) -> tuple[list[Trial], int]:
    """What held, and how many trials did not; progress and complaints go to standard error."""
    held, failed = list[Trial](), 0
    for count, inject in row.plan(shop, trials, dice):
        began = time.monotonic()
        try:
            trial = inject()
            if (trial.seconds or 0) > row.within:
                raise BrokenError(f"took {trial.seconds:.1f} s, and not {row.within:.0f}")
            held.append(trial)
        except Exception as error:
            failed += count
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        survived = sum(trial.count for trial in held)
        seconds = f"{time.monotonic() - began:.0f} s"
        print(f"{row.fault}: {survived} of {survived + failed} survived, {seconds}", file=sys.stderr, flush=True)
    return held, failed


def line(row: Row, trials: int, held: list[Trial]) -> str:
    """Of the table."""
    inside = sum(trial.inside for trial in held)
    times = [trial.seconds for trial in held if trial.seconds is not None]
    seconds = f"{median(times):.1f}, {max(times):.1f}" if times else ""
    equal = sum(trial.equal for trial in held)
    cells = [
        row.fault + (f", {inside} of them inside a save" if inside else ""),
        str(trials),
        str(sum(trial.count for trial in held)),
        seconds,
        "" if not equal else "yes" if equal == trials else f"{equal} of {trials}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

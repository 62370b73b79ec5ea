"""A process that is killed, gets a signal, or fails.

Each function raises ``BrokenError`` where something does not hold that must.
"""

import os
import re
import signal
import time
from collections.abc import Sequence
from random import Random

from .life import Event, Life
from .shop import SAVED_EVERY, SHOWN_EVERY, VALIDATED_EVERY, Run

HARMED = 30
"""The update after which harm is done."""

HANGS = 120.0
"""Seconds after which a command will not end any more."""

ERROR = re.compile(r"^(\[rank\d\]: *)?(\w+\.)*\w*(Error|Exception)\b.*", re.MULTILINE)
"""How a traceback ends."""


def kills(run: Run, moments: Sequence[str], dice: Random) -> int:
    """One run, killed once a moment, and resumed each time.

    Args:
        run: That is to be killed.
        moments: ``starting``, ``training`` or ``saving`` each, or a harm by which it kills itself in a save.
        dice: When exactly.

    Returns:
        How many times it was killed inside a save.
    """
    assert run.whole.lives, "made before this one's first"
    inside, before = 0, 0
    for moment in moments:
        own = " " in moment
        with run.start(harm=moment if own else "") as life:
            if own:
                life.must(life.end() == 128 + signal.SIGKILL, "it did not kill itself")
                life.must(life.events[-1]["phase"] == "saving", "it was not in a save")
            else:
                strike(life, moment, dice)
                life.kill()
        inside += check_kept(run, life, before) or own
        before = max(run.good().values(), default=0)
    return inside


def strike(life: Life, moment: str, dice: Random) -> None:
    """Wait for a moment to kill at."""
    if moment == "starting":
        time.sleep(dice.uniform(0, life.run.seconds_to_start))
        return
    phase, most, delay = ("saving", 4, 0.02) if moment == "saving" else ("update", 40, 0.005)
    life.must(life.wait_for(lambda event: event["phase"] == phase, 1 + dice.randrange(most)), "it ended before")
    time.sleep(dice.uniform(0, delay))


def check_kept(run: Run, life: Life, before: int) -> bool:
    """Whatever was saved is there, and no more than the updates between two saves are lost.

    Args:
        run: The run.
        life: That has just ended.
        before: The newest update that was saved before it.

    Returns:
        Whether it was killed inside a save.
    """
    newest, seen = max(run.good().values(), default=0), life.last("update")
    begun = life.updates("begin")
    saved = [update for update in life.updates("saving") if update % VALIDATED_EVERY]  # then it may be the best alone
    life.must(begun in ([], [before]), f"began after update {begun}, and {before} was saved")
    whole = max((update for update in saved if update < seen), default=before)
    life.must(newest >= whole, f"update {whole} was saved, and {run.good()} are left")
    life.must(seen - newest <= SAVED_EVERY, f"update {seen} was made, and {run.good()} are left")
    return bool(saved) and newest < saved[-1]


def signalled(run: Run, number: signal.Signals, phase: str, dice: Random, rank: int = 0) -> float:
    """A signal to one rank: all of them stop, with a checkpoint of where they are.

    Args:
        run: One that has not begun.
        number: The signal.
        phase: ``training``, ``validation``, ``sampling`` or ``saving``: what is going on when it comes.
        dice: When exactly in it.
        rank: That gets it.

    Returns:
        The seconds from the signal until all ranks were gone.
    """
    harm, kind, update, delay = {
        "training": ("", "update", HARMED, 0.005),
        "validation": (f"{number.name} {VALIDATED_EVERY} {rank} {dice.randrange(8)}", "harm", VALIDATED_EVERY, 0),
        "sampling": (f"endless_samples {SHOWN_EVERY} 0", "update", SHOWN_EVERY, 1.0),
        "saving": ("", "saving", 4 * SAVED_EVERY, 0.02),
    }[phase]

    def comes(event: Event) -> bool:
        return (event["phase"], event["rank"]) == (kind, rank) and event["update"] >= update

    with run.start(harm=harm) as life:
        life.must(life.wait_for(comes), f"it ended before its {phase}")
        time.sleep(dice.uniform(0, delay))
        began = time.time()
        if phase != "validation":  # there it sends itself one: a validation is soon over
            os.kill(life.pids[rank], number)
        status = life.end(HANGS)
        seconds = time.time() - began
    life.must(status == 128 + number, f"ended with {status} after {number.name}")
    life.must("Traceback" not in life.text, "a traceback")
    last = {life.last("update", rank) for rank in range(run.devices)}
    life.must(last == {run.good().get("last")}, f"stopped after updates {last}, and has {run.good()}")
    life.must(not (run.place / "results.json").exists(), "has a result")
    if phase == "validation":
        done, whole = (one.count("validation", VALIDATED_EVERY) for one in (life, run.whole.lives[0]))
        life.must(0 < done < whole, f"validated {done} batches of {whole}")
    return seconds


def broken(run: Run, harm: str, rank: int, update: int) -> float:
    """After an update one of two ranks raises (``raise``) or is killed (``die``): both end, and what has happened is
    told first.

    Returns:
        The seconds until both were gone.
    """
    with run.start(harm=f"{harm} {update} {rank}") as life:
        status = life.end(HANGS)
        ended = time.time()
    (began,) = [event["at"] for event in life.events if event["phase"] == "harm"]
    life.must(status != 0, "exit status 0")
    if harm == "raise":
        errors = [found[0] for found in ERROR.finditer(life.text)]
        life.must(bool(errors) and errors[0].endswith(f"RuntimeError: harm on rank {rank}"), f"told first: {errors}")
    return ended - began

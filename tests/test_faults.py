"""Harm that comes to a run; ``benchmarks/faults.py`` does more of it, and says how long it takes."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from random import Random

import pytest
from injection.files import (
    damaged,
    flips,
    full_at_the_beginning,
    full_log,
    full_to_the_end,
    reader_gone,
    small_disk,
    unwritable,
)
from injection.processes import broken, kills, signalled
from injection.shop import Run, Shop
from injection.training import diverged, unseen


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Where commands of one process start in a fraction of a second."""
    shop = Shop(tmp_path_factory.mktemp("faults"), forked=True)
    yield shop
    shop.close()


def test_a_run_is_killed_again_and_again(shop: Shop) -> None:
    """At random moments, and at each of what a save asks of the system."""
    run = shop.run(updates=160)
    calls = ["die_in os.fsync 4", "die_in os.link 0", "die_in os.replace 2", "die_in os.replace 3", "die_in os.fsync 5"]
    inside = kills(run, ["starting", "training", *calls, "saving"], Random(0))
    assert inside >= len(calls)
    run.finish()


@pytest.mark.parametrize(
    ("number", "phase"),
    [
        (signal.SIGTERM, "training"),
        (signal.SIGINT, "validation"),
        (signal.SIGTERM, "sampling"),
        (signal.SIGINT, "saving"),
    ],
)
def test_a_signal_stops_a_run(shop: Shop, number: signal.Signals, phase: str) -> None:
    run = shop.run()
    signalled(run, number, phase, Random(0))
    run.finish()


def test_two_ranks_end_together(shop: Shop) -> None:
    """One of them gets a signal while they validate, then one raises, then the first one is killed."""
    run = shop.run(devices=2)
    signalled(run, signal.SIGTERM, "validation", Random(0), rank=1)
    broken(run, "raise", rank=1, update=40)
    broken(run, "die", rank=0, update=60)
    run.finish()


@pytest.mark.parametrize("damage", ["cut short", "of another program"])
def test_a_damaged_checkpoint_is_not_gone_on_from(shop: Shop, damage: str) -> None:
    damaged(shop.run(), damage)


def test_any_bit_that_is_flipped_is_found(shop: Shop) -> None:
    flips(shop.run(), 50, Random(0))


@pytest.mark.parametrize("harm", ["disk_full", "no_checkpoints", "no_run_folder"])
def test_a_run_that_cannot_save_goes_on(shop: Shop, harm: str) -> None:
    unwritable(shop.run(), harm)


@pytest.mark.parametrize("harm", [full_at_the_beginning, full_to_the_end])
def test_a_disk_that_is_full_is_told_and_leaves_nothing_half_written(
    shop: Shop, harm: Callable[[Run, Mapping[str, str]], None]
) -> None:
    run = shop.run()
    with small_disk(run.folder / "runs") as disk:
        if not disk and harm is full_at_the_beginning:
            pytest.skip("nothing can be mounted here")
        harm(run, disk)


def test_a_terminal_that_nobody_reads_does_not_end_a_run(shop: Shop) -> None:
    run = shop.run()
    with small_disk(run.folder / "log") as disk:
        if not disk:
            pytest.skip("nothing can be mounted here")
        full_log(run, disk)
    reader_gone(shop.run())


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_run_that_may_not_save_goes_on(shop: Shop) -> None:
    unwritable(shop.run(), "read_only")


@pytest.mark.parametrize("harm", ["nan_weights", "infinite_gradient"])
def test_a_run_that_diverges_ends(shop: Shop, harm: str) -> None:
    diverged(shop.run(), harm, update=20)


@pytest.mark.parametrize("fails", ["judge", "render"])
def test_a_dataset_that_fails_does_not_end_a_run(shop: Shop, fails: str) -> None:
    unseen(shop, fails)

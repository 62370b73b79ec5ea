"""A few dozen mutated inputs of every kind: no traceback, no hang, no long refusal, nothing left behind."""

import sys
from collections.abc import Iterator
from pathlib import Path

import fuzz
import pytest
from fuzz import Server
from fuzzing.inputs import KINDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="trials are forked, and held by Linux's limits")

TRIALS = 8
"""Of each kind."""


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Server]]:
    with fuzz.started(1) as servers:
        yield servers


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_inputs_are_taken_or_refused_in_one_message(servers: list[Server], kind: str) -> None:
    outcomes = list(fuzz.trials(servers, [kind], TRIALS, seconds=300, seed=7))
    assert [fuzz.show(outcome) for outcome in outcomes if outcome.fault] == []
    assert len(outcomes) == TRIALS
    assert len({(*outcome.words, outcome.message) for outcome in outcomes}) > TRIALS // 2


def test_the_same_seed_makes_the_same_trial(servers: list[Server]) -> None:
    first, second = (servers[0].run("structures", 3, 4) for _ in range(2))
    other = servers[0].run("structures", 3, 5)
    assert first == second
    assert first.words != other.words or first.message != other.message


def test_what_a_trial_may_not_do_is_a_fault() -> None:
    def fault(status: int | None, err: str) -> str | None:
        answer = {"status": status, "out": "", "err": err, "made": '{"words": ["fit"], "before": {}}'}
        return fuzz.judge("words", 0, answer, Path("nosuch")).fault

    assert fault(0, "a warning") is None
    assert fault(2, "lightseq: no such thing\n") is None
    assert fault(2, "lightseq: a note\nlightseq: " + "x" * 400) == "too long"
    assert fault(2, "lightseq: a\nb\nc\nd\n") == "too long"
    assert fault(2, "") == "too long"
    assert fault(1, "Traceback (most recent call last):\nValueError") == "traceback"
    assert fault(None, "") == "hang"
    assert fault(-9, "") == "killed"

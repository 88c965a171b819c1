"""A process is stopped for longer than its lease while it holds a lane, and goes on when another has taken over.

Nobody is asked how long that takes: each step waits for what the one before has brought about.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from typing import Literal

import pytest

from tests.processes.conftest import Process, Workshop
from trio_gusto import AttemptOutcome, JobState
from trio_gusto.model.instants import to_instant

SHORT = {"lease": 2}
"""For the one that is stopped."""

How = Literal["shielded", "blocking"]
When = Literal["while the other works", "when all is done"]


def stop(process: Process) -> None:
    """Have it stand still; when this returns, it does."""
    process.send(signal.SIGSTOP)
    _, status = os.waitpid(process.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)


def look(workshop: Workshop, question: str) -> list[tuple[object, ...]]:
    """Straight into the file: an app that looks would be one more node."""
    with closing(sqlite3.connect(workshop.program.path)) as connection:
        return connection.execute(question).fetchall()


def has(workshop: Workshop, word: str, attempt: int) -> bool:
    return any(line[::2] == [word, str(attempt)] for line in workshop.ledger.lines())


def play(workshop: Workshop, how: How, when: When, *planted: str) -> int:
    """The lane changes hands; returns the instant until which the lease of the first was valid."""
    first = workshop.start(enqueue=[["hand_over", how]], options=SHORT, kill=planted)
    workshop.wait_until(lambda: has(workshop, "held", 1))
    stop(first)
    ((lease_until,),) = look(workshop, "SELECT lease_until FROM job WHERE state = 3")
    assert isinstance(lease_until, int)
    second = workshop.start(enqueue=[["next_please"]])
    workshop.wait_until(lambda: has(workshop, "held", 2))
    if when == "while the other works":
        first.send(signal.SIGCONT)
    workshop.go()
    if when == "when all is done":
        workshop.wait_until(lambda: workshop.ledger.words().count("double") == 3)
        workshop.wait_until(lambda: "next" in workshop.ledger.words())
        first.send(signal.SIGCONT)
    workshop.wait_until(lambda: has(workshop, "left", 1) and has(workshop, "left", 2))
    for process in (first, second):  # each writes what it has to write before it ends
        process.terminate()
        assert process.ended() == 0, process.errors()
    return lease_until


def check(workshop: Workshop, lease_until: int) -> None:
    workshop.work()  # what nobody had the time for
    jobs = workshop.look()
    names = Counter(job.name for job, _ in jobs)
    assert names == {"hand_over": 1, "next_please": 1, "double": 3}, "children are stored once"
    assert {job.state for job, _ in jobs} == {JobState.COMPLETED}
    ((_, (lost, kept)),) = [found for found in jobs if found[0].name == "hand_over"]
    assert (lost.number, lost.outcome) == (1, AttemptOutcome.LOST)
    assert (kept.number, kept.outcome) == (2, AttemptOutcome.SUCCEEDED)
    assert lost.node_id != kept.node_id
    assert to_instant(kept.claimed_at) >= lease_until, "the lane has one valid holder"
    lines = [(word, attempt) for word, _, attempt, _ in workshop.ledger.lines()]
    assert Counter(lines) == {
        **{(word, number): 1 for word in ("held", "left") for number in ("1", "2")},
        ("double", "1"): 3,
        ("next", "1"): 1,
    }, "what ran, ran as is recorded"
    assert lines.index(("next", "1")) > lines.index(("left", "2")), "the next waits for the holder"


@pytest.mark.parametrize("how", ["shielded", "blocking"])
@pytest.mark.parametrize("when", ["while the other works", "when all is done"])
def test_whoever_comes_back_after_its_lease_stores_nothing(
    workshop: Workshop, how: How, when: When
) -> None:
    check(workshop, play(workshop, how, when))


def test_the_law_catches_a_storage_that_takes_the_outcome_of_who_comes_back(
    workshop: Workshop,
) -> None:
    lease_until = play(workshop, "blocking", "when all is done", "gullible")
    with pytest.raises(AssertionError, match="children are stored once"):
        check(workshop, lease_until)

"""A process is killed around a success that brings other jobs, and around the end of a callback."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.processes.conftest import Workshop
from trio_gusto import AttemptOutcome, JobState

LOST, SUCCEEDED, FAILED = AttemptOutcome.LOST, AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED
COMPLETED, WAITING, READY = JobState.COMPLETED, JobState.WAITING, JobState.READY

MEASURED = {"measure": [SUCCEEDED], "tell": [SUCCEEDED]}


def states(workshop: Workshop) -> dict[str, JobState]:
    """The state of each job by its name, as it is stored; there must be no two with one.

    An app that looks is a node, and may go on with what the one that was killed has left.
    """
    with closing(sqlite3.connect(workshop.program.path)) as connection:
        jobs = connection.execute("SELECT name, state FROM jobs").fetchall()
    assert len({name for name, _ in jobs}) == len(jobs)
    return {name: JobState(state) for name, state in jobs}


def outcomes(workshop: Workshop) -> dict[str, list[AttemptOutcome | None]]:
    return {
        job.name: [attempt.outcome for attempt in attempts] for job, attempts in workshop.look()
    }


def job_id(workshop: Workshop, name: str) -> str:
    (found,) = [job for job, _ in workshop.look() if job.name == name]
    return str(found.id)


# --- callbacks ------------------------------------------------------------------------------------


def test_before_a_success_with_a_callback_is_committed_there_is_neither(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=["before", "Commit"])
    assert set(states(workshop)) == {"measure"}
    workshop.work()
    assert workshop.ledger.words() == ["measure", "measure", "tell-42"]
    assert outcomes(workshop) == {"measure": [LOST, SUCCEEDED], "tell": [SUCCEEDED]}


def test_after_a_success_with_a_callback_is_committed_the_handler_is_not_entered_again(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=["after", "Commit"])
    assert states(workshop) == {"measure": WAITING, "tell": READY}
    workshop.work()
    assert workshop.ledger.words() == ["measure", "tell-42"]
    assert outcomes(workshop) == MEASURED
    ended = {job.name: (job.state, job.result) for job, _ in workshop.look()}
    assert ended == {"measure": (COMPLETED, 42), "tell": (COMPLETED, None)}


def test_before_the_end_of_a_callback_is_committed_only_the_callback_runs_again(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=["before", "Complete"])
    assert states(workshop) == {"measure": WAITING, "tell": JobState.PROCESSING}
    workshop.work()
    assert workshop.ledger.words() == ["measure", "tell-42", "tell-42"]
    assert outcomes(workshop) == {"measure": [SUCCEEDED], "tell": [LOST, SUCCEEDED]}
    assert states(workshop) == {"measure": COMPLETED, "tell": COMPLETED}


def test_between_the_end_of_a_callback_and_that_of_its_job_the_next_start_ends_it(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=["after", "Complete"])
    assert states(workshop) == {"measure": WAITING, "tell": COMPLETED}
    workshop.work()
    assert workshop.ledger.words() == ["measure", "tell-42"]
    assert outcomes(workshop) == MEASURED
    assert states(workshop) == {"measure": COMPLETED, "tell": COMPLETED}


@pytest.mark.parametrize(("when", "found"), [("before", WAITING), ("after", COMPLETED)])
def test_around_the_end_of_a_job_that_was_called_back_nothing_runs_again(
    workshop: Workshop, when: str, found: JobState
) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=[when, "Commit", 1])
    assert states(workshop) == {"measure": found, "tell": COMPLETED}
    workshop.work()
    assert workshop.ledger.words() == ["measure", "tell-42"]
    assert outcomes(workshop) == MEASURED
    assert states(workshop) == {"measure": COMPLETED, "tell": COMPLETED}


@pytest.mark.parametrize(
    ("when", "nth", "ends"),
    [
        ("before", 1, [LOST]),
        ("after", 1, [FAILED]),
        ("before", 2, [FAILED]),
        ("after", 2, [FAILED]),
    ],
)
def test_around_the_failure_of_a_callback_its_job_fails_once_and_its_handler_rests(
    workshop: Workshop, when: str, nth: int, ends: list[AttemptOutcome]
) -> None:
    """The callback has one attempt; its failure is the second commit, and its job's the third."""
    workshop.killed(enqueue=[["mismeasure", 21]], kill=[when, "Commit", nth])
    workshop.work()
    assert workshop.ledger.words() == ["mismeasure", "grumble"]
    assert outcomes(workshop) == {"mismeasure": [SUCCEEDED], "grumble": ends}
    assert states(workshop) == {"mismeasure": JobState.FAILED, "grumble": JobState.FAILED}
    reasons = {job.name: job.reason for job, _ in workshop.look()}
    assert reasons["mismeasure"] == "its callback failed"


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_and_its_callback_are_called_off_together(workshop: Workshop, when: str) -> None:
    workshop.killed(enqueue=[["measure", 21]], kill=["after", "Commit"])
    order = {"cancel": job_id(workshop, "measure"), "kill": [when, "Commit"]}
    workshop.killed(works=False, **order)
    cancelled = {"measure": JobState.CANCELLED, "tell": JobState.CANCELLED}
    pending = {"measure": WAITING, "tell": READY}
    assert states(workshop) == (pending if when == "before" else cancelled)
    workshop.work()
    words = ["measure"] if when == "after" else ["measure", "tell-42"]
    assert workshop.ledger.words() == words


# --- children -------------------------------------------------------------------------------------


def counts(workshop: Workshop) -> dict[str, int]:
    names = [job.name for job, _ in workshop.look()]
    return {name: names.count(name) for name in names}


def test_before_a_success_is_committed_there_are_no_children(workshop: Workshop) -> None:
    workshop.killed(enqueue=[["split", 3]], kill=["before", "Commit"])
    assert counts(workshop) == {"split": 1}
    workshop.work()
    workshop.work()  # what it has brought
    assert counts(workshop) == {"split": 1, "double": 3, "gather": 1}
    words = workshop.ledger.words()
    assert words[:2] == ["split", "split"]
    assert sorted(words[2:]) == ["double"] * 3 + ["gather"]


def test_after_a_success_is_committed_there_are_all_children(workshop: Workshop) -> None:
    workshop.killed(enqueue=[["split", 3]], kill=["after", "Commit"])
    assert counts(workshop) == {"split": 1, "double": 3, "gather": 1}
    assert workshop.ledger.words() == ["split"]
    workshop.work()
    words = workshop.ledger.words()
    assert words[0] == "split"
    assert sorted(words[1:]) == ["double"] * 3 + ["gather"]
    assert counts(workshop) == {"split": 1, "double": 3, "gather": 1}


@pytest.mark.parametrize("seconds", [0.002, 0.01, 0.03])
def test_while_a_success_is_committed_there_are_all_children_or_none(
    workshop: Workshop, seconds: float
) -> None:
    workshop.killed(enqueue=[["split", 3000]], kill=["during", "Commit", 0, seconds])
    found = workshop.count()
    assert found in (1, 3002)
    if found == 1:
        ((parent, _),) = workshop.look()
        assert parent.state is JobState.PROCESSING

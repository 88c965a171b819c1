"""A process is killed at each point of a job's life, and the next one finds things as they should.

The kill is a real SIGKILL; the names are those of the table in the documentation, under "Crashes".
"""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.processes.conftest import Workshop
from trio_gusto import AttemptOutcome, JobState

AT_ONCE = 1.0
"""Seconds from the start of the app until what a crash left behind has run again."""

LOST, SUCCEEDED = AttemptOutcome.LOST, AttemptOutcome.SUCCEEDED


def words(workshop: Workshop) -> list[list[AttemptOutcome | None]]:
    return [[attempt.outcome for attempt in attempts] for _, attempts in workshop.look()]


def states(workshop: Workshop) -> list[JobState]:
    """The states of all jobs as they are stored, oldest first.

    An app that looks is a node, and may go on with what the one that was killed has left.
    """
    with closing(sqlite3.connect(workshop.program.path)) as connection:
        return [
            JobState(word) for (word,) in connection.execute("SELECT state FROM jobs ORDER BY id")
        ]


def test_before_an_enqueue_is_committed_nothing_is_there(workshop: Workshop) -> None:
    workshop.killed(works=False, enqueue=[["double", 21]], kill=["before", "Insert"])
    assert workshop.look() == []


def test_after_an_enqueue_is_committed_the_job_runs_at_the_next_start(workshop: Workshop) -> None:
    workshop.killed(works=False, enqueue=[["double", 21]], kill=["after", "Insert"])
    assert workshop.work() < AT_ONCE
    ((job, _),) = workshop.look()
    assert (job.state, job.result) == (JobState.COMPLETED, 42)


@pytest.mark.parametrize(
    ("when", "found"), [("before", {0}), ("during", {0, 20_000}), ("after", {20_000})]
)
def test_of_many_jobs_enqueued_at_once_all_or_none_are_there(
    workshop: Workshop, when: str, found: set[int]
) -> None:
    workshop.killed(works=False, many=20_000, kill=[when, "Insert"])
    assert workshop.count() in found


def test_after_a_claim_the_job_runs_at_once_and_its_handler_was_not_entered_before(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["double", 21]], kill=["after", "ClaimDue"])
    assert workshop.ledger.lines() == []
    assert workshop.work() < AT_ONCE
    assert words(workshop) == [[LOST, SUCCEEDED]]
    assert workshop.ledger.words() == ["double"]


@pytest.mark.parametrize(("point", "effects"), [("entered", 0), ("effect", 1)])
def test_in_a_handler_the_job_runs_again_under_the_same_id(
    workshop: Workshop, point: str, effects: int
) -> None:
    workshop.killed(enqueue=[["double", 21]], kill=[point])
    assert len(workshop.ledger.lines()) == effects
    assert workshop.work() < AT_ONCE
    ((job, attempts),) = workshop.look()
    assert [attempt.outcome for attempt in attempts] == [LOST, SUCCEEDED]
    notes = [(job_id, attempt) for _, job_id, attempt, _ in workshop.ledger.lines()]
    assert notes == [(str(job.id), "1")] * effects + [(str(job.id), "2")]


def test_a_job_with_one_attempt_is_not_entered_again(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["once"]])
    workshop.wait_until(lambda: workshop.ledger.words() == ["once"])
    worker.kill()
    workshop.work()
    ((job, _),) = workshop.look()
    assert (job.state, job.reason) == (JobState.FAILED, "lost in its last attempt")
    assert workshop.ledger.words() == ["once"]


def test_before_an_outcome_is_committed_the_job_runs_again(workshop: Workshop) -> None:
    workshop.killed(enqueue=[["double", 21]], kill=["before", "Complete"])
    assert workshop.work() < AT_ONCE
    assert workshop.ledger.words() == ["double"] * 2
    assert words(workshop) == [[LOST, SUCCEEDED]]


def test_after_an_outcome_is_committed_the_result_is_there_and_nothing_runs_again(
    workshop: Workshop,
) -> None:
    workshop.killed(enqueue=[["double", 21]], kill=["after", "Complete"])
    workshop.work()
    ((job, attempts),) = workshop.look()
    assert (job.result, len(attempts)) == (42, 1)
    assert workshop.ledger.words() == ["double"]


@pytest.mark.parametrize(("when", "expected"), [("before", LOST), ("after", AttemptOutcome.FAILED)])
def test_a_retry_is_recorded_or_the_attempt_is_lost_but_never_both(
    workshop: Workshop, when: str, expected: AttemptOutcome
) -> None:
    workshop.killed(enqueue=[["fail_once"]], kill=[when, "Commit"])
    assert workshop.work() < AT_ONCE
    assert words(workshop) == [[expected, SUCCEEDED]]
    assert workshop.ledger.words() == ["fail_once"] * 2


def test_after_a_cancellation_was_asked_for_the_job_is_cancelled(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["tidy"]])
    job_id = worker.hear("enqueued")
    workshop.wait_until(lambda: workshop.ledger.words() == ["tidy"])
    workshop.killed(works=False, cancel=job_id, kill=["after", "RequestCancel"])
    workshop.wait_until(lambda: states(workshop) == [JobState.CANCELLED])
    assert workshop.ledger.words() == ["tidy", "cleaning"]


def test_while_a_cancelled_job_cleans_up_it_stays_cancelled(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["tidy"]], kill=["cleaning"])
    job_id = worker.hear("enqueued")
    workshop.wait_until(lambda: workshop.ledger.words() == ["tidy"])
    canceller = workshop.start(works=False, stays=False, cancel=job_id)
    assert canceller.hear("cancelled") is True
    assert worker.ended() == -signal.SIGKILL
    assert workshop.work() < AT_ONCE
    ((job, attempts),) = workshop.look()
    assert (job.state, job.reason) == (JobState.CANCELLED, "not needed")
    assert [attempt.outcome for attempt in attempts] == [LOST]
    assert workshop.ledger.words() == ["tidy", "cleaning"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_around_a_renewal_the_lease_is_the_dead_one_s_or_nobody_s(
    workshop: Workshop, when: str
) -> None:
    workshop.killed(enqueue=[["slow", 0.7]], kill=[when, "Renew"], options={"lease": 1})
    assert workshop.work() < AT_ONCE + 0.7
    assert words(workshop) == [[LOST, SUCCEEDED]]
    assert workshop.ledger.words() == ["slow", "slow", "slow-ended"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_between_a_parent_s_end_and_the_release_the_next_start_releases_once(
    workshop: Workshop, when: str
) -> None:
    workshop.follow("double", 21, "gather")
    # Nothing fails here, so the first `Commit` is the release.
    workshop.killed(kill=[when, "Commit"])
    found = JobState.WAITING if when == "before" else JobState.READY
    assert states(workshop) == [JobState.COMPLETED, found]
    assert workshop.ledger.words() == ["double"]
    assert workshop.work() < AT_ONCE
    assert states(workshop) == [JobState.COMPLETED] * 2
    assert workshop.ledger.words() == ["double", "gather"]
    assert words(workshop) == [[SUCCEEDED]] * 2


@pytest.mark.parametrize(("when", "found"), [("before", 1), ("after", 2)])
def test_around_the_registration_of_a_continuation_it_is_there_or_not(
    workshop: Workshop, when: str, found: int
) -> None:
    """Its parent has ended already, and whoever registered it died before anybody looked."""
    parent = workshop.enqueue("double", 21)
    workshop.work()
    workshop.killed(works=False, follow=str(parent.id), kill=[when, "Insert"])
    assert len(workshop.look()) == found
    assert workshop.work() < AT_ONCE
    assert states(workshop) == [JobState.COMPLETED] * found
    assert workshop.ledger.words() == ["double", "gather"][:found]


def test_in_the_middle_of_the_schema_the_next_start_makes_all_of_it(workshop: Workshop) -> None:
    workshop.killed(works=False, kill=["migration"])
    job = workshop.enqueue("double", 21)
    workshop.work()
    ((ended, _),) = workshop.look()
    assert (ended.id, ended.result) == (job.id, 42)


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_around_a_firing_each_instant_has_one_job_and_none_is_lost(
    workshop: Workshop, when: str
) -> None:
    """Every tenth of a second, ten of which are awaited: the first by the process that dies."""
    workshop.killed(schedule=["ledger", 0.1, 21], kill=[when, "Fire"])
    if when != "during":
        assert bool(workshop.look()) is (when == "after")
    again = workshop.start()
    workshop.wait_until(lambda: len(workshop.ledger.lines()) >= 10)
    again.terminate()
    assert again.ended() == 0
    jobs = sorted(
        (job for job, _ in workshop.look() if job.fire_time is not None),
        key=lambda job: str(job.fire_time),
    )
    instants = [job.fire_time for job in jobs if job.fire_time is not None]
    gaps = {later - earlier for earlier, later in pairwise(instants)}
    assert gaps == {timedelta(seconds=0.1)}, "an instant is missing, or there twice"
    ended = [job.id for job in jobs if job.state is JobState.COMPLETED]
    noted = [job_id for _, job_id, _, _ in workshop.ledger.lines()]
    assert sorted(noted) == sorted(map(str, ended))


def test_while_it_drains_unfinished_jobs_are_ready_at_the_next_start(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["slow", 0.3]] * 2, options={"drain_timeout": 60})
    workshop.wait_until(lambda: len(workshop.ledger.lines()) == 2)
    worker.terminate()
    worker.kill()
    assert workshop.work() < AT_ONCE + 0.3
    assert words(workshop) == [[LOST, SUCCEEDED]] * 2

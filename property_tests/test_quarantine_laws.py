"""Laws of quarantine, over lives that nobody thought of.

- A job is quarantined when, and only when, as many of its attempts were lost one after the other as the option
  says: since it was retried by hand, and since its handler was last known to have ended or to have been stopped.
- Before that every loss lets it run again, soon.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.strategies import NOW
from trio_gusto.model import quarantine
from trio_gusto.model.attempts import claimed_again
from trio_gusto.model.happenings import Claimed, Ending, RetriedByHand
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import JobRequest, StoredJob
from trio_gusto.model.lifecycle import advance, settle
from trio_gusto.model.outcomes import (
    AttemptFailed,
    AttemptOutcome,
    Lost,
    Outcome,
    Released,
    Snoozed,
)
from trio_gusto.model.states import Failed, Ready, Scheduled

Count = Callable[[StoredJob], int]

MOST = 50

ends = st.sampled_from(["lost", "lost", "lost", "failed", "unentered", "stopped", "snoozed"])
lives = st.lists(ends, min_size=1, max_size=14)


def outcome_of(word: str) -> Outcome:
    match word:
        case "failed":
            return AttemptFailed(ValueError("no"))
        case "snoozed":
            return Snoozed(0)
        case _:
            return Released(entered=word == "stopped")


def check(life: list[str], after: int, seed: int, count: Count) -> None:
    """Live it, and compare with a counter that knows nothing of records."""
    request = JobRequest(uuid7(NOW * 1000, seed), "f", "[[],{}]", NOW, MOST)
    job = StoredJob(request, 1, Ready(NOW))
    lost, now = 0, NOW
    for word in life:
        now += 10
        if isinstance(job.state, Failed):
            job = changed(job, advance(job, RetriedByHand(now)))
            lost = 0
        if isinstance(job.state, Scheduled):
            assert job.state.due - now < quarantine.SPREAD
            job = attrs.evolve(job, state=Ready(job.state.due))
        job = changed(job, advance(job, Claimed("node", now, now + 5)))
        if word == "lost":
            lost += 1
            ending = Ending(Lost(count(job), after), now, None)
        else:
            lost = lost if word == "unentered" else 0
            started = None if word == "unentered" else now
            ending = Ending(outcome_of(word), now, started, delay=0)
        job = changed(job, settle(claimed_again(job), ending))
        is_out = isinstance(job.state, Failed) and quarantine.is_quarantined(job.state.reason)
        assert is_out == (word == "lost" and lost >= after), "wrongly judged"
        assert is_out or isinstance(job.state, Ready | Scheduled)


def changed(job: StoredJob, settlement: object) -> StoredJob:
    record = getattr(settlement, "record", None)
    return attrs.evolve(
        job,
        state=settlement.state,  # type: ignore[attr-defined]
        attempt=settlement.attempt,  # type: ignore[attr-defined]
        version=job.version + 1,
        history=(*job.history, record) if record else job.history,
    )


@given(life=lives, after=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_a_job_is_quarantined_when_it_was_lost_so_often_in_a_row(
    life: list[str], after: int, seed: int
) -> None:
    check(life, after, seed, quarantine.lost_in_a_row)


# --- planted faults -----------------------------------------------------------------------------------


def counts_every_loss(job: StoredJob) -> int:
    return 1 + sum(record.outcome is AttemptOutcome.LOST for record in job.history)


def counts_across_a_retry_by_hand(job: StoredJob) -> int:
    count = 1
    for record in reversed(job.history):
        if record.outcome is AttemptOutcome.RELEASED and record.started_at is None:
            continue
        if record.outcome is not AttemptOutcome.LOST:
            break
        count += 1
    return count


def takes_what_was_not_entered_for_an_end(job: StoredJob) -> int:
    records = job.history
    if any(one.outcome is AttemptOutcome.RELEASED for one in records[-1:]):
        return 1
    return quarantine.lost_in_a_row(job)


def takes_a_stop_for_nothing(job: StoredJob) -> int:
    kept = [one for one in job.history if one.outcome is not AttemptOutcome.RELEASED]
    return quarantine.lost_in_a_row(attrs.evolve(job, history=kept))


def looks_at_the_last_record_only(job: StoredJob) -> int:
    return min(2, quarantine.lost_in_a_row(job))


PLANTED = (
    counts_every_loss,
    counts_across_a_retry_by_hand,
    takes_what_was_not_entered_for_an_end,
    takes_a_stop_for_nothing,
    looks_at_the_last_record_only,
)


@pytest.mark.parametrize("count", PLANTED, ids=lambda count: count.__name__)
def test_the_law_catches(count: Count) -> None:
    @settings(LOOKING, max_examples=3000)
    @given(life=lives, after=st.integers(1, 4))
    def search(life: list[str], after: int) -> None:
        check(life, after, 1, count)

    check_is_broken("wrongly judged", search)

"""What the laws are about, drawn by Hypothesis: jobs, states, happenings, policies."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st

from trio_gusto.model.happenings import (
    CalledOff,
    Claimed,
    Ending,
    FellDue,
    Overdue,
    ParentsEnded,
    RetriedByHand,
)
from trio_gusto.model.ids import RANDOM_BITS, uuid7
from trio_gusto.model.job import Job, JobRequest, StoredJob
from trio_gusto.model.outcomes import (
    AttemptCancelled,
    AttemptFailed,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)
from trio_gusto.model.retry import Exponential, Fixed, exponential, fixed
from trio_gusto.model.states import JobState, Ready, Scheduled, State, Waiting

NOW = 1_700_000_000_000_000
SECOND = 1_000_000

durations = st.integers(0, 100) | st.integers(0, 10**12)
"""Microseconds: often so few that instants meet."""

reasons = st.text(max_size=5)

outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, st.none() | st.text(max_size=3)),
    st.builds(
        AttemptFailed,
        st.just(ValueError("oops")),
        st.booleans(),
        st.none() | durations,
        reasons,
    ),
    st.builds(TimedOut, durations),
    st.builds(Snoozed, durations),
    st.builds(Released, entered=st.booleans()),
    st.builds(AttemptCancelled, reasons),
    st.builds(Lost),
)


@st.composite
def requests(draw: st.DrawFn) -> JobRequest:
    """A request as the queue would make it."""
    created_at = NOW + draw(durations)
    execute_after = draw(st.none() | st.builds(lambda later: created_at + later, durations))
    earliest = created_at if execute_after is None else execute_after
    expire_on = draw(st.none() | st.builds(lambda later: earliest + 1 + later, durations))
    return JobRequest(
        uuid7(created_at * 1000, draw(st.integers(0, 2**RANDOM_BITS - 1))),
        "say_hello",
        "[[],{}]",
        created_at,
        draw(st.integers(1, 4)),
        execute_after=execute_after,
        expire_on=expire_on,
    )


Happening = FellDue | ParentsEnded | Claimed | CalledOff | Overdue | RetriedByHand


def happenings(now: int) -> st.SearchStrategy[Happening]:
    """Something that can happen to a job that is not running."""
    events: list[Happening] = [
        FellDue(now),
        ParentsEnded(now),
        Claimed("node-0", now, now + 60 * SECOND),
        CalledOff(now, "not wanted"),
        Overdue(now),
        RetriedByHand(now),
    ]
    return st.sampled_from(events)


@st.composite
def endings(draw: st.DrawFn, claimed_at: int, now: int) -> Ending:
    """The end of an attempt that was claimed at an instant and ends at another."""
    outcome = draw(outcomes)
    entered = isinstance(outcome, Succeeded) or draw(st.booleans())
    return Ending(
        outcome,
        now,
        (claimed_at + now) // 2 if entered else None,
        draw(st.none() | durations),
        draw(st.none() | reasons),
    )


@st.composite
def pending_jobs(draw: st.DrawFn) -> StoredJob:
    """A job that is waiting, scheduled or ready."""
    request = draw(requests())
    attempt = draw(st.integers(0, request.max_attempts - 1))
    due = request.created_at + draw(durations)
    states: list[State] = [Waiting(), Scheduled(due), Ready(due)]
    return StoredJob(request, 1, draw(st.sampled_from(states)), attempt)


policies: st.SearchStrategy[Exponential | Fixed] = st.one_of(
    st.builds(
        exponential,
        base=st.floats(0, 1_000),
        factor=st.floats(1, 10),
        cap=st.floats(0, 100_000),
        jitter=st.floats(0, 10),
    ),
    st.builds(fixed, st.floats(0, 100_000), jitter=st.floats(0, 10)),
)


def looked_at(request: JobRequest, attempt: int) -> Job:
    """A job as a retry policy sees it."""
    return Job(
        id=UUID(bytes=request.id), name=request.name, job_type="", method_name="", args=(),
        kwargs={}, queue=request.queue, priority=0, tenant="", state=JobState.PROCESSING,
        attempt=attempt, max_attempts=request.max_attempts,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), execute_after=None, expire_on=None,
        started_at=None, ended_at=None, result=None, error=None, reason="", ref_id=None,
        tags=frozenset(), created_by=None, user_id=None, metadata={}, timeout=None,
    )  # fmt: skip

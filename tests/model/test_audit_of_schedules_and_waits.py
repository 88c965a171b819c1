"""What an audit says of schedules and of who waits for whom, word for word; and of what it says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest

from trio_gusto.model.audit.jobs import audit_job
from trio_gusto.model.audit.records import RecordedAttempt, RecordedJob, RecordedParent
from trio_gusto.model.audit.schedules import audit_schedule
from trio_gusto.model.audit.waits import is_of_first_life
from trio_gusto.model.dependencies import PARENTS_FAILED
from trio_gusto.model.ids import JobId, to_uuid, uuid7
from trio_gusto.model.job import Details
from trio_gusto.model.occurrence import job_id_of
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rehearsing import KnownSchedule
from trio_gusto.model.schedule import StoredSchedule
from trio_gusto.model.states import JobState

from .jobs import NOW, SECOND, request
from .schedules import at, kept, moment

HOUR = timedelta(hours=1)
MARKED = at("09:10")
ANOTHER = job_id_of("ledger", at("08:00"))
JOB = request().id


def recorded(state: JobState, details: Details | None = None, **row: Any) -> RecordedJob:
    of_row: dict[str, Any] = {"sequence": 1, "attempt": 0, "version": 0, "due": NOW, "id": JOB}
    of_row |= row
    return RecordedJob(request=request(details=details, id=of_row["id"]), state=state, **of_row)


def sentence(job: RecordedJob, *schedules: StoredSchedule) -> str | None:
    finding = audit_job(job, {one.request.name: one for one in schedules})
    return None if finding is None else finding.sentence


# --- the mark of a schedule -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "changes", "words"),
    [
        (kept(HOUR), {"next_at": at("09:30")}, None),
        (
            kept(HOUR),
            {"next_at": None},
            "its next instant after the mark 2026-06-01 09:10:00 UTC is none; "
            "the first is 2026-06-01 09:30:00 UTC",
        ),
        (
            kept(end=moment("09:00")),
            {"next_at": at("10:00")},
            "its next instant after the mark 2026-06-01 09:10:00 UTC is 2026-06-01 10:00:00 UTC; "
            "nothing fires after it",
        ),
        (kept(), {"paused": True, "next_at": None}, None),
        (
            kept(),
            {"paused": True, "next_at": at("10:00")},
            "its next instant after the mark 2026-06-01 09:10:00 UTC is 2026-06-01 10:00:00 UTC; "
            "none while it is paused",
        ),
        (
            kept(),
            {"next_at": at("10:00"), "last_at": at("09:00")},
            "it has a last instant without its job, or a job without its instant; they are set together",
        ),
        (
            kept(),
            {"next_at": at("10:00"), "last_at": at("10:00"), "last_job_id": ANOTHER},
            "its last instant is 2026-06-01 10:00:00 UTC; "
            "the mark 2026-06-01 09:10:00 UTC is not before it",
        ),
        (
            kept(),
            {"next_at": at("10:00"), "last_at": at("09:00"), "last_job_id": ANOTHER},
            f"its last job is {to_uuid(ANOTHER)}; the instant 2026-06-01 09:00:00 UTC has "
            f"{to_uuid(job_id_of('ledger', at('09:00')))}",
        ),
    ],
)
def test_a_schedule_has_its_first_instant_after_the_mark_and_its_last_before(
    schedule: StoredSchedule, changes: dict[str, Any], words: str | None
) -> None:
    schedule = attrs.evolve(schedule, since=MARKED, **changes)
    finding = audit_schedule(KnownSchedule("ledger", schedule))
    wanted = None if words is None else f"schedule 'ledger' breaks marks: {words}"
    assert (None if finding is None else finding.sentence) == wanted


# --- the instants of its jobs ---------------------------------------------------------------------


def of_instant(instant: int) -> RecordedJob:
    its = job_id_of("ledger", instant)
    details = Details(schedule_name="ledger", fire_time=instant)
    return recorded(JobState.READY, details, id=its, schedule="ledger", fire_time=instant)


@pytest.mark.parametrize(
    ("schedule", "instant"),
    [
        (kept(start=moment("08:50")), at("09:17")),
        (kept(), at("08:17")),
        (kept(), at("08:30")),
        (kept(), at("09:00")),
    ],
    ids=["given a start", "before its anchor", "at its anchor", "on the hour"],
)
def test_an_instant_is_believed_where_the_trigger_may_have_been_another(
    schedule: StoredSchedule, instant: int
) -> None:
    assert sentence(of_instant(instant), attrs.evolve(schedule, since=at("12:00"))) is None


def test_of_a_job_that_was_started_by_hand_no_instant_is_wanted() -> None:
    job = recorded(JobState.READY, Details(schedule_name="ledger"), schedule="ledger")
    assert sentence(job, kept()) is None


def test_an_instant_that_the_trigger_has_not_is_told_with_the_trigger() -> None:
    job = of_instant(at("09:17"))
    assert sentence(job, attrs.evolve(kept(), since=at("12:00"))) == (
        f"job {to_uuid(job.id)} breaks fire-times: it has the instant 2026-06-01 09:17:00 UTC of the "
        "schedule 'ledger'; its trigger (0 * * * *) has none there"
    )


# --- who waits for whom ---------------------------------------------------------------------------

PARENTS = [uuid7(NOW * 1000, number) for number in (7, 8)]
NAMED = ", ".join(str(to_uuid(parent)) for parent in PARENTS)


@pytest.mark.parametrize(
    ("waits_for", "links", "there", "words"),
    [
        (PARENTS, PARENTS, PARENTS, None),
        (
            PARENTS,
            PARENTS,
            [],
            f"it waits for {NAMED}, which is not there; what is waited for is kept",
        ),
        (
            PARENTS,
            [],
            PARENTS,
            f"it is not linked to {NAMED}; it waits for these parents, and so is linked to them",
        ),
        (
            [],
            [PARENTS[0], None],
            [],
            f"it is linked to {to_uuid(PARENTS[0])}, one that is not there; "
            "a job that waits for nobody has no links",
        ),
        (
            PARENTS[:1],
            PARENTS[1:],
            PARENTS,
            f"it is not linked to {to_uuid(PARENTS[0])} and is linked to {to_uuid(PARENTS[1])}; "
            "it waits for these parents, and so is linked to them",
        ),
    ],
)
def test_a_job_is_linked_to_those_that_it_waits_for(
    waits_for: Sequence[JobId],
    links: Sequence[JobId | None],
    there: Sequence[JobId],
    words: str | None,
) -> None:
    job = recorded(
        JobState.WAITING,
        Details(parents=tuple(PARENTS)),
        waits_for=waits_for,
        links=links,
        there=frozenset(there),
    )
    wanted = None if words is None else f"job {to_uuid(JOB)} breaks waits: {words}"
    assert sentence(job) == wanted


def parent(state: JobState, version: int, **row: Any) -> RecordedParent:
    return RecordedParent(id=PARENTS[0], state=state, version=version, **row)


@pytest.mark.parametrize(
    ("state", "row", "version"),
    [
        (JobState.READY, {}, 0),
        (JobState.FAILED, {"attempts": 2}, 4),
        (JobState.PROCESSING, {"attempts": 1}, 3),
        (JobState.COMPLETED, {"attempts": 1}, 4),
        (JobState.COMPLETED, {"attempts": 1, "has_success": True}, 3),
    ],
)
def test_a_version_has_room_for_a_retry_by_hand_or_not(
    state: JobState, row: dict[str, Any], version: int
) -> None:
    assert is_of_first_life(parent(state, version, **row))
    assert not is_of_first_life(parent(state, version + 2, **row))


LEASE = {"node": "node-0", "claimed_at": NOW, "lease_until": NOW + SECOND}
FAILED = RecordedAttempt(
    number=1,
    token=3,
    node="node-0",
    claimed_at=NOW,
    started_at=NOW,
    ended_at=NOW,
    outcome=AttemptOutcome.FAILED,
)


@pytest.mark.parametrize(
    "row",
    [
        {"state": JobState.READY, "version": 1},
        {"state": JobState.PROCESSING, "version": 3, "attempt": 1, **LEASE},
        {"state": JobState.SCHEDULED, "version": 4, "attempt": 1, "attempts": [FAILED]},
    ],
    ids=["released", "claimed after a retry", "failed after a retry"],
)
def test_of_what_may_have_been_retried_by_hand_no_parents_are_asked(row: dict[str, Any]) -> None:
    later = parent(JobState.COMPLETED, 2, ended_at=NOW + 1)
    its = Details(parents=(PARENTS[0],))
    assert sentence(recorded(details=its, parents=[later], **row)) is None


def test_what_somebody_called_off_was_not_given_up() -> None:
    row = {"version": 1, "ended_at": NOW + SECOND, "reason": "not wanted"}
    its = Details(parents=(PARENTS[0],))
    completed = parent(JobState.COMPLETED, 2, ended_at=NOW)
    assert sentence(recorded(JobState.CANCELLED, its, parents=[completed], **row)) is None


@pytest.mark.parametrize(
    ("of_parent", "is_told"),
    [
        (parent(JobState.COMPLETED, 2, ended_at=NOW), True),
        (parent(JobState.COMPLETED, 2, ended_at=NOW, of_batch=True), False),
        (parent(JobState.COMPLETED, 4, ended_at=NOW), False),
        (parent(JobState.FAILED, 2, ended_at=NOW, attempts=1), False),
    ],
    ids=["completed", "a batch", "retried", "failed"],
)
def test_what_was_given_up_has_a_parent_that_has_not_completed(
    of_parent: RecordedParent, is_told: bool
) -> None:
    job = recorded(
        JobState.CANCELLED,
        Details(parents=(PARENTS[0],)),
        version=1,
        ended_at=NOW + SECOND,
        reason=PARENTS_FAILED,
        parents=[of_parent],
    )
    assert sentence(job) == (
        f"job {to_uuid(JOB)} breaks continuations: it was given up, and all its parents have completed; "
        "then it is released"
        if is_told
        else None
    )

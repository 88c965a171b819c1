"""What an audit says of records, one rule after the other; files are audited in `tests/storage/sqlite`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest

from trio_gusto.model.audit import Invariant, retry_fault
from trio_gusto.model.audit.jobs import audit_job
from trio_gusto.model.audit.places import audit_holders, audit_lane, audit_stage
from trio_gusto.model.audit.records import (
    RecordedAttempt,
    RecordedJob,
    RecordedLane,
    RecordedParent,
    RecordedStage,
)
from trio_gusto.model.audit.replay import MOST_STEPS, Beginning, after, names_of
from trio_gusto.model.audit.schedules import audit_schedule
from trio_gusto.model.audit.words import moment
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.job import Details
from trio_gusto.model.occurrence import job_id_of
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rehearsing import KnownSchedule
from trio_gusto.model.schedule import StoredSchedule
from trio_gusto.model.states import AwaitingCallback, Cancelled, JobState, Ready
from trio_gusto.model.triggers import every_after

from .jobs import NOW, SECOND, request
from .schedules import at, kept

LEASED: dict[str, Any] = {"node": "node-0", "claimed_at": NOW, "lease_until": NOW + SECOND}
ENDED: dict[str, Any] = {"ended_at": NOW + SECOND, "reason": "enough"}
PARENT = uuid7(NOW * 1000, 7)


def attempt(number: int, token: int, outcome: AttemptOutcome, **changes: Any) -> RecordedAttempt:
    of_attempt: dict[str, Any] = {"claimed_at": NOW, "started_at": NOW, "ended_at": NOW + SECOND}
    return RecordedAttempt(
        number=number, token=token, node="node-0", outcome=outcome, **(of_attempt | changes)
    )


def recorded(
    state: JobState, *attempts: RecordedAttempt, asked: Mapping[str, Any] | None = None, **row: Any
) -> RecordedJob:
    its = request(**(asked or {}))
    of_row: dict[str, Any] = {"sequence": 1, "attempt": 0, "version": 0, "due": NOW}
    return RecordedJob(
        id=row.pop("id", its.id), request=its, state=state, attempts=attempts, **(of_row | row)
    )


def found(job: RecordedJob, *schedules: StoredSchedule) -> tuple[Invariant, str] | None:
    finding = audit_job(job, {one.request.name: one for one in schedules})
    if finding is None:
        return None
    assert finding.job_id is not None
    return finding.invariant, finding.found


# --- a job's life -----------------------------------------------------------------------------------


def test_a_job_whose_id_is_none_goes_by_its_sequence() -> None:
    finding = audit_job(recorded(JobState.READY, id=b"short", sequence=7, fault="its id"), {})
    assert finding is not None
    assert (finding.subject, finding.job_id) == ("the job with the sequence 7", None)
    assert (finding.invariant, finding.found) == (Invariant.READABLE, "its id")


def test_what_cannot_be_read_is_told_first() -> None:
    job = recorded(JobState.READY, fault="its details are no JSON", node="a stranger")
    assert found(job) == (Invariant.READABLE, "its details are no JSON")


def test_what_has_ended_is_claimed_no_more() -> None:
    called_off = attempt(1, 1, AttemptOutcome.CANCELLED)
    job = recorded(JobState.CANCELLED, called_off, attempt(2, 3, AttemptOutcome.CANCELLED), **ENDED)
    assert found(job) == (
        Invariant.TRANSITIONS,
        "its attempt 2 (token 3) was claimed, 0 changes after it was cancelled",
    )


def test_a_lease_does_not_end_before_its_claim() -> None:
    row: dict[str, Any] = LEASED | {"attempt": 1, "version": 1}
    assert found(recorded(JobState.PROCESSING, **row)) is None
    row["lease_until"] = NOW - 1
    fault = found(recorded(JobState.PROCESSING, **row))
    assert fault is not None
    assert fault[0] is Invariant.TIMES
    assert fault[1].startswith("its lease ended at 2023-11-14 22:13:19.999999 UTC")


def test_a_version_never_goes_back() -> None:
    lost = attempt(1, 1, AttemptOutcome.LOST)
    assert found(recorded(JobState.READY, lost, attempt=1, version=2)) is None
    assert found(recorded(JobState.READY, lost, attempt=1, version=1)) == (
        Invariant.VERSIONS,
        "its version is 1, and it was 2 after its attempt 1",
    )


def test_what_is_due_again_has_an_attempt_left() -> None:
    lost = attempt(1, 1, AttemptOutcome.LOST)
    asked = {"max_attempts": 1}
    assert found(recorded(JobState.READY, lost, asked=asked, attempt=1, version=2)) == (
        Invariant.ATTEMPTS,
        "it is ready with 1 of 1 attempts spent",
    )


def test_what_is_tried_again_is_due_after_the_end_of_its_attempt() -> None:
    failed = attempt(1, 1, AttemptOutcome.FAILED)
    row: dict[str, Any] = {"attempt": 1, "version": 2}
    assert found(recorded(JobState.SCHEDULED, failed, **row, due=NOW + SECOND)) is None
    fault = found(recorded(JobState.SCHEDULED, failed, **row, due=NOW + SECOND - 1))
    assert fault is not None
    assert fault[0] is Invariant.IN_TIME


BATCH = uuid7(NOW * 1000, 8)


@pytest.mark.parametrize(
    ("details", "column", "words"),
    [
        (None, BATCH, f"it is counted in the batch {to_uuid(BATCH)}; it belongs to none"),
        (Details(batch=BATCH), None, f"it is counted in no batch; it belongs to {to_uuid(BATCH)}"),
        (Details(batch=BATCH), BATCH, None),
    ],
)
def test_a_job_is_counted_in_its_batch(
    details: Details | None, column: bytes | None, words: str | None
) -> None:
    row = {"batch": column, "is_in_batch": True}
    finding = audit_job(recorded(JobState.READY, asked={"details": details}, **row), {})
    wanted = None if words is None else f"job {to_uuid(request().id)} breaks copies: {words}"
    assert (None if finding is None else finding.sentence) == wanted


def test_a_live_job_lies_in_no_archive() -> None:
    assert found(recorded(JobState.READY, month="2023-11")) == (
        Invariant.ARCHIVE,
        "it is ready in the archive of 2023-11",
    )


def test_after_many_changes_ways_only_go_round() -> None:
    beginning = Beginning(waits=False, is_due=True, may_be_skipped=False).positions
    assert after(beginning, MOST_STEPS) == after(beginning, 1000 * MOST_STEPS)
    for more in range(1, 1000, 2):
        assert after(beginning, MOST_STEPS + more) == after(beginning, MOST_STEPS + 1)
        assert after(beginning, MOST_STEPS + more) != after(beginning, MOST_STEPS + more + 1)


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([Ready, AwaitingCallback, Cancelled], "cancelled or ready or waiting for its callback"),
        ([], "nowhere"),
    ],
)
def test_where_a_job_may_be_is_told_in_words(states: Sequence[type], words: str) -> None:
    assert names_of(frozenset((state, 0) for state in states)) == words


def test_an_instant_that_no_calendar_has_is_told_in_microseconds() -> None:
    assert moment(NOW + 1) == "2023-11-14 22:13:20.000001 UTC"
    assert moment(10**30) == f"{10**30} µs"


# --- continuations ----------------------------------------------------------------------------------


def continuation(parent: RecordedParent, *attempts: RecordedAttempt, **row: Any) -> RecordedJob:
    details = Details(parents=(PARENT,))
    state = row.pop("state", JobState.PROCESSING)
    return recorded(state, *attempts, asked={"details": details}, parents=[parent], **row)


def test_a_continuation_is_not_claimed_while_its_parent_runs() -> None:
    row: dict[str, Any] = LEASED | {"attempt": 1, "version": 2}
    running = RecordedParent(id=PARENT, state=JobState.PROCESSING, version=1)
    fault = found(continuation(running, **row))
    assert fault is not None
    assert fault[0] is Invariant.CONTINUATIONS
    assert fault[1].endswith("is processing")
    retried = attrs.evolve(running, version=3)
    assert found(continuation(retried, **row)) is None, "it may have run before, and ended"


@pytest.mark.parametrize(("ended_at", "is_found"), [(NOW, False), (NOW + 1, True)])
def test_it_is_the_first_claim_of_a_continuation_that_counts(ended_at: int, is_found: bool) -> None:
    parent = RecordedParent(id=PARENT, state=JobState.COMPLETED, version=2, ended_at=ended_at)
    failed = attempt(1, 2, AttemptOutcome.FAILED)
    row = {"state": JobState.SCHEDULED, "attempt": 1, "version": 3, "due": NOW + SECOND}
    fault = found(continuation(parent, failed, **row))
    assert (fault is not None) is is_found
    if fault is not None:
        assert fault[0] is Invariant.CONTINUATIONS
        assert " ended at " in fault[1]


# --- schedules --------------------------------------------------------------------------------------


def of_instant(instant: int, **row: Any) -> RecordedJob:
    details = Details(schedule_name="ledger", fire_time=instant)
    its = job_id_of("ledger", instant)
    asked = {"id": its, "details": details}
    return recorded(JobState.READY, asked=asked, schedule="ledger", fire_time=instant, **row)


def test_of_a_schedule_that_was_removed_nothing_is_known() -> None:
    assert found(of_instant(at("09:17"))) is None


def test_instants_that_nobody_can_compute_again_are_believed() -> None:
    since = at("12:00")
    fault = found(of_instant(at("09:17")), attrs.evolve(kept(), since=since))
    assert fault is not None
    assert fault[0] is Invariant.FIRE_TIMES
    after_each = attrs.evolve(kept(every_after(timedelta(hours=1))), since=since)
    assert found(of_instant(at("09:17")), after_each) is None


def test_only_what_a_schedule_made_for_an_instant_may_be_skipped_at_once() -> None:
    job = attrs.evolve(
        of_instant(at("09:17")), state=JobState.SKIPPED, ended_at=at("09:17"), reason="it overlaps"
    )
    assert found(job) is None
    details = Details(schedule_name="ledger")
    by_hand = attrs.evolve(job, fire_time=None, request=attrs.evolve(job.request, details=details))
    fault = found(by_hand)
    assert fault is not None
    assert fault[0] is Invariant.TRANSITIONS


MARKED = at("09:00")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last_at": MARKED}, "without its job"),
        ({"last_job_id": job_id_of("ledger", MARKED)}, "a job without its instant"),
        (
            {"last_at": MARKED + 1, "last_job_id": job_id_of("ledger", MARKED + 1)},
            "last instant is",
        ),
        ({"last_at": MARKED, "last_job_id": job_id_of("ledger", MARKED)}, None),
    ],
)
def test_the_last_instant_of_a_schedule_is_not_after_its_mark_and_has_its_job(
    changes: dict[str, Any], words: str | None
) -> None:
    schedule = attrs.evolve(kept(), since=MARKED, next_at=at("10:00"), **changes)
    finding = audit_schedule(KnownSchedule("ledger", schedule))
    if words is None:
        assert finding is None
    else:
        assert finding is not None
        assert finding.invariant is Invariant.MARKS
        assert words in finding.found


# --- between jobs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leases", "words"),
    [
        ([("a", 1, 3)], None),
        (
            [("a", 1, 2), ("b", 1, 1)],
            "3 of its jobs are leased, to a, b; 3 of them run alone, so all are leased to one node and none "
            "beside them",
        ),
        (
            [("a", 1, 2), ("a", 5, 1)],
            "3 of its jobs are leased, to a; 2 of them run alone, so all are leased to one node and none "
            "beside them",
        ),
        ([("a", 1, 1), ("b", 5, 2)], None),
        ([("a", 2, 1), ("b", 2, 1)], None),
        ([("a", 2, 2), ("b", 2, 1)], "3 of its jobs are leased at once; they allow 2 at most"),
        ([], None),
    ],
)
def test_a_lane_has_room_for_what_is_leased(
    leases: Sequence[tuple[str, int, int]], words: str | None
) -> None:
    finding = audit_lane(RecordedLane("key press", leases))
    wanted = None if words is None else f"lane 'key press' breaks lanes: {words}"
    assert (None if finding is None else finding.sentence) == wanted


def test_one_live_job_may_have_a_key() -> None:
    holders = [uuid7(NOW, number) for number in range(2)]
    assert audit_holders("invoice", holders[:1]) is None
    finding = audit_holders("invoice", holders)
    assert finding is not None
    assert finding.invariant is Invariant.UNIQUE_KEYS


@pytest.mark.parametrize(("count", "is_whole"), [(3, True), (-1, True), (2, False), (4, False)])
def test_what_was_put_by_is_as_much_as_is_counted(count: int, is_whole: bool) -> None:
    assert (audit_stage(RecordedStage(1, count, 3)) is None) is is_whole


def test_a_retry_policy_that_is_none_is_told_of() -> None:
    assert retry_fault(Details()) is None
    assert retry_fault(Details(retry={"fixed": [1.0, 0.0]})) is None
    assert retry_fault(Details(retry={"sometimes": []}))

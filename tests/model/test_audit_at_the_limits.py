"""An audit tells what is a microsecond or an attempt beyond what is legal, and nothing of what is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trio_gusto.model.audit.jobs import audit_job
from trio_gusto.model.audit.places import audit_counts
from trio_gusto.model.audit.records import RecordedAttempt, RecordedJob
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState

from .jobs import NOW, SECOND, request

JOB = request().id
BEGIN, START, END = "22:13:20", "22:13:21", "22:13:22"
"""The time of day of `NOW`, and one and two seconds later."""


def attempt(number: int, token: int, outcome: AttemptOutcome, **changes: Any) -> RecordedAttempt:
    times = {"claimed_at": NOW, "started_at": NOW + SECOND, "ended_at": NOW + 2 * SECOND}
    return RecordedAttempt(
        number=number, token=token, node="node-0", outcome=outcome, **(times | changes)
    )


FAILED = attempt(1, 1, AttemptOutcome.FAILED)
LOST = attempt(1, 1, AttemptOutcome.LOST)
RELEASED = attempt(1, 1, AttemptOutcome.RELEASED)


def leased(number: int, version: int, claimed_at: int) -> dict[str, Any]:
    return {
        "state": JobState.PROCESSING,
        "attempt": number,
        "version": version,
        "node": "node-0",
        "claimed_at": claimed_at,
        "lease_until": claimed_at,
    }


def said_of(
    attempts: Sequence[RecordedAttempt], row: Mapping[str, Any], asked: Mapping[str, Any]
) -> str | None:
    of_row: dict[str, Any] = {"sequence": 1, "attempt": 0, "version": 0, "due": NOW} | dict(row)
    job = RecordedJob(id=JOB, request=request(**asked), attempts=attempts, **of_row)
    finding = audit_job(job, {})
    return None if finding is None else finding.sentence.replace("2023-11-14 ", "")


ENDED = {"state": JobState.FAILED, "attempt": 1, "version": 2, "reason": "no more"}
LATER = NOW + 2 * SECOND


@pytest.mark.parametrize(
    ("attempts", "row", "asked"),
    [
        ([FAILED], leased(2, 3, LATER), {}),
        ([LOST], leased(2, 3, NOW), {}),
        ([RELEASED], leased(1, 3, NOW), {}),
        ([attempt(1, 1, AttemptOutcome.LOST, ended_at=NOW - 1)], leased(2, 3, NOW), {}),
        (
            [attempt(1, 1, AttemptOutcome.FAILED, started_at=NOW, ended_at=NOW)],
            leased(2, 3, LATER),
            {},
        ),
        (
            [attempt(1, 1, AttemptOutcome.FAILED, started_at=None, ended_at=NOW)],
            leased(2, 3, LATER),
            {},
        ),
        ([], leased(1, 2, NOW), {"execute_after": NOW, "created_at": NOW - 1}),
        ([], leased(1, 4, NOW - 1), {"execute_after": NOW, "created_at": NOW - 9}),
        ([], leased(1, 3, NOW - 1), {"execute_after": NOW, "created_at": NOW - 9}),
        ([], leased(1, 1, NOW), {"expire_on": NOW + 1}),
        ([], leased(1, 1, NOW), {"max_attempts": 1}),
        ([FAILED], ENDED | {"ended_at": LATER}, {"max_attempts": 1}),
        (
            [attempt(1, 1, AttemptOutcome.SUCCEEDED)],
            leased(1, 2, NOW)
            | {"state": JobState.WAITING, "callback": JOB, "started_at": NOW, "reason": "finish"}
            | {"lease_until": None},
            {},
        ),
        ([FAILED], {"state": JobState.READY, "attempt": 1, "version": 2}, {"max_attempts": 2}),
        (
            [FAILED],
            {"state": JobState.SCHEDULED, "attempt": 1, "version": 2, "due": LATER},
            {},
        ),
        (
            [],
            {"state": JobState.EXPIRED, "version": 1, "ended_at": NOW + 5, "reason": "too late"},
            {"expire_on": NOW + 5},
        ),
    ],
)
def test_what_is_just_legal_is_not_told(
    attempts: Sequence[RecordedAttempt], row: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    assert said_of(attempts, row, asked) is None


@pytest.mark.parametrize(
    ("attempts", "row", "asked", "words"),
    [
        (
            [FAILED],
            leased(2, 3, LATER - 1),
            {},
            "one-at-a-time: its attempt 2 (token 3) was claimed at 22:13:21.999999 UTC, and the one before "
            f"it was not over; that one ended at {END} UTC",
        ),
        (
            [attempt(1, 1, AttemptOutcome.FAILED, started_at=NOW - 1)],
            leased(2, 3, LATER),
            {},
            f"times: its attempt 1 (token 1) was claimed at {BEGIN} UTC, started at 22:13:19.999999 UTC and "
            f"ended at {END} UTC; these come one after the other, unless the clock was set back meanwhile",
        ),
        (
            [attempt(1, 1, AttemptOutcome.FAILED, started_at=None, ended_at=NOW - 1)],
            leased(2, 3, LATER),
            {},
            f"times: its attempt 1 (token 1) was claimed at {BEGIN} UTC and ended at 22:13:19.999999 UTC; "
            "these come one after the other, unless the clock was set back meanwhile",
        ),
        (
            [],
            leased(1, 2, NOW - 1),
            {"execute_after": NOW, "created_at": NOW - 9},
            "in-time: its attempt 1 (token 2) was claimed at 22:13:19.999999 UTC; "
            f"its execute_after is {BEGIN} UTC",
        ),
        (
            [],
            leased(1, 1, NOW),
            {"expire_on": NOW},
            f"in-time: its attempt 1 (token 1) was claimed at {BEGIN} UTC; "
            f"its expire_on is {BEGIN} UTC, and nothing starts then",
        ),
        (
            [FAILED],
            leased(2, 3, LATER),
            {"max_attempts": 1},
            "attempts: it has an attempt 2 (token 3); it may have 1 at most",
        ),
        (
            [attempt(1, 1, AttemptOutcome.CANCELLED)],
            leased(2, 3, LATER),
            {},
            "transitions: its attempt 2 (token 3) was claimed, 0 changes after it was cancelled; "
            "only a ready job is claimed, and by the table it is cancelled then",
        ),
        (
            [],
            leased(2, 1, NOW),
            {},
            "attempts: its attempt 2 (token 1) has the wrong number; by those before, it is number 1",
        ),
        (
            [FAILED],
            {"state": JobState.READY, "attempt": 1, "version": 2},
            {"max_attempts": 1},
            "attempts: it is ready with 1 of 1 attempts spent; "
            "a job whose attempts are all spent has ended",
        ),
        (
            [LOST],
            {"state": JobState.READY, "attempt": 1, "version": 1},
            {},
            "versions: its version is 1, and it was 2 after its attempt 1; a version only grows",
        ),
        (
            [LOST],
            {"state": JobState.READY, "attempt": 2, "version": 3},
            {},
            "attempts: 2 of its attempts are spent; 0 or 1 are, by its attempts",
        ),
        (
            [FAILED],
            {"state": JobState.READY, "attempt": 2, "version": 2},
            {},
            "attempts: 2 of its attempts are spent; 1 are, by its attempts",
        ),
        (
            [FAILED],
            {"state": JobState.SCHEDULED, "attempt": 1, "version": 2, "due": LATER - 1},
            {},
            "in-time: it is due again at 22:13:21.999999 UTC, before its attempt ended; "
            f"a delay is counted from {END} UTC",
        ),
        (
            [FAILED],
            ENDED | {"ended_at": LATER + 1},
            {"max_attempts": 1},
            f"times: it ended at 22:13:22.000001 UTC, and its last attempt at {END} UTC; "
            "an attempt that ends its job ends when that does",
        ),
        (
            [],
            {"state": JobState.EXPIRED, "version": 1, "ended_at": NOW + 5, "reason": "too late"},
            {},
            "in-time: it has expired, and has no expire_on; without one a job waits for ever",
        ),
        (
            [],
            {"state": JobState.EXPIRED, "version": 1, "ended_at": NOW, "reason": "too late"},
            {"expire_on": NOW + SECOND},
            f"in-time: it expired at {BEGIN} UTC; it may start until {START} UTC",
        ),
        (
            [],
            leased(1, 1, NOW) | {"lease_until": NOW - 1},
            {},
            "times: its lease ended at 22:13:19.999999 UTC, before its claim; "
            f"it holds until {BEGIN} UTC at least",
        ),
    ],
)
def test_what_is_just_illegal_is_told(
    attempts: Sequence[RecordedAttempt],
    row: Mapping[str, Any],
    asked: Mapping[str, Any],
    words: str,
) -> None:
    assert said_of(attempts, row, asked) == f"job {to_uuid(JOB)} breaks {words}"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, None),
        (
            {"state": JobState.READY, "attempt": 0, "version": 0, "ended_at": None, "reason": None},
            "it is ready in the archive of 2023-11; only jobs that have ended are moved there",
        ),
        (
            {"is_of_month": False},
            "it is in the archive of 2023-11; a job lies in the month in which it was made",
        ),
        (
            {"is_looked_for": False},
            "its sequence 1 is beyond what the archive of 2023-11 is searched for; "
            "the table archive has the lowest and the highest sequence of each month",
        ),
    ],
)
def test_an_archive_has_ended_jobs_of_its_month_where_they_are_looked_for(
    row: Mapping[str, Any], words: str | None
) -> None:
    archived = ENDED | {"ended_at": LATER, "month": "2023-11"} | dict(row)
    attempts = [] if archived["state"] is JobState.READY else [FAILED]
    wanted = None if words is None else f"job {to_uuid(JOB)} breaks archive: {words}"
    assert said_of(attempts, archived, {"max_attempts": 1}) == wanted


def test_counts_are_told_where_they_differ() -> None:
    told = {(JobState.READY, "mail", "acme"): 1, (JobState.FAILED, "mail", ""): 1}
    found = {(JobState.READY, "mail", "acme"): 2, (JobState.READY, "other", ""): 3}
    assert [finding.sentence for finding in audit_counts(told, found)] == [
        "the count of failed jobs in queue 'mail' breaks counts: stats tells 1; there are 0",
        "the count of ready jobs in queue 'mail' of tenant 'acme' breaks counts: stats tells 1; there are 2",
        "the count of ready jobs in queue 'other' breaks counts: stats tells 0; there are 3",
    ]
    assert list(audit_counts(told, told)) == []


def test_what_a_state_lacks_is_all_told() -> None:
    of_state = {"state": JobState.FAILED, "version": 1}
    assert said_of([], of_state, {}) == (
        f"job {to_uuid(JOB)} breaks state-data: it has no ended_at and no reason; a job that is failed has ended_at, reason"
    )


def test_a_job_that_waits_for_its_callback_has_what_it_had_when_it_ran() -> None:
    row = {"state": JobState.WAITING, "attempt": 1, "version": 2, "callback": JOB, "node": "node-0"}
    assert said_of([attempt(1, 1, AttemptOutcome.SUCCEEDED)], row, {}) == (
        f"job {to_uuid(JOB)} breaks state-data: it has no claimed_at and no started_at and no reason; "
        "a job that is waiting has node, claimed_at, started_at, reason"
    )

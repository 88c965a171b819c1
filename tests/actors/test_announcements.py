"""Each fact about a job that a node runs says which job it is, and all else that the fact is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import attrs
import pytest

from trio_gusto import (
    AttemptOutcome,
    Fact,
    JobAwaitsCallback,
    JobClaimed,
    JobFinished,
    JobRetrying,
    JobStarted,
    JobState,
    LeaseRefused,
)
from trio_gusto.actors.announcements import attempt_over, job_claimed, job_started, lease_refused
from trio_gusto.model.ids import uuid7
from trio_gusto.model.instants import to_instant
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.model.outcomes import RETURNED, AttemptFailed, Outcome, describe
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Failed,
    Ready,
    Scheduled,
    State,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
CLAIMED_AT = to_instant(START)
NOW = to_instant(START + timedelta(seconds=7))
LATER = START + timedelta(seconds=60)

_ID, _CALLBACK = uuid7(1_000_000, 1), uuid7(1_000_000, 2)
CLAIMED = ClaimedJob(
    JobRequest(_ID, "work", "[]", created_at=0, max_attempts=3, queue="mail"),
    attempt=2,
    token=5,
    due=0,
    node="node 1",
    claimed_at=CLAIMED_AT,
)


def told(fact: Fact) -> tuple[type[Fact], dict[str, object]]:
    """The kind of a fact and its fields, but for those that say which job it is, which are checked."""
    fields = attrs.asdict(fact, recurse=False)
    which = {name: fields.pop(name) for name in ("job_id", "name", "queue", "attempt")}
    assert which == {"job_id": UUID(bytes=_ID), "name": "work", "queue": "mail", "attempt": 2}
    return type(fact), fields


def test_a_claim_is_told_as_of_the_instant_of_its_lease() -> None:
    assert told(job_claimed(CLAIMED)) == (JobClaimed, {"at": START, "node_id": "node 1"})


def test_a_start_is_told_as_of_the_instant_at_which_the_handler_was_entered() -> None:
    expected = {"at": START + timedelta(seconds=7), "node_id": "node 1"}
    assert told(job_started(CLAIMED, NOW)) == (JobStarted, expected)


def test_an_outcome_that_came_too_late_is_told_with_its_node() -> None:
    expected = {"at": LATER, "node_id": "node 1"}
    assert told(lease_refused(CLAIMED, LATER)) == (LeaseRefused, expected)


FAILED = AttemptFailed(ValueError("no"))
ERROR = describe(FAILED)


@pytest.mark.parametrize(
    ("outcome", "state", "kind", "fields"),
    [
        (
            RETURNED,
            AwaitingCallback(_CALLBACK, 0, 0, "node 1"),
            JobAwaitsCallback,
            {"callback_id": UUID(bytes=_CALLBACK)},
        ),
        *(
            (
                FAILED,
                kind(to_instant(LATER)),
                JobRetrying,
                {"outcome": AttemptOutcome.FAILED, "due": LATER, "error": ERROR},
            )
            for kind in (Scheduled, Ready)
        ),
        (
            RETURNED,
            Completed(0, 0, 0, "node 1"),
            JobFinished,
            {"state": JobState.COMPLETED, "reason": "", "error": None},
        ),
        (
            FAILED,
            Failed(0, "it failed"),
            JobFinished,
            {"state": JobState.FAILED, "reason": "it failed", "error": ERROR},
        ),
        (
            FAILED,
            Cancelled(0, "not needed"),
            JobFinished,
            {"state": JobState.CANCELLED, "reason": "not needed", "error": None},
        ),
    ],
)
def test_what_becomes_of_a_job_after_its_attempt_is_told_with_all_that_is_known_of_it(
    outcome: Outcome, state: State, kind: type[Fact], fields: dict[str, object]
) -> None:
    expected = {"at": START + timedelta(seconds=7), **fields}
    assert told(attempt_over(CLAIMED, outcome, NOW, state)) == (kind, expected)

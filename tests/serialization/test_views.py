"""A stored job as users look at it; looking never fails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest

from trio_gusto.model.attempts import attempts_of
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord, Details, JobRequest, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from trio_gusto.serialization.codec import Codec
from trio_gusto.serialization.registry import Registry
from trio_gusto.serialization.views import attempt_view, view

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def at(seconds: int) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def days() -> list[datetime]: ...  # type: ignore[empty-body]  # only its annotation counts


def request(**changes: Any) -> JobRequest:
    plain = JobRequest(JobId(UUID(int=7).bytes), "days", "[]", SECOND, 3)
    return attrs.evolve(plain, **changes)


RECORD = AttemptRecord(
    1, 1, "node-0", 2 * SECOND, 3 * SECOND, 4 * SECOND, AttemptOutcome.FAILED, JobError("E", "m")
)
COMPLETED = Completed(9 * SECOND, 8 * SECOND, 7 * SECOND, "node-1", '["2026-01-02T00:00:00"]')
PROCESSING = Processing("node-1", 7 * SECOND, 60 * SECOND)


def registry() -> Registry:
    made = Registry()
    made.add(days, name="days")
    return made


def look(state: State, history: tuple[AttemptRecord, ...] = (), **changes: Any) -> Any:
    stored = StoredJob(request(**changes), 1, state, len(history), 1, history)
    return view(stored, registry(), Codec())


def test_what_was_asked_for_is_shown_in_public_types() -> None:
    details = Details("ref", ("b", "a"), "ann", "u1", {"k": [1]})
    job = look(
        Scheduled(5 * SECOND),
        args='{"args":[1],"kwargs":{"a":[2]}}',
        execute_after=5 * SECOND,
        expire_on=6 * SECOND,
        timeout=1_500_000,
        queue="mail",
        priority=4,
        tenant="acme",
        details=details,
    )
    assert (job.id, job.name, job.args, job.kwargs) == (UUID(int=7), "days", (1,), {"a": [2]})
    assert (job.created_at, job.execute_after, job.expire_on) == (at(1), at(5), at(6))
    assert (job.queue, job.priority, job.tenant, job.timeout) == ("mail", 4, "acme", 1.5)
    assert (job.ref_id, job.tags, job.created_by) == ("ref", {"a", "b"}, "ann")
    assert (job.user_id, job.metadata) == ("u1", {"k": [1]})
    assert (job.attempt, job.max_attempts, job.state) == (0, 3, JobState.SCHEDULED)


@pytest.mark.parametrize("state", [Waiting(), Scheduled(1), Ready(1), PROCESSING])
def test_a_job_that_has_not_ended_has_no_end_no_result_and_no_reason(state: State) -> None:
    job = look(state)
    assert (job.ended_at, job.result, job.reason, job.state) == (None, None, "", state.word)


@pytest.mark.parametrize("kind", [Failed, Cancelled, Skipped, Expired])
def test_a_job_that_ended_without_a_result_says_why(kind: Any) -> None:
    job = look(kind(9 * SECOND, "because"))
    assert (job.ended_at, job.reason, job.state) == (at(9), "because", kind.word)


def test_the_result_is_typed_where_the_handler_is_known() -> None:
    assert look(COMPLETED).result == [datetime(2026, 1, 2)]  # noqa: DTZ001 - naive it was stored
    assert look(COMPLETED, name="gone").result == ["2026-01-02T00:00:00"]


def test_the_error_is_the_last_attempts_until_a_later_one_completes() -> None:
    assert look(Ready(1), (RECORD,)).error == JobError("E", "m")
    assert look(Failed(1, "all attempts failed"), (RECORD,)).error == JobError("E", "m")
    assert look(COMPLETED, (RECORD,)).error is None


def test_started_at_is_the_last_attempts() -> None:
    assert look(Ready(1)).started_at is None
    assert look(Ready(1), (RECORD,)).started_at == at(3)
    assert look(PROCESSING, (RECORD,)).started_at == at(7)
    assert look(COMPLETED, (RECORD,)).started_at == at(8)


def test_the_path_is_the_stored_one_or_the_handlers_or_read_from_the_name() -> None:
    stored = look(Ready(1), job_type="mail.Mailer", method_name="send")
    assert (stored.job_type, stored.method_name) == ("mail.Mailer", "send")
    known = look(Ready(1))
    assert (known.job_type, known.method_name) == (__name__, "days")
    unknown = look(Ready(1), name="shop.orders.pay")
    assert (unknown.job_type, unknown.method_name) == ("shop.orders", "pay")


def test_what_cannot_be_read_is_shown_as_the_text_that_is_stored() -> None:
    broken = attrs.evolve(COMPLETED, result="{")
    job = look(broken, args="[1")
    assert (job.args, job.kwargs, job.result) == (("[1",), {}, "{")
    assert look(Ready(1), args='{"other":1}').args == ({"other": 1},)


def test_an_attempt_that_is_over_is_shown_with_its_end() -> None:
    stored = StoredJob(request(), 1, COMPLETED, 2, 3, (RECORD,))
    first, last = (attempt_view(each, stored) for each in attempts_of(stored))
    assert (first.number, first.node_id, first.outcome) == (1, "node-0", AttemptOutcome.FAILED)
    assert (first.claimed_at, first.started_at, first.ended_at) == (at(2), at(3), at(4))
    assert first.error == JobError("E", "m")
    assert (last.number, last.node_id, last.outcome) == (2, "node-1", AttemptOutcome.SUCCEEDED)
    assert (last.claimed_at, last.started_at, last.ended_at) == (at(7), at(8), at(9))


def test_an_attempt_that_runs_has_no_end_and_no_outcome() -> None:
    stored = StoredJob(request(), 1, PROCESSING, 1, 1)
    (running,) = (attempt_view(each, stored) for each in attempts_of(stored))
    assert (running.number, running.claimed_at, running.ended_at) == (1, at(7), None)
    assert running.outcome is None

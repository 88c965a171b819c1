"""Which spans there are, and what they say."""

from __future__ import annotations

import pytest
import trio
from opentelemetry.trace import SpanKind, StatusCode

from tests.telemetry.ear import JOB_ID, Ear, Run
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import TRACER_NAME, Telemetry


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_attempt_is_a_span_named_by_the_reference(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    span = ear.span("ExecuteJob")
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == TRACER_NAME == "trio_gusto.job_queue"
    assert span.kind is SpanKind.CONSUMER
    assert span.attributes == {
        "job.tracking_id": str(to_uuid(JOB_ID)),
        "job.type": "shop",
        "job.method": "greet",
        "job.attempt": 1,
        "job.outcome": "succeeded",
        "job.status": "completed",
    }


def test_a_claim_is_a_span_of_its_own(ear: Ear, telemetry: Telemetry) -> None:
    batch = telemetry.batch_started(3)
    assert ear.spans("ProcessBatch") == []
    telemetry.batch_ended(batch)
    span = ear.span("ProcessBatch")
    assert span.attributes == {"batch.size": 3}
    assert span.parent is None


def test_a_batch_ends_once_however_often_it_is_said(ear: Ear, telemetry: Telemetry) -> None:
    batch = telemetry.batch_started(3)
    telemetry.batch_ended(batch)
    telemetry.batch_ended(batch)
    assert len(ear.spans("ProcessBatch")) == 1
    assert ear.count("gusto.batch.duration") == 1


def test_a_failure_marks_its_span_and_records_the_exception(ear: Ear, run: Run) -> None:
    try:
        raise ValueError("no such customer")
    except ValueError as error:
        run(AttemptOutcome.FAILED, JobState.SCHEDULED, error)
    span = ear.span("ExecuteJob")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "no such customer"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    assert span.attributes["job.status"] == "scheduled"
    (event,) = span.events
    assert event.name == "exception"
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ValueError"
    assert event.attributes["exception.message"] == "no such customer"
    assert "test_spans.py" in str(event.attributes["exception.stacktrace"])


def test_a_group_of_one_kind_goes_by_the_name_of_its_members(ear: Ear, run: Run) -> None:
    group = ExceptionGroup("nursery", [ValueError("a"), ExceptionGroup("b", [ValueError("c")])])
    run(AttemptOutcome.FAILED, JobState.FAILED, group)
    span = ear.span("ExecuteJob")
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    (event,) = span.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ExceptionGroup"
    assert "ValueError: c" in str(event.attributes["exception.stacktrace"])


def test_a_group_of_many_kinds_goes_by_its_own_name(ear: Ear, run: Run) -> None:
    group = ExceptionGroup("nursery", [ValueError("a"), KeyError("b")])
    run(AttemptOutcome.FAILED, JobState.FAILED, group)
    attributes = ear.span("ExecuteJob").attributes
    assert attributes is not None
    assert attributes["error.type"] == "ExceptionGroup"


def test_an_exception_without_words_is_recorded_all_the_same(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.FAILED, JobState.FAILED, Unspeakable())
    (event,) = ear.span("ExecuteJob").events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "<its str() raised RuntimeError>"


def test_a_timeout_says_so(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.TIMED_OUT, JobState.SCHEDULED, None)
    span = ear.span("ExecuteJob")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "TimedOut"


async def test_a_cancelled_attempt_says_so(ear: Ear, run: Run) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as cancelled:
            run(AttemptOutcome.CANCELLED, JobState.CANCELLED, cancelled)
            raise
    span = ear.span("ExecuteJob")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "Cancelled"
    assert span.events == ()


@pytest.mark.parametrize("outcome", [AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED])
def test_interruption_is_no_error(ear: Ear, run: Run, outcome: AttemptOutcome) -> None:
    run(outcome, JobState.READY)
    span = ear.span("ExecuteJob")
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes is not None
    assert span.attributes["job.outcome"] == outcome.value
    assert "error.type" not in span.attributes

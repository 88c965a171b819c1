"""How a trace goes from the enqueuer to the handler."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from tests.telemetry.ear import Claim, Ear, HandClock, span_in
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import Telemetry


@pytest.fixture
def enqueued(ear: Ear, telemetry: Telemetry) -> tuple[trace.SpanContext, dict[str, str]]:
    """The span of an enqueuer, and what it sent along with its job."""
    with ear.tracer_provider.get_tracer("web").start_as_current_span("request") as span:
        carrier = telemetry.carrier()
    assert carrier is not None
    return span.get_span_context(), carrier


def test_outside_of_a_trace_nothing_travels(telemetry: Telemetry) -> None:
    assert telemetry.carrier() is None


def test_inside_a_trace_its_context_travels_as_text(
    enqueued: tuple[trace.SpanContext, dict[str, str]],
) -> None:
    span, carrier = enqueued
    assert f"{span.trace_id:032x}-{span.span_id:016x}" in carrier["traceparent"]


def test_the_first_attempt_is_a_child_of_the_enqueuer(
    ear: Ear,
    telemetry: Telemetry,
    handler: contextvars.Context,
    claim: Claim,
    enqueued: tuple[trace.SpanContext, dict[str, str]],
) -> None:
    origin, carrier = enqueued
    job = telemetry.job_started(handler, claim(carrier=carrier), "shop", "greet")
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    span = ear.span("ExecuteJob")
    assert span.parent is not None
    assert span.parent.span_id == origin.span_id
    assert span.context is not None
    assert span.context.trace_id == origin.trace_id
    assert span.links == ()


def test_a_retry_begins_a_new_trace_that_links_to_the_enqueuer(
    ear: Ear,
    telemetry: Telemetry,
    handler: contextvars.Context,
    claim: Claim,
    enqueued: tuple[trace.SpanContext, dict[str, str]],
) -> None:
    origin, carrier = enqueued
    job = telemetry.job_started(handler, claim(carrier=carrier, attempt=2), "shop", "greet")
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    span = ear.span("ExecuteJob")
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_id != origin.trace_id
    (link,) = span.links
    assert link.context.span_id == origin.span_id


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_job_enqueued_outside_of_a_trace_begins_one(
    ear: Ear, telemetry: Telemetry, handler: contextvars.Context, claim: Claim, attempt: int
) -> None:
    job = telemetry.job_started(handler, claim(attempt=attempt), "shop", "greet")
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    span = ear.span("ExecuteJob")
    assert span.parent is None
    assert span.links == ()


def test_a_carrier_that_says_nothing_sensible_is_no_trace(
    ear: Ear, telemetry: Telemetry, handler: contextvars.Context, claim: Claim
) -> None:
    claimed = claim(carrier={"traceparent": "garbage"}, attempt=2)
    job = telemetry.job_started(handler, claimed, "shop", "greet")
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    span = ear.span("ExecuteJob")
    assert span.parent is None
    assert span.links == ()


def test_the_handler_sees_its_own_span_and_nobody_else_does(
    ear: Ear, telemetry: Telemetry, handler: contextvars.Context, claim: Claim
) -> None:
    job = telemetry.job_started(handler, claim(), "shop", "greet")
    assert not trace.get_current_span().get_span_context().is_valid
    seen = span_in(handler)
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    assert ear.span("ExecuteJob").context == seen


def test_a_span_of_the_host_is_not_taken_for_a_parent(
    ear: Ear, telemetry: Telemetry, claim: Claim
) -> None:
    with ear.tracer_provider.get_tracer("host").start_as_current_span("start-up"):
        handler = contextvars.copy_context()
        job = telemetry.job_started(handler, claim(), "shop", "greet")
        batch = telemetry.batch_started(1)
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    telemetry.batch_ended(batch)
    assert ear.span("ExecuteJob").parent is None
    assert ear.span("ProcessBatch").parent is None


@pytest.mark.parametrize("attempt", [1, 2])
def test_baggage_of_the_enqueuer_reaches_the_handler(
    ear: Ear, telemetry: Telemetry, handler: contextvars.Context, claim: Claim, attempt: int
) -> None:
    token = context.attach(baggage.set_baggage("customer", "ann"))
    with ear.tracer_provider.get_tracer("web").start_as_current_span("request"):
        carrier = telemetry.carrier()
    context.detach(token)
    telemetry.job_started(handler, claim(carrier=carrier, attempt=attempt), "shop", "greet")
    assert handler.run(baggage.get_baggage, "customer") == "ann"


def test_a_trace_that_is_not_sampled_stays_so_inside_the_handler(
    handler: contextvars.Context, claim: Claim
) -> None:
    telemetry = Telemetry.create(
        TracerProvider(ALWAYS_OFF, shutdown_on_exit=False), clock=HandClock()
    )
    assert telemetry is not None
    job = telemetry.job_started(handler, claim(), "shop", "greet")
    assert span_in(handler).is_valid
    assert not span_in(handler).trace_flags.sampled
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)

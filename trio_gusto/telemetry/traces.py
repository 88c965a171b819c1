"""Spans: one for each claim that took something, one for each attempt.

Rules. The trace context of whoever enqueued a job travels with it: the first attempt is a child of
that span, every later one begins a trace of its own with a link back, so that a job retried for
days does not stretch a request's trace. A handler sees its span, and the baggage that came with the
job, as the current ones; nothing of the host's own context leaks in. Only what went wrong marks a
span as an error: an attempt that is snoozed, or given back by a stopping node, did not.
"""

from __future__ import annotations

import contextvars

from opentelemetry import propagate
from opentelemetry.context import Context, attach
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from ..model.failure import JobError
from ..model.ids import to_uuid
from ..model.job import ClaimedJob
from ..model.outcomes import AttemptOutcome
from ..model.states import JobState
from . import names

NO_CONTEXT = Context()
"""Says "no parent"; leaving the context out would mean whatever span happens to be current."""


def carrier_of_here() -> dict[str, str] | None:
    """The current trace context as headers, to travel with a job; ``None`` outside of a trace."""
    if not get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier or None


class Traces:
    """Starts and ends the spans of one app."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_batch(self, size: int) -> Span:
        """Begin the span of a claim that took ``size`` jobs."""
        return self._tracer.start_span(
            names.PROCESS_BATCH, NO_CONTEXT, attributes={names.BATCH_SIZE: size}
        )

    def start_job(
        self, handler: contextvars.Context, claimed: ClaimedJob, labels: dict[str, str]
    ) -> tuple[Span, Context]:
        """Begin the span of an attempt, and make it the current one where the handler will run."""
        request = claimed.request
        origin = NO_CONTEXT
        if request.details is not None and request.details.carrier:
            origin = propagate.extract(request.details.carrier, NO_CONTEXT)
        first = claimed.attempt == 1
        span = self._tracer.start_span(
            names.EXECUTE_JOB,
            origin if first else NO_CONTEXT,
            SpanKind.CONSUMER,
            {
                **labels,
                names.JOB_TRACKING_ID: str(to_uuid(request.id)),
                names.JOB_ATTEMPT: claimed.attempt,
            },
            () if first or origin is NO_CONTEXT else _links(origin),
        )
        context = set_span_in_context(span, origin)
        handler.run(attach, context)
        return span, context

    def end_job(
        self,
        span: Span,
        outcome: AttemptOutcome,
        state: JobState,
        error: BaseException | None,
        error_type: str | None,
    ) -> None:
        """End the span of an attempt; ``error_type`` is ``None`` unless something went wrong."""
        try:
            if span.is_recording():
                span.set_attribute(names.JOB_OUTCOME, outcome.value)
                span.set_attribute(names.JOB_STATUS, state.value)
                if error_type is not None:
                    _mark(span, outcome, error, error_type)
        finally:
            span.end()


def _links(origin: Context) -> list[Link]:
    there = get_current_span(origin).get_span_context()
    return [Link(there)] if there.is_valid else []


def _mark(
    span: Span, outcome: AttemptOutcome, error: BaseException | None, error_type: str
) -> None:
    """Mark a span as an error; OpenTelemetry does it for no `BaseException`, such as `Cancelled`."""
    span.set_attribute(names.ERROR_TYPE, error_type)
    if outcome is not AttemptOutcome.FAILED or error is None:
        span.set_status(StatusCode.ERROR, f"the attempt ended as {outcome.value}")
        return
    # The SDK's own `record_exception` calls the exception's `__str__`, which may raise, and sets
    # no limit to what it keeps.
    described = JobError.of(error)
    span.set_status(StatusCode.ERROR, described.message)
    span.add_event(
        names.EXCEPTION,
        {
            names.EXCEPTION_TYPE: described.type,
            names.EXCEPTION_MESSAGE: described.message,
            names.EXCEPTION_STACKTRACE: "\n".join(_stacktrace(described)),
        },
    )


def _stacktrace(error: JobError) -> list[str]:
    lines = ["Traceback (most recent call last):", *error.traceback.splitlines()]
    lines.append(f"{error.type}: {error.message}")
    for child in error.children:
        lines.extend(f"  | {line}" for line in _stacktrace(child))
    return lines

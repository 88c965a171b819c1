"""`Telemetry`: what actors tell while they work, turned into spans and metrics.

It has the methods that actors expect of an observer, and knows no actor. Nothing in here can harm
the work: whatever a tracer, an exporter or a processor of spans raises is logged once and passed
over. An app without OpenTelemetry's SDK has no `Telemetry` at all, and pays for a look at ``None``.
"""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from opentelemetry import metrics, trace
from opentelemetry.context import Context

from ..clock import Clock, SystemClock
from ..model.errors import NotSupported
from ..model.failure import leaves, qualified_name
from ..model.job import ClaimedJob
from ..model.outcomes import AttemptOutcome
from ..model.states import JobState
from ..storage.finding_messages import Tallied
from .guard import Guard
from .metrics import JobLabels, Metrics
from .names import METER_NAME, TRACER_NAME
from .traces import Traces, carrier_of_here

REFRESH = 15.0
"""Seconds between two counts of the queue, at least."""

COUNTING_SHARE = 0.02
"""The share of time that counting may take at most; storages count by looking at every job."""

Provider = TypeVar("Provider")


class RunningBatch:
    """A claim whose jobs have not all settled."""

    __slots__ = ("ended", "span", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.span: trace.Span | None = None
        self.ended = False


class RunningJob:
    """An attempt that has not ended."""

    __slots__ = ("context", "labels", "span", "started")

    def __init__(self, labels: JobLabels, started: float) -> None:
        self.labels = labels
        self.started = started
        self.span: trace.Span | None = None
        self.context: Context | None = None


class Telemetry:
    """The observer of one running app. Made by `create`."""

    def __init__(self, traces: Traces | None, metrics: Metrics | None, clock: Clock) -> None:
        self._traces = traces
        self._metrics = metrics
        self._clock = clock
        self._labels: dict[tuple[str, str], JobLabels] = {}
        self._guard = Guard()

    @classmethod
    def create(
        cls,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        clock: Clock | None = None,
    ) -> Telemetry | None:
        """Telemetry for an app that starts to run, or ``None`` if nobody would receive any.

        A provider left out means OpenTelemetry's global one, as it is now; a global provider that
        was never set receives nothing. Traces and metrics do not depend on each other.
        ``clock`` times the work; by default that is the machine's.
        """
        tracing = _unless_stand_in(tracer_provider or trace.get_tracer_provider())
        metering = _unless_stand_in(meter_provider or metrics.get_meter_provider())
        tracer = None if tracing is None else tracing.get_tracer(TRACER_NAME)
        meter = None if metering is None else metering.get_meter(METER_NAME)
        # An SDK that is switched off, by OTEL_SDK_DISABLED for one, hands out these.
        traces = None if tracer is None or isinstance(tracer, trace.NoOpTracer) else Traces(tracer)
        measures = None if meter is None or isinstance(meter, metrics.NoOpMeter) else Metrics(meter)
        if traces is None and measures is None:
            return None
        return cls(traces, measures, clock or SystemClock())

    # --- what the enqueuer asks ---

    def carrier(self) -> dict[str, str] | None:
        """The current trace context, to be kept with a job; ``None`` outside of a trace."""
        with self._guard:
            return carrier_of_here()
        return None

    # --- what actors tell ---

    def batch_started(self, size: int) -> object:
        """A claim took ``size`` jobs; the answer is given back to `batch_ended`."""
        batch = RunningBatch(self._clock.monotonic())
        if self._traces is not None:
            with self._guard:
                batch.span = self._traces.start_batch(size)
        if self._metrics is not None:
            with self._guard:
                self._metrics.batch_started(size)
        return batch

    def batch_ended(self, batch: object) -> None:
        """All jobs of the claim have settled. Only the first time counts."""
        if not isinstance(batch, RunningBatch) or batch.ended:
            return
        batch.ended = True
        if self._metrics is not None:
            with self._guard:
                self._metrics.batch_ended(self._clock.monotonic() - batch.started)
        if batch.span is not None:
            with self._guard:
                batch.span.end()

    def job_started(
        self, context: contextvars.Context, claimed: ClaimedJob, job_type: str, method_name: str
    ) -> object:
        """A handler is about to be entered in ``context``; the answer goes to `job_ended`."""
        labels = self._labels.get((job_type, method_name))
        if labels is None:
            labels = JobLabels.of(job_type, method_name)
            self._labels[job_type, method_name] = labels
        job = RunningJob(labels, self._clock.monotonic())
        if self._traces is not None:
            with self._guard:
                job.span, job.context = self._traces.start_job(context, claimed, labels.plain)
        if self._metrics is not None:
            with self._guard:
                waited = self._clock.instant() - claimed.due
                self._metrics.job_started(claimed.request.queue, waited, job.context)
        return job

    def job_ended(
        self, span: object, outcome: AttemptOutcome, state: JobState, error: BaseException | None
    ) -> None:
        """The attempt is over; ``state`` is what becomes of the job."""
        if not isinstance(span, RunningJob):
            return
        job = span
        error_type = None
        with self._guard:
            error_type = error_type_of(outcome, error)
        if self._metrics is not None:
            with self._guard:
                seconds = self._clock.monotonic() - job.started
                self._metrics.job_ended(
                    job.labels, outcome, state, seconds, error_type, job.context
                )
        if self._traces is not None and job.span is not None:
            with self._guard:
                self._traces.end_job(job.span, outcome, state, error, error_type)

    def renewal_failed(self) -> None:
        """Leases could not be renewed."""
        if self._metrics is not None:
            with self._guard:
                self._metrics.renewal_failed()

    def loop_blocked(self, seconds: float) -> None:
        """The event loop stood still."""
        if self._metrics is not None:
            with self._guard:
                self._metrics.loop_blocked(seconds)

    # --- what it asks itself ---

    async def run(
        self,
        tally: Callable[[], Awaitable[Tallied]],
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keep the gauges of the queue fresh with what ``tally`` counts, until cancelled.

        Returns at once where nobody receives metrics, and where the storage cannot count.
        """
        task_status.started()
        if self._metrics is None:
            return
        while True:
            asked_at = self._clock.monotonic()
            with self._guard:
                try:
                    self._metrics.note_depth(await tally(), self._clock.instant())
                except NotSupported:
                    return
            took = self._clock.monotonic() - asked_at
            await trio.sleep(max(REFRESH, took / COUNTING_SHARE))


def error_type_of(outcome: AttemptOutcome, error: BaseException | None) -> str | None:
    """What went wrong, in one word; ``None`` if nothing did.

    Nurseries wrap what their tasks raise into groups, so a group whose members are all of one class
    goes by the name of that class.
    """
    match outcome:
        case AttemptOutcome.TIMED_OUT:
            return "TimedOut"
        case AttemptOutcome.CANCELLED:
            return "Cancelled"
        case AttemptOutcome.FAILED if error is not None:
            kinds = {type(leaf) for leaf in leaves(error)}
            return qualified_name(kinds.pop() if len(kinds) == 1 else type(error))
        case AttemptOutcome.FAILED:
            return "unknown"
        case _:
            return None


def _unless_stand_in(provider: Provider) -> Provider | None:
    """``None`` for what OpenTelemetry's API hands out as long as nobody has set a real provider."""
    room = type(provider).__module__
    return None if room.startswith(("opentelemetry.trace", "opentelemetry.metrics")) else provider

"""Metrics: counters and histograms of work done, gauges of work that waits.

Rules. All instruments are synchronous: a second app on the same provider, or the same app run
again, adds to them, where a second observable instrument of a name is passed over in silence; and
no exporter's thread ever calls in here. The attributes take few values each: never a job's id, a
tenant, or a message. Durations are in milliseconds.
"""

from __future__ import annotations

import attrs
from opentelemetry.context import Context
from opentelemetry.metrics import Meter

from ..model.instants import MICROSECONDS
from ..model.outcomes import AttemptOutcome
from ..model.states import JobState
from ..storage.finding_messages import Tallied
from . import names

MILLISECONDS = 1000
"""Milliseconds in one second."""

DURATIONS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1e3, 2.5e3, 5e3, 1e4, 3e4, 6e4, 3e5, 6e5, 3.6e6)
"""Bounds of histograms of durations: a millisecond to an hour."""

SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Bounds of the histogram of batch sizes."""

WAITING_STATES = frozenset(state for state in JobState if not state.is_ended)


@attrs.define
class JobLabels:
    """The attributes of one handler's measurements, built once."""

    plain: dict[str, str]
    by_status: dict[JobState, dict[str, str]]

    @classmethod
    def of(cls, job_type: str, method_name: str) -> JobLabels:
        """Build them for a handler."""
        plain = {names.JOB_TYPE: job_type, names.JOB_METHOD: method_name}
        by_status = {state: {**plain, names.JOB_STATUS: state.value} for state in JobState}
        return cls(plain, by_status)


class Metrics:
    """The instruments of one app."""

    def __init__(self, meter: Meter) -> None:
        self._processed = meter.create_counter(
            names.JOBS_PROCESSED, "{job}", "Attempts whose handler returned"
        )
        self._failed = meter.create_counter(
            names.JOBS_FAILED, "{job}", "Attempts whose handler raised, or ran out of time"
        )
        self._job_duration = meter.create_histogram(
            names.JOB_DURATION,
            "ms",
            "How long an attempt ran",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._start_latency = meter.create_histogram(
            names.JOB_START_LATENCY,
            "ms",
            "From the instant a job was due to its handler being entered",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._batch_duration = meter.create_histogram(
            names.BATCH_DURATION,
            "ms",
            "From the claim of a batch until all its jobs had settled",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._batch_size = meter.create_histogram(
            names.BATCH_SIZE_METRIC,
            "{job}",
            "Jobs taken by one claim",
            explicit_bucket_boundaries_advisory=SIZES,
        )
        self._renewal_failures = meter.create_counter(
            names.LEASE_RENEWAL_FAILURES, "{failure}", "Renewals of leases that did not succeed"
        )
        self._loop_lag = meter.create_histogram(
            names.LOOP_LAG,
            "ms",
            "How long the event loop stood still, each time it did",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._depth = meter.create_gauge(
            names.QUEUE_DEPTH, "{job}", "Jobs that have not ended, by queue and state"
        )
        self._oldest_ready_age = meter.create_gauge(
            names.QUEUE_OLDEST_READY_AGE, "ms", "How long the job that waits longest has been due"
        )
        self._depths: dict[tuple[str, JobState], int] = {}
        self._latency_labels: dict[str, dict[str, str]] = {}

    def batch_started(self, size: int) -> None:
        """A claim took ``size`` jobs."""
        self._batch_size.record(size)

    def batch_ended(self, seconds: float) -> None:
        """All jobs of a claim have settled, so long after it."""
        self._batch_duration.record(seconds * MILLISECONDS)

    def job_started(self, queue: str, waited: int, context: Context | None) -> None:
        """A handler is about to be entered, ``waited`` microseconds after its job was due."""
        labels = self._latency_labels.get(queue)
        if labels is None:
            labels = self._latency_labels[queue] = {names.JOB_QUEUE: queue}
        milliseconds = max(0, waited) * MILLISECONDS / MICROSECONDS
        self._start_latency.record(milliseconds, labels, context)

    def job_ended(
        self,
        labels: JobLabels,
        outcome: AttemptOutcome,
        state: JobState,
        seconds: float,
        error_type: str | None,
        context: Context | None,
    ) -> None:
        """An attempt ran for ``seconds``, and ``state`` is what became of its job."""
        self._job_duration.record(seconds * MILLISECONDS, labels.by_status[state], context)
        match outcome:
            case AttemptOutcome.SUCCEEDED:
                self._processed.add(1, labels.plain, context)
            case AttemptOutcome.FAILED | AttemptOutcome.TIMED_OUT:
                attributes = {**labels.plain, names.EXCEPTION_TYPE: error_type or "unknown"}
                self._failed.add(1, attributes, context)
            case _:
                pass  # called off or put off: neither a success nor a failure

    def renewal_failed(self) -> None:
        """Leases could not be renewed."""
        self._renewal_failures.add(1)

    def loop_blocked(self, seconds: float) -> None:
        """The event loop stood still for ``seconds``."""
        self._loop_lag.record(seconds * MILLISECONDS)

    def note_depth(self, tallied: Tallied, now: int) -> None:
        """Set the gauges from a fresh count of the storage's jobs, made at the instant ``now``."""
        depths = dict.fromkeys(self._depths, 0)  # what is gone since then goes down to nothing
        for (state, queue, _), count in tallied.counts.items():
            if state in WAITING_STATES:
                depths[queue, state] = depths.get((queue, state), 0) + count
        for (queue, state), count in depths.items():
            self._depth.set(count, {names.JOB_QUEUE: queue, names.JOB_STATUS: state.value})
        self._depths = depths
        oldest = tallied.oldest_ready
        age = 0 if oldest is None else max(0, now - oldest)
        self._oldest_ready_age.set(age * MILLISECONDS / MICROSECONDS)

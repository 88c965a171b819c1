"""Fixtures of the telemetry tests: own providers, never the global ones."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.telemetry.ear import JOB_ID, START, Claim, Ear, HandClock, Run
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import Telemetry


@pytest.fixture
def ear() -> Iterator[Ear]:
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)
    yield Ear(exporter, tracer_provider, reader, meter_provider)
    tracer_provider.shutdown()
    meter_provider.shutdown()


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def telemetry(ear: Ear, clock: HandClock) -> Telemetry:
    made = Telemetry.create(ear.tracer_provider, ear.meter_provider, clock=clock)
    assert made is not None
    return made


@pytest.fixture
def claim() -> Claim:
    """Makes claimed jobs: due at the start of the test's time, first attempt, queue "mail"."""

    def make(
        *,
        attempt: int = 1,
        carrier: Mapping[str, str] | None = None,
        job_id: JobId = JOB_ID,
        due: int = START,
    ) -> ClaimedJob:
        details = None if carrier is None else Details(carrier=carrier)
        request = JobRequest(job_id, "shop.greet", "[]", START, 10, queue="mail", details=details)
        return ClaimedJob(request, attempt, 1, due, "node", START)

    return make


@pytest.fixture
def handler() -> contextvars.Context:
    """The context of a handler that is about to be entered."""
    return contextvars.Context()


@pytest.fixture
def run(telemetry: Telemetry, clock: HandClock, handler: contextvars.Context, claim: Claim) -> Run:
    """Lets a handler run, to the end that the test gives it."""

    def run(
        outcome: AttemptOutcome,
        state: JobState,
        error: BaseException | None = None,
        *,
        seconds: float = 0.25,
    ) -> None:
        job = telemetry.job_started(handler, claim(), "shop", "greet")
        clock.advance(seconds)
        telemetry.job_ended(job, outcome, state, error)

    return run

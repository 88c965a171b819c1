"""OpenTelemetry shows what the jobs did, through the providers that the app was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from trio_gusto import Gusto, JobFailed, MemoryStorage, Options, Storage, fixed
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.testing import Asked, Fault, FaultyStorage


@attrs.define
class Observatory:
    """An app, and what it told OpenTelemetry."""

    app: Gusto
    tracer: trace.Tracer
    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    make: Callable[[Storage], Gusto]
    """Another app that tells it to the same."""

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def measured(self) -> dict[str, float]:
        """What each counter has counted, and how often each histogram was used."""
        data = self.reader.get_metrics_data()
        assert data is not None
        counts: dict[str, float] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics:
            for point in metric.data.data_points:
                if isinstance(point, NumberDataPoint):
                    counts[metric.name] = counts.get(metric.name, 0) + point.value
                elif isinstance(point, HistogramDataPoint):
                    counts[metric.name] = counts.get(metric.name, 0) + point.count
        return counts


@pytest.fixture
def observatory() -> Iterator[Observatory]:
    exporter = InMemorySpanExporter()
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader], shutdown_on_exit=False)

    def make(storage: Storage) -> Gusto:
        return Gusto(
            storage,
            options=Options(concurrency=2, lease=30),
            tracer_provider=tracer_provider,
            meter_provider=meter_provider,
        )

    tracer = tracer_provider.get_tracer("web")
    yield Observatory(make(MemoryStorage()), tracer, exporter, reader, make)
    tracer_provider.shutdown()
    meter_provider.shutdown()


async def test_a_job_that_succeeds_is_one_span_and_one_processed_job(
    observatory: Observatory,
) -> None:
    @observatory.app.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with observatory.app.running() as queue:
        ref = await queue.enqueue(greet, "Ann")
        await ref.result()
    (span,) = observatory.spans("ExecuteJob")
    assert span.attributes is not None
    assert span.attributes["job.tracking_id"] == str(ref.id)
    assert span.attributes["job.type"] == greet.__module__
    assert str(span.attributes["job.method"]).endswith("greet")
    assert span.attributes["job.status"] == "completed"
    (batch,) = observatory.spans("ProcessBatch")
    assert batch.attributes == {"batch.size": 1}
    measured = observatory.measured()
    assert measured["gusto.jobs.processed"] == 1
    assert measured["gusto.job.duration"] == 1
    assert measured["gusto.job.start_latency"] == 1
    assert measured["gusto.batch.size"] == measured["gusto.batch.duration"] == 1
    assert "gusto.jobs.failed" not in measured


async def test_the_trace_goes_from_the_request_through_the_job_to_what_the_handler_does(
    observatory: Observatory,
) -> None:
    @observatory.app.job
    async def work() -> None:
        async def inside() -> None:
            with observatory.tracer.start_as_current_span("inside"):
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(inside)

    @observatory.app.job
    def work_in_thread() -> None:
        with observatory.tracer.start_as_current_span("inside"):
            pass

    for handler in (work, work_in_thread):
        observatory.exporter.clear()
        async with observatory.app.running() as queue:
            with observatory.tracer.start_as_current_span("request") as request:
                ref = await queue.enqueue(handler)
            await ref.result()
        (job,) = observatory.spans("ExecuteJob")
        (inside,) = observatory.spans("inside")
        assert job.context is not None
        assert job.parent is not None
        assert inside.parent is not None
        assert job.parent.span_id == request.get_span_context().span_id
        assert inside.parent.span_id == job.context.span_id
        assert inside.parent.trace_id == request.get_span_context().trace_id


async def test_failures_are_shown_and_the_retry_is_a_trace_of_its_own(
    observatory: Observatory,
) -> None:
    @observatory.app.job(max_attempts=2, retry=fixed(0))
    async def fail() -> None:
        raise ValueError("no such customer")

    async with observatory.app.running() as queue:
        with observatory.tracer.start_as_current_span("request") as request:
            ref = await queue.enqueue(fail)
        with pytest.raises(JobFailed):
            await ref.result()
    first, second = observatory.spans("ExecuteJob")
    for span in (first, second):
        assert span.status.status_code is StatusCode.ERROR
        assert [event.name for event in span.events] == ["exception"]
    origin = request.get_span_context()
    assert first.parent is not None
    assert first.parent.span_id == origin.span_id
    assert second.parent is None
    assert [link.context.span_id for link in second.links] == [origin.span_id]
    measured = observatory.measured()
    assert measured["gusto.jobs.failed"] == 2
    assert "gusto.jobs.processed" not in measured


async def test_jobs_of_one_node_do_not_see_each_others_spans(observatory: Observatory) -> None:
    seen: list[int] = []

    @observatory.app.job
    async def look() -> None:
        await trio.lowlevel.checkpoint()
        seen.append(trace.get_current_span().get_span_context().span_id)

    async with observatory.app.running() as queue:
        for ref in [await queue.enqueue(look) for _ in range(5)]:
            await ref.result()
        assert not trace.get_current_span().get_span_context().is_valid
    spans = observatory.spans("ExecuteJob")
    assert sorted(seen) == sorted(span.context.span_id for span in spans if span.context)
    assert len(set(seen)) == 5


async def test_an_app_that_runs_again_goes_on_counting(observatory: Observatory) -> None:
    @observatory.app.job
    async def greet() -> None: ...

    for _ in range(2):
        async with observatory.app.running() as queue:
            await (await queue.enqueue(greet)).result()
    assert observatory.measured()["gusto.jobs.processed"] == 2


async def test_renewals_that_fail_are_counted(
    observatory: Observatory, autojump_clock: MockClock
) -> None:
    def refuse(asked: Asked) -> Fault | None:
        return Fault() if any(isinstance(it, Renew) for it in asked.messages) else None

    storage = FaultyStorage(MemoryStorage(), refuse)
    app = observatory.make(storage)

    @app.job
    async def long() -> None:
        await trio.sleep(25)

    async with app.running() as queue:
        await (await queue.enqueue(long)).wait()
    assert len(storage.happened) == 2
    assert observatory.measured()["gusto.lease.renewal_failures"] == 2

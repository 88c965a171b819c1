"""What the telemetry tests listen with, and the words they use."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trio_gusto.clock import Clock
from trio_gusto.model.ids import uuid7
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState

JOB_ID = uuid7(1_800_000_000_000_000_000, 7)
START = 1_800_000_000 * MICROSECONDS

Point = NumberDataPoint | HistogramDataPoint
Claim = Callable[..., ClaimedJob]
"""Makes a claimed job; see the fixture."""


class Run(Protocol):
    """Lets a handler run for ``seconds`` and end so."""

    def __call__(
        self,
        outcome: AttemptOutcome,
        state: JobState,
        error: BaseException | None = None,
        *,
        seconds: float = 0.25,
    ) -> None: ...


class HandClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.elapsed = 0

    def nanoseconds(self) -> int:
        return (START + self.elapsed) * 1000

    def monotonic(self) -> float:
        return self.elapsed / MICROSECONDS

    def advance(self, seconds: float) -> None:
        self.elapsed += round(seconds * MICROSECONDS)


@attrs.define
class Ear:
    """Everything that one app's telemetry said."""

    exporter: InMemorySpanExporter
    tracer_provider: TracerProvider
    reader: InMemoryMetricReader
    meter_provider: MeterProvider

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span

    def points(self, name: str) -> list[Point]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
            if isinstance(point, NumberDataPoint | HistogramDataPoint)
        ]

    def values(self, name: str) -> dict[tuple[object, ...], float]:
        """What a counter or gauge shows: by the values of its attributes, sorted by their keys."""
        return {
            _key(point.attributes): point.value
            for point in self.points(name)
            if isinstance(point, NumberDataPoint)
        }

    def sums(self, name: str) -> dict[tuple[object, ...], float]:
        """What a histogram adds up to, by the same keys."""
        return {
            _key(point.attributes): point.sum
            for point in self.points(name)
            if isinstance(point, HistogramDataPoint)
        }

    def count(self, name: str) -> int:
        """How many measurements a histogram took."""
        return sum(
            point.count for point in self.points(name) if isinstance(point, HistogramDataPoint)
        )


def _key(attributes: Mapping[str, object] | None) -> tuple[object, ...]:
    return tuple(value for _, value in sorted((attributes or {}).items()))


def span_in(context: contextvars.Context) -> trace.SpanContext:
    """The span that code running in ``context`` sees as the current one."""
    return context.run(trace.get_current_span).get_span_context()

"""Telemetry that fails harms no job: its failures are logged once and passed over."""

from __future__ import annotations

import contextvars
import logging

import pytest
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import get_current_span

from tests.telemetry.ear import Claim, Ear, HandClock
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import Telemetry


class Broken(SpanProcessor):
    """Fails at the start of spans, at their end, or both."""

    def __init__(self, *, start: bool = True, end: bool = True) -> None:
        self._start = start
        self._end = end

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._start:
            raise OSError("the collector is gone")

    def on_end(self, span: ReadableSpan) -> None:
        if self._end:
            raise OSError("the collector is gone")


def telemetry_over(processor: SpanProcessor, ear: Ear) -> Telemetry:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    telemetry = Telemetry.create(provider, ear.meter_provider, clock=HandClock())
    assert telemetry is not None
    return telemetry


def work(telemetry: Telemetry, claim: Claim) -> None:
    batch = telemetry.batch_started(1)
    job = telemetry.job_started(contextvars.Context(), claim(), "shop", "greet")
    telemetry.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    telemetry.batch_ended(batch)


@pytest.mark.parametrize("broken", [Broken(end=False), Broken(start=False), Broken()])
def test_broken_traces_take_no_metric_with_them(ear: Ear, claim: Claim, broken: Broken) -> None:
    telemetry = telemetry_over(broken, ear)
    for _ in range(3):
        work(telemetry, claim)
    assert ear.values("gusto.jobs.processed") == {("greet", "shop"): 3}
    assert ear.count("gusto.batch.duration") == 3


def test_failures_are_logged_once(ear: Ear, claim: Claim, caplog: pytest.LogCaptureFixture) -> None:
    telemetry = telemetry_over(Broken(), ear)
    with caplog.at_level(logging.ERROR, "trio_gusto"):
        for _ in range(3):
            work(telemetry, claim)
    (record,) = caplog.records
    assert "no job is harmed" in record.message
    assert record.exc_info is not None


def test_a_broken_propagator_does_not_keep_a_job_from_being_enqueued(
    ear: Ear, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no propagator")

    monkeypatch.setattr(propagate, "inject", refuse)
    with ear.tracer_provider.get_tracer("web").start_as_current_span("request"):
        assert get_current_span().is_recording()
        assert telemetry.carrier() is None


def test_ctrl_c_goes_through(ear: Ear, claim: Claim) -> None:
    class Interrupted(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(telemetry_over(Interrupted(), ear), claim)


def test_what_was_never_handed_out_is_passed_over(ear: Ear, telemetry: Telemetry) -> None:
    telemetry.batch_ended(None)
    telemetry.job_ended(None, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    assert ear.exporter.get_finished_spans() == ()

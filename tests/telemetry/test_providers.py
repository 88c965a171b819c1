"""Who receives telemetry, and that an app which nobody listens to has none."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.trace import TracerProvider

from tests.telemetry.ear import Claim, Ear, HandClock
from trio_gusto.actors.probe import Observer
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import Telemetry


def as_observer(telemetry: Telemetry) -> Observer:
    """The type checkers' test: telemetry is what the actors call, though neither knows the other."""
    return telemetry


def work(telemetry: Telemetry, claimed: Claim) -> None:
    observer = as_observer(telemetry)
    batch = observer.batch_started(1)
    job = observer.job_started(contextvars.Context(), claimed(), "shop", "greet")
    observer.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    observer.batch_ended(batch)
    observer.renewal_failed()
    observer.loop_blocked(2)


def test_without_a_provider_there_is_no_telemetry() -> None:
    assert Telemetry.create() is None


def test_no_ops_given_by_hand_switch_telemetry_off() -> None:
    assert Telemetry.create(trace.NoOpTracerProvider(), metrics.NoOpMeterProvider()) is None


def test_an_sdk_that_is_switched_off_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert Telemetry.create(TracerProvider(shutdown_on_exit=False)) is None


def test_a_global_provider_is_used_when_none_is_given(
    ear: Ear, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: ear.tracer_provider)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: ear.meter_provider)
    telemetry = Telemetry.create(clock=HandClock())
    assert telemetry is not None
    work(telemetry, claim)
    assert len(ear.spans("ExecuteJob")) == 1
    assert ear.values("gusto.jobs.processed") == {("greet", "shop"): 1}


def test_traces_do_without_metrics(ear: Ear, claim: Claim) -> None:
    telemetry = Telemetry.create(tracer_provider=ear.tracer_provider, clock=HandClock())
    assert telemetry is not None
    work(telemetry, claim)
    assert len(ear.spans("ExecuteJob")) == len(ear.spans("ProcessBatch")) == 1
    assert ear.reader.get_metrics_data() is None


def test_metrics_do_without_traces(ear: Ear, claim: Claim) -> None:
    telemetry = Telemetry.create(meter_provider=ear.meter_provider, clock=HandClock())
    assert telemetry is not None
    work(telemetry, claim)
    assert ear.values("gusto.jobs.processed") == {("greet", "shop"): 1}
    assert ear.exporter.get_finished_spans() == ()

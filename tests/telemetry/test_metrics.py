"""What is counted and measured."""

from __future__ import annotations

import contextvars

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint

from tests.telemetry.ear import START, Claim, Ear, HandClock, Run
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import JobState
from trio_gusto.telemetry import METER_NAME, Telemetry


def test_a_success_is_counted_as_processed(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    (point,) = ear.points("gusto.jobs.processed")
    assert point.attributes == {"job.type": "shop", "job.method": "greet"}
    assert ear.values("gusto.jobs.processed") == {("greet", "shop"): 2}
    assert ear.points("gusto.jobs.failed") == []


def test_a_failure_is_counted_by_what_was_raised(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.FAILED, JobState.SCHEDULED, ValueError("no"))
    run(AttemptOutcome.FAILED, JobState.FAILED, ExceptionGroup("", [KeyError("no")]))
    run(AttemptOutcome.TIMED_OUT, JobState.FAILED, None)
    (first, *_) = ear.points("gusto.jobs.failed")
    assert set(first.attributes or ()) == {"job.type", "job.method", "exception.type"}
    assert ear.values("gusto.jobs.failed") == {
        ("ValueError", "greet", "shop"): 1,
        ("KeyError", "greet", "shop"): 1,
        ("TimedOut", "greet", "shop"): 1,
    }
    assert ear.points("gusto.jobs.processed") == []


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (AttemptOutcome.SNOOZED, JobState.SCHEDULED),
        (AttemptOutcome.RELEASED, JobState.READY),
        (AttemptOutcome.CANCELLED, JobState.CANCELLED),
    ],
)
def test_what_was_put_off_or_called_off_is_neither(
    ear: Ear, run: Run, outcome: AttemptOutcome, state: JobState
) -> None:
    run(outcome, state)
    assert ear.points("gusto.jobs.processed") == []
    assert ear.points("gusto.jobs.failed") == []


def test_durations_are_in_milliseconds_and_by_what_became_of_the_job(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED, seconds=0.25)
    run(AttemptOutcome.FAILED, JobState.SCHEDULED, ValueError(), seconds=2)
    (first, _) = ear.points("gusto.job.duration")
    assert set(first.attributes or ()) == {"job.type", "job.method", "job.status"}
    assert ear.sums("gusto.job.duration") == {
        ("greet", "completed", "shop"): 250,
        ("greet", "scheduled", "shop"): 2000,
    }


def test_durations_from_a_millisecond_to_an_hour_fall_into_buckets_of_their_own(
    ear: Ear, run: Run
) -> None:
    for seconds in (0.002, 0.2, 20, 2000):
        run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED, seconds=seconds)
    (point,) = ear.points("gusto.job.duration")
    assert isinstance(point, HistogramDataPoint)
    assert max(point.bucket_counts) == 1
    assert point.bucket_counts[-1] == 0


def test_batches_are_measured_in_jobs_and_in_time(
    ear: Ear, telemetry: Telemetry, clock: HandClock
) -> None:
    batch = telemetry.batch_started(7)
    clock.advance(1.5)
    telemetry.batch_ended(batch)
    assert ear.sums("gusto.batch.size") == {(): 7}
    assert ear.sums("gusto.batch.duration") == {(): 1500}


def test_start_latency_counts_from_the_instant_a_job_was_due(
    ear: Ear, telemetry: Telemetry, clock: HandClock, handler: contextvars.Context, claim: Claim
) -> None:
    clock.advance(3)
    telemetry.job_started(handler, claim(due=START + 1_000_000), "shop", "greet")
    (point,) = ear.points("gusto.job.start_latency")
    assert point.attributes == {"job.queue": "mail"}
    assert ear.sums("gusto.job.start_latency") == {("mail",): 2000}


def test_a_wall_clock_set_back_gives_no_negative_latency(
    ear: Ear, telemetry: Telemetry, handler: contextvars.Context, claim: Claim
) -> None:
    telemetry.job_started(handler, claim(due=START + 60_000_000), "shop", "greet")
    assert ear.sums("gusto.job.start_latency") == {("mail",): 0}


def test_failed_renewals_and_a_blocked_loop_are_told(ear: Ear, telemetry: Telemetry) -> None:
    telemetry.renewal_failed()
    telemetry.renewal_failed()
    telemetry.loop_blocked(1.5)
    assert ear.values("gusto.lease.renewal_failures") == {(): 2}
    assert ear.sums("gusto.loop.lag") == {(): 1500}


def test_two_apps_on_one_provider_add_up(
    ear: Ear, run: Run, handler: contextvars.Context, claim: Claim
) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    second = Telemetry.create(ear.tracer_provider, ear.meter_provider, clock=HandClock())
    assert second is not None
    job = second.job_started(handler, claim(), "shop", "greet")
    second.job_ended(job, AttemptOutcome.SUCCEEDED, JobState.COMPLETED, None)
    assert ear.values("gusto.jobs.processed") == {("greet", "shop"): 2}


def test_everything_is_under_the_meter_of_the_reference(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    data = ear.reader.get_metrics_data()
    assert data is not None
    scopes = [s.scope.name for r in data.resource_metrics for s in r.scope_metrics]
    assert scopes == [METER_NAME] == ["trio_gusto.job_queue"]


def test_a_slow_job_leads_to_its_trace(ear: Ear, run: Run) -> None:
    run(AttemptOutcome.SUCCEEDED, JobState.COMPLETED)
    (point,) = ear.points("gusto.job.duration")
    span = ear.span("ExecuteJob")
    assert span.context is not None
    assert [exemplar.trace_id for exemplar in point.exemplars] == [span.context.trace_id]

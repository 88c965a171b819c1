"""One job: its life is gone over in order, and the first step that is illegal is told.

Rules yield whatever they find in this order; nobody asks them what they find after the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..ids import to_uuid
from ..outcomes import AttemptOutcome
from ..schedule import StoredSchedule
from ..states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobState,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)
from .claims import Claim, attempt_times, claim_faults
from .findings import Fault, Finding, Invariant
from .kept import archive_faults, copy_faults, state_data_faults
from .records import RecordedJob
from .replay import Beginning, Positions, after, names_of, settled
from .schedules import fire_time_faults
from .waits import continuation_faults, wait_faults
from .words import ID_SIZE, moment

_CLASSES: dict[JobState, type] = {
    JobState.WAITING: Waiting,
    JobState.SCHEDULED: Scheduled,
    JobState.READY: Ready,
    JobState.COMPLETED: Completed,
    JobState.FAILED: Failed,
    JobState.CANCELLED: Cancelled,
    JobState.SKIPPED: Skipped,
    JobState.EXPIRED: Expired,
}


def audit_job(job: RecordedJob, schedules: Mapping[str, StoredSchedule]) -> Finding | None:
    """The first thing that is illegal about a job; ``None`` if nothing is."""
    fault = _unreadable(job.fault) if job.fault is not None else next(_faults(job, schedules), None)
    if fault is None:
        return None
    if len(job.id) != ID_SIZE:
        subject, job_id = f"the job with the sequence {job.sequence}", None
    else:
        job_id = to_uuid(job.id)
        subject = f"job {job_id}"
    return Finding(subject, job_id, fault.invariant, fault.found, fault.legal)


def _unreadable(fault: str) -> Fault:
    return Fault(Invariant.READABLE, fault, "a job is a row that says what it is")


def _faults(job: RecordedJob, schedules: Mapping[str, StoredSchedule]) -> Iterator[Fault]:
    yield from state_data_faults(job)
    yield from _life_faults(job)
    yield from wait_faults(job)
    yield from continuation_faults(job)
    yield from fire_time_faults(job, schedules)
    yield from copy_faults(job)
    yield from archive_faults(job)


def _life_faults(job: RecordedJob) -> Iterator[Fault]:
    """Attempt by attempt, and then what the row itself says."""
    positions, version = _beginning(job).positions, 0
    ended_at: int | None = None
    for record in job.attempts:
        claim = Claim(record.number, record.token, record.claimed_at)
        yield from claim_faults(job, claim, positions, version, ended_at)
        if record.outcome is None:
            legal = "an attempt ends as succeeded, failed, timed_out, snoozed, released, cancelled or lost"
            yield Fault(Invariant.READABLE, f"its {claim} has an outcome that nobody knows", legal)
        else:
            yield from attempt_times(claim, record.started_at, record.ended_at, record.outcome)
            positions, version = settled(record.number, record.outcome), record.token + 1
            ended_at = record.ended_at if _is_put_back(record.outcome) else None
    if job.is_claimed:
        assert job.claimed_at is not None
        claim = Claim(job.attempt, job.claim_token, job.claimed_at)
        yield from claim_faults(job, claim, positions, version, ended_at)
        if job.state is JobState.COMPLETED:
            assert job.ended_at is not None
            yield from attempt_times(claim, job.started_at, job.ended_at, None)
        elif job.lease_until is not None and job.lease_until < job.claimed_at:
            yield Fault(
                Invariant.TIMES,
                f"its lease ended at {moment(job.lease_until)}, before its claim",
                f"it holds until {moment(job.claimed_at)} at least",
            )
    else:
        yield from _rest_faults(job, positions, version)


def _is_put_back(outcome: AttemptOutcome) -> bool:
    """Whether a job that goes on is due again at the end of the attempt or later.

    A released or lost one keeps its place in the order, and so may be taken by a claim that was under
    way at that instant.
    """
    return outcome not in (AttemptOutcome.RELEASED, AttemptOutcome.LOST)


def _rest_faults(job: RecordedJob, positions: Positions, version: int) -> Iterator[Fault]:
    """What has become of a job since its last attempt, or since it was stored."""
    since = f"its attempt {job.attempts[-1].number}" if job.attempts else "it was stored"
    changes = job.version - version
    if changes < 0:
        found = f"its version is {job.version}, and it was {version} after {since}"
        yield Fault(Invariant.VERSIONS, found, "a version only grows")
    reached = after(positions, changes)
    state = _CLASSES[job.state] if job.callback is None else AwaitingCallback
    spent = {number for kind, number in reached if kind is state}
    if not spent:
        word = names_of(frozenset({(state, 0)}))
        found = f"it is {word} at version {job.version}, {changes} changes after {since}"
        legal = f"by the table of transitions it is {names_of(reached)} then"
        yield Fault(Invariant.TRANSITIONS, found, legal)
    elif job.attempt not in spent:
        legal = f"{' or '.join(map(str, sorted(spent)))} are, by its attempts"
        yield Fault(Invariant.ATTEMPTS, f"{job.attempt} of its attempts are spent", legal)
    yield from _end_faults(job, changes)


def _end_faults(job: RecordedJob, changes: int) -> Iterator[Fault]:
    request = job.request
    is_due_again = job.state in (JobState.READY, JobState.SCHEDULED)
    if is_due_again and job.attempt >= request.max_attempts:
        found = (
            f"it is {job.state.value} with {job.attempt} of {request.max_attempts} attempts spent"
        )
        yield Fault(Invariant.ATTEMPTS, found, "a job whose attempts are all spent has ended")
    last = job.attempts[-1] if job.attempts else None
    if last is not None and changes == 0:
        if job.ended_at is not None and job.ended_at != last.ended_at:
            found = f"it ended at {moment(job.ended_at)}, and its last attempt at {moment(last.ended_at)}"
            yield Fault(Invariant.TIMES, found, "an attempt that ends its job ends when that does")
        if job.state is JobState.SCHEDULED and job.due < last.ended_at:
            found = f"it is due again at {moment(job.due)}, before its attempt ended"
            legal = f"a delay is counted from {moment(last.ended_at)}"
            yield Fault(Invariant.IN_TIME, found, legal)
    if job.state is JobState.EXPIRED:
        if request.expire_on is None:
            yield Fault(
                Invariant.IN_TIME,
                "it has expired, and has no expire_on",
                "without one a job waits for ever",
            )
        elif job.ended_at is not None and job.ended_at < request.expire_on:
            yield Fault(
                Invariant.IN_TIME,
                f"it expired at {moment(job.ended_at)}",
                f"it may start until {moment(request.expire_on)}",
            )


def _beginning(job: RecordedJob) -> Beginning:
    request = job.request
    details = request.details
    after_ = request.execute_after
    return Beginning(
        waits=details is not None and bool(details.parents),
        is_due=after_ is None or after_ <= request.created_at,
        may_be_skipped=details is not None and details.fire_time is not None,
    )

"""What has happened, in the past tense. Actors announce facts; whoever wants to know listens.

Subscribers can neither block nor break the work they hear about.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import attrs

from .failure import JobError
from .outcomes import AttemptOutcome
from .states import JobState


@attrs.frozen(kw_only=True)
class Fact:
    """Something that happened ``at`` an instant."""

    at: datetime


@attrs.frozen(kw_only=True)
class JobFact(Fact):
    """Something that happened to a job."""

    job_id: UUID
    name: str
    queue: str


@attrs.frozen(kw_only=True)
class JobEnqueued(JobFact):
    """The job is stored."""

    state: JobState


@attrs.frozen(kw_only=True)
class JobClaimed(JobFact):
    """A node took the job."""

    attempt: int
    node_id: str


@attrs.frozen(kw_only=True)
class JobStarted(JobFact):
    """The job's handler was entered."""

    attempt: int
    node_id: str


@attrs.frozen(kw_only=True)
class JobRetrying(JobFact):
    """An attempt is over and recorded, and the job will run again; ``due`` says when."""

    attempt: int
    outcome: AttemptOutcome
    due: datetime
    error: JobError | None


@attrs.frozen(kw_only=True)
class JobReleased(JobFact):
    """The job's parents have ended the way it wanted, so it runs once ``due`` has come."""

    due: datetime


@attrs.frozen(kw_only=True)
class JobAwaitsCallback(JobFact):
    """The handler has returned; the job ends when its callback, ``callback_id``, has ended."""

    attempt: int
    callback_id: UUID


@attrs.frozen(kw_only=True)
class JobFinished(JobFact):
    """The job has ended, and that is recorded."""

    attempt: int
    state: JobState
    reason: str
    error: JobError | None


@attrs.frozen(kw_only=True)
class JobRetriedByHand(JobFact):
    """The job had ended and was retried by hand: it runs again once ``due`` has come."""

    due: datetime


@attrs.frozen(kw_only=True)
class LeaseExpired(JobFact):
    """A node vanished or let a lease pass; its attempt is recorded as lost."""

    attempt: int
    node_id: str


@attrs.frozen(kw_only=True)
class LeaseRefused(JobFact):
    """An attempt came too late with its outcome: its lease was no longer valid."""

    attempt: int
    node_id: str


@attrs.frozen(kw_only=True)
class ScheduleFired(Fact):
    """A schedule made a job for one of its instants, the nominal ``fire_time``."""

    schedule_name: str
    fire_time: datetime
    job_id: UUID


@attrs.frozen(kw_only=True)
class OccurrenceSkipped(Fact):
    """An instant of a schedule made no job, for ``reason``; it stands for ``count`` of them.

    ``at_least``: or for more. ``job_id`` is that of the record, a job in the state ``skipped``.
    """

    schedule_name: str
    fire_time: datetime
    job_id: UUID
    reason: str
    count: int
    at_least: bool


@attrs.frozen(kw_only=True)
class ActorRestarted(Fact):
    """An actor died of ``error`` and was started again."""

    actor: str
    error: JobError


@attrs.frozen(kw_only=True)
class LoopBlocked(Fact):
    """The event loop stood still for ``seconds``; ``job_id`` names the job that held it."""

    seconds: float
    job_id: UUID | None
    name: str | None
    stack: str


@attrs.frozen(kw_only=True)
class FactsMissed(Fact):
    """The reader of an event stream was too slow: ``count`` facts are missing in this place.

    ``at`` is the instant of the first of them.
    """

    count: int

"""What one instant of a schedule makes: a job, or the record that it made none.

The job's id is made of the schedule's name and the instant, and its jitter is drawn from them. Two
processes that fire the same instant mean the same job, and a storage takes it once.

The fire time is nominal: what the trigger says, whenever it is fired and however it is held back. By
it, a job knows which day it closes.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from uuid import UUID, uuid5

import attrs

from .ids import JobId
from .job import Details, JobRequest
from .schedule import ScheduleRequest

_NAMESPACE = UUID("8f2f9a4c-3f0b-5a51-9f0e-2d1c6f0b7a93")
"""Of the ids of jobs that schedules make."""


@attrs.define
class Occurrence:
    """An instant that fires.

    ``execute_after`` is the fire time and the jitter. ``wait_for`` are jobs that must end before it
    runs, however they end.
    """

    fire_time: int
    job_id: JobId
    execute_after: int
    wait_for: tuple[JobId, ...] = ()


class SkipReason(StrEnum):
    """Why an instant made no job."""

    MISFIRE = "misfire"
    OVERLAP = "overlap"
    MAX_CATCHUP = "max_catchup"


_SENTENCES = {
    SkipReason.MISFIRE: "missed by more than misfire_grace_time",
    SkipReason.OVERLAP: "a job of an earlier instant had not ended",
    SkipReason.MAX_CATCHUP: "missed, and beyond max_catchup",
}


@attrs.define
class Skip:
    """An instant that does not fire, to be recorded as a job that was skipped.

    It stands for ``count`` instants, of which ``fire_time`` is one; ``at_least``: or for more.
    """

    fire_time: int
    job_id: JobId
    reason: SkipReason
    count: int = 1
    at_least: bool = False

    @property
    def sentence(self) -> str:
        """The reason in words, for the record."""
        if self.count == 1 and not self.at_least:
            return _SENTENCES[self.reason]
        at_least = "at least " if self.at_least else ""
        return f"{_SENTENCES[self.reason]} ({at_least}{self.count} instants)"


def occurrence(
    request: ScheduleRequest, fire_time: int, wait_for: tuple[JobId, ...] = ()
) -> Occurrence:
    """The job of an instant."""
    name = request.name
    held_back = jitter_of(name, fire_time, request.jitter)
    return Occurrence(fire_time, job_id_of(name, fire_time), fire_time + held_back, wait_for)


def skip(
    request: ScheduleRequest,
    fire_time: int,
    reason: SkipReason,
    count: int = 1,
    *,
    at_least: bool = False,
) -> Skip:
    """The record of an instant that makes no job."""
    return Skip(fire_time, job_id_of(request.name, fire_time), reason, count, at_least)


def job_id_of(name: str, fire_time: int) -> JobId:
    """The id of the job that a schedule makes for an instant: the same wherever it is made."""
    return JobId(uuid5(_NAMESPACE, f"{name}@{fire_time}").bytes)


def jitter_of(name: str, fire_time: int, most: int) -> int:
    """What the job of an instant is held back by: less than ``most``, the same whenever asked."""
    seed = f"{name}@{fire_time}".encode()
    draw = int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest(), "big")
    return draw * most >> 64


def request_of(request: ScheduleRequest, fired: Occurrence, now: int) -> JobRequest:
    """The request of an instant's job. The template's delay and deadline count from the fire time."""
    template = request.template
    delay, expiry = template.execute_after or 0, template.expire_on
    details = template.details or Details()
    return attrs.evolve(
        template,
        details=attrs.evolve(details, schedule_name=request.name, fire_time=fired.fire_time),
        id=fired.job_id,
        created_at=now,
        execute_after=fired.execute_after + delay,
        expire_on=None if expiry is None else fired.fire_time + expiry,
    )


def request_of_skip(request: ScheduleRequest, skipped: Skip, now: int) -> JobRequest:
    """The request of a job that is only recorded, as skipped."""
    return request_of(
        request, Occurrence(skipped.fire_time, skipped.job_id, skipped.fire_time), now
    )


def request_by_hand(request: ScheduleRequest, job_id: JobId, now: int) -> JobRequest:
    """The request of a job that somebody wants now, besides those of the schedule's instants."""
    expiry = request.template.expire_on
    details = request.template.details or Details()
    return attrs.evolve(
        request.template,
        details=attrs.evolve(details, schedule_name=request.name),
        id=job_id,
        created_at=now,
        execute_after=None,
        expire_on=None if expiry is None else now + expiry,
    )

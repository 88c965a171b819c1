"""The play of extremes: every field that is kept has its smallest and its largest value (`limits`)."""

from __future__ import annotations

from itertools import cycle
from typing import Any, get_args

import attrs

from ....model.batch import BatchRequest
from ....model.job import AttemptRecord, Details, JobRequest, Progress
from ....model.joblog import LogLine
from ....model.outcomes import AttemptOutcome
from ....model.pauses import StoredPause
from ....model.schedule import ScheduleRequest, StoredSchedule
from ....model.states import (
    AwaitingCallback,
    Completed,
    Ended,
    Ready,
    Scheduled,
    Skipped,
    State,
    Waiting,
)
from ....storage.batch_messages import InsertBatch
from ....storage.lease_messages import Renew, RequestCancel
from ....storage.messages import Commit, Complete, Write
from ....storage.pause_messages import PutPause
from ....storage.report_messages import Report, Saying
from ....storage.schedule_messages import PutSchedule
from ....storage.storage import Storage
from ..subject import EVERYTHING, LEASE, NOW
from .limits import COUNT, INSTANT, LIMITS, NAME, TEXT, limits
from .play import Play
from .props import LEFT, Props, claiming, inserting

UNLIMITED: dict[str, Any] = {"rate_key": None, "rate_limit": None}
ALONE: dict[str, Any] = {"worker": None, **UNLIMITED}
"""What details leave out that are not to keep a job from being claimed."""

KEYS = ("ref_id", "unique_key", "schedule_name")
"""What no other job may have, or not together with the same instant."""

FOR_EVER = {"most_lines": 1_000_000, "most_bytes": 2**30}


def extremes(storage: Storage) -> Play:
    """All that a storage keeps, in the sizes that it may have."""
    props = Props()
    yield from asked_for(props, storage)
    yield from leased(props)
    yield from settled(props, storage)
    if storage.keeps_reports:
        yield from said(props)
    yield from planned(props, storage)


def rates_of(storage: Storage) -> dict[str, Any]:
    """What details leave out where rate limits are not kept."""
    return {} if storage.keeps_rates else UNLIMITED


def requests(props: Props, mark: str, **changes: Any) -> list[JobRequest]:
    """The smallest and the largest request; ``mark`` tells their keys from those of others."""
    of_details = attrs.fields_dict(Details).keys() & changes.keys()
    apart = {name: changes.pop(name) for name in of_details}
    made: list[JobRequest] = []
    for end in (0, 1):
        given = {name: f"{mark} {LIMITS[Details][name][end]}" for name in KEYS}
        given |= {"parents": (), "batch": None} | apart
        details = limits(Details, **given)[end]
        made.append(limits(JobRequest, id=props.id(), details=details, **changes)[end])
    return made


def asked_for(props: Props, storage: Storage) -> Play:
    """Jobs and batches as they were asked for, none of which is begun."""
    rates = rates_of(storage)
    yield [inserting(*requests(props, "plain", **rates))]
    yield [inserting(*requests(props, "skipped", **rates), states=limits(Skipped))]
    parents = props.requests(50, queue="parents")
    yield [inserting(*parents)]
    names = tuple(parent.id for parent in parents)
    waiting = requests(props, "waiting", parents=names, **rates)
    yield [inserting(*waiting, states=limits(Waiting, parents=names))]
    for end in (0, 1):
        batch = limits(BatchRequest, id=props.id())[end]
        members = requests(props, f"batch {end}", batch=batch.id, **rates)
        yield [InsertBatch(batch, inserting(*members))]


def leased(props: Props) -> Play:
    """Jobs are claimed, their leases renewed, and their cancellation asked for."""
    jobs = requests(props, "leased", queue="leased", expire_on=INSTANT[1], **ALONE)
    plain = props.requests(2, queue="leased")
    yield [inserting(*jobs, *plain, states=[*limits(Ready), *limits(Ready)])]
    (claim,) = yield [claiming(NAME[1], queues=[("leased", 9)], lease_until=INSTANT[1] - 1)]
    leases = [(job.request.id, job.token) for job in claim.jobs]
    yield [Renew(NAME[1], NOW, INSTANT[1], leases)]
    yield [
        RequestCancel(job_id, token, reason)
        for (job_id, token), reason in zip(leases, TEXT, strict=False)
    ]


def settled(props: Props, storage: Storage) -> Play:
    """Attempts end in every way, with all that can be said of them."""
    states: list[State] = [
        state for kind in (*get_args(Ended), Scheduled, Ready) for state in limits(kind)
    ]
    together = limits(Completed)
    yield [inserting(*props.requests(len(states) + 4, queue="settled"))]
    (claim,) = yield [claiming(LEFT, limit=99, queues=[("settled", 99)])]
    jobs = list(claim.jobs)
    yield [Complete([jobs.pop(), jobs.pop()], together)]
    if storage.keeps_children:
        for end in (0, 1):
            job, callback = jobs.pop(), props.request(queue="callbacks")
            awaiting = limits(AwaitingCallback, callback=callback.id)[end]
            yield [Commit(job.request.id, job.token, awaiting, 1, children=inserting(callback))]
    writes: list[Write] = []
    outcomes = cycle(AttemptOutcome)
    for number, (job, state) in enumerate(zip(jobs, states, strict=False)):
        end = number % 2
        record = limits(AttemptRecord, token=job.token, outcome=next(outcomes))[end]
        kept = None if isinstance(state, Completed) else record
        writes.append(Commit(job.request.id, job.token, state, COUNT[end], kept))
    yield writes


def said(props: Props) -> Play:
    """Running jobs say as little and as much as they can."""
    yield [inserting(*props.requests(4, queue="said"))]
    (claim,) = yield [claiming(LEFT, queues=[("said", 9)])]
    jobs = claim.jobs
    for end, job in enumerate(jobs[:2]):
        saying = limits(Saying, job_id=job.request.id, token=job.token)[end]
        yield [Report([saying], **FOR_EVER)]
    for job, progress, line in zip(jobs[2:], limits(Progress), limits(LogLine), strict=True):
        yield [Report([Saying(job.request.id, job.token, progress, [line])], **FOR_EVER)]


def planned(props: Props, storage: Storage) -> Play:
    """Schedules and pauses."""
    of_no_schedule = {"schedule_name": None, "fire_time": None}
    templates = requests(props, "planned", **of_no_schedule, **rates_of(storage))
    for end, template in enumerate(templates):
        request = limits(ScheduleRequest, template=template)[end]
        kept = limits(StoredSchedule, request=request, last_job_id=props.id())[end]
        yield [PutSchedule(request.name, None, kept)]
    for pause in limits(StoredPause):
        yield [PutPause(pause.queue, pause.tenant, pause.reason, pause.since)]
    yield [claiming(LEFT, NOW + LEASE, EVERYTHING)]

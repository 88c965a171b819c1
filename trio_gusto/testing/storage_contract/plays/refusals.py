"""Writes that have to be refused, made of those that a play has told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from ....model.ids import JobId
from ....model.states import Failed, Ready, Waiting
from ....storage.batch_messages import InsertBatch, Stage
from ....storage.finding_messages import Find
from ....storage.lease_messages import Renew, Renewed, RequestCancel
from ....storage.messages import Commit, Committed, Complete, Completions, Inserted, Write
from ....storage.report_messages import Report, Reported
from ....storage.schedule_messages import FindSchedules, Fire, PutSchedule
from ....storage.storage import Storage
from ..subject import EVERYTHING, NOW
from .play import Reply, essence
from .props import LEFT, Props, inserting

Versions = Mapping[JobId | str, int]
"""The versions of jobs, by id, and of schedules, by name."""


async def versions(storage: Storage) -> Versions:
    """Those that hold now."""
    jobs = (await storage.read(Find(EVERYTHING))).jobs
    kept = (await storage.read(FindSchedules(EVERYTHING))).found
    return {job.request.id: job.version for job in jobs} | {
        each.schedule.request.name: each.schedule.version for each in kept
    }


def outdated(told: Iterable[Write], current: Versions) -> Iterator[Write]:
    """What was told, under each token or version near its own that does not hold now.

    What says nothing of a token is left out.
    """
    for write in told:
        for by in (-1, 0, 1, 2):
            yield from under_another(write, by, current)


def under_another(write: Write, by: int, current: Versions) -> Iterator[Write]:
    """The part of a write whose tokens, raised by so much, do not hold now."""
    match write:
        case Commit(job_id=job_id, version=version) | RequestCancel(job_id=job_id, version=version):
            if version + by != current.get(job_id):
                yield attrs.evolve(write, version=version + by)
        case Complete(claims=claims, states=states):
            pairs = [
                (attrs.evolve(claim, token=claim.token + by), state)
                for claim, state in zip(claims, states, strict=True)
                if claim.token + by != current.get(claim.request.id)
            ]
            if pairs:
                yield Complete([claim for claim, _ in pairs], [state for _, state in pairs])
        case Renew(leases=leases):
            late = [
                (job_id, token + by)
                for job_id, token in leases
                if token + by != current.get(job_id)
            ]
            if late:
                yield attrs.evolve(write, leases=late)
            elif by == 0:
                yield attrs.evolve(write, node="somebody else")
        case Report(sayings=sayings):
            late_ones = [
                attrs.evolve(saying, token=saying.token + by)
                for saying in sayings
                if saying.token + by != current.get(saying.job_id)
            ]
            if late_ones:
                yield attrs.evolve(write, sayings=late_ones)
        case Fire(version=version, schedule=schedule):
            if version + by != current.get(schedule.request.name):
                yield attrs.evolve(write, version=version + by)
        case PutSchedule(name=name, version=version):
            known = None if version is None else version + by
            if known != current.get(name):
                yield attrs.evolve(write, version=known)
        case _:
            pass


def hopeless(props: Props, known: Sequence[JobId], running: Mapping[JobId, int]) -> list[Write]:
    """One of each kind that is refused, though a part of it could be done.

    ``known`` are the ids of jobs that are stored, ``running`` those that are processing, with their tokens.
    """
    unknown, batch = props.id(), props.batch()
    members = props.requests(2, batch=batch.id)
    lost = inserting(*props.requests(2), states=[Ready(NOW), Waiting((unknown,))])
    writes: list[Write] = [
        lost,
        InsertBatch(batch, inserting(*members), is_new=False),
        InsertBatch(batch, lost),
        InsertBatch(batch, inserting(*members), stage=unknown, staged=1),
        Stage(unknown, batch.id, LEFT, NOW, 9, inserting(*members)),
        Commit(unknown, 0, Failed(NOW, "nobody"), 0, children=inserting(props.request())),
    ]
    taken = [attrs.evolve(props.request(), id=job_id) for job_id in known[:1]]
    if taken:
        writes += [
            inserting(props.request(), *taken),
            InsertBatch(batch, inserting(*members, *taken)),
        ]
    for job_id, token in (*running.items(),)[:1]:
        children = inserting(props.request(), *taken)
        writes.append(Commit(job_id, token, Failed(NOW, "too late"), 1, children=children))
    return writes


def is_refused(write: Write, reply: Reply) -> bool:
    """Whether a storage says that nothing was done."""
    match write, reply:
        case Complete(claims=claims), Completions(refused=refused):
            return sorted(refused) == list(range(len(claims)))
        case Renew(leases=leases), Renewed(lost=lost):
            return {job_id for job_id, _ in leases} == set(lost)
        case Report(sayings=sayings), Reported(refused=refused):
            return {saying.job_id for saying in sayings} == set(refused)
        case _:
            return not isinstance(reply, Inserted | Committed | Completions | Renewed | Reported)


def check_refused(writes: Sequence[Write], replies: Sequence[Reply], why: str) -> None:
    """Raise an AssertionError unless all of them are."""
    for write, reply in zip(writes, replies, strict=True):
        if not is_refused(write, reply):
            name = type(write).__name__
            raise AssertionError(
                f"a {name} {why} should be refused, but is answered with {essence(reply)!r}: {write!r}"
            )

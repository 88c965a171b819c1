"""The play of hundreds: groups of many writes, and writes about many jobs."""

from __future__ import annotations

import attrs

from ....model.dependencies import resolve
from ....model.job import Progress
from ....model.joblog import LogLine
from ....model.states import Ready, Waiting
from ....storage.batch_messages import InsertBatch, Stage
from ....storage.dependency_messages import Dependents
from ....storage.lease_messages import Renew, RequestCancel
from ....storage.messages import Commit, Write
from ....storage.report_messages import Report, Saying
from ....storage.schedule_messages import PutSchedule
from ....storage.storage import Storage
from ..scheduling import MINUTE, firing, schedule
from ..subject import EVERYTHING, LEASE, NOW, SECOND
from .play import Play
from .props import LEFT, RIGHT, Props, claiming, inserting, settling, succeeding

MANY = 120
"""How many there are of everything; of jobs and writes no storage may say how many are too many."""


def hundreds(storage: Storage) -> Play:
    """Much at once."""
    props = Props()
    yield from attempts(props)
    yield from groups(props)
    yield from waits(props)
    yield from batches(props)
    yield from fires()
    if storage.keeps_reports:
        yield from reports(props)


def attempts(props: Props) -> Play:
    """One job is tried again and again, in one group; all of it is remembered."""
    job = props.request(queue="again", max_attempts=1_000_000)
    yield [inserting(job)]
    queues = [("again", 1)]
    (claim,) = yield [claiming(LEFT, queues=queues)]
    (claimed,) = claim.jobs
    writes: list[Write] = []
    for _ in range(MANY):
        back = settling(claimed, delay=0, now=NOW)
        writes += [back, claiming(LEFT, queues=queues)]
        claimed = attrs.evolve(claimed, attempt=back.attempt + 1, token=back.version + 2)
    yield writes


def groups(props: Props) -> Play:
    """Jobs come, are leased and end together, in one write or in as many as there are jobs."""
    yield [inserting(one) for one in props.requests(MANY, queue="many", max_attempts=1)]
    (claim,) = yield [claiming(LEFT, limit=MANY, queues=[("many", MANY)])]
    jobs = claim.jobs
    yield [Renew(LEFT, NOW, NOW + 2 * LEASE, [(job.request.id, job.token) for job in jobs])]
    yield [RequestCancel(job.request.id, job.token, "not wanted") for job in jobs[::2]]
    renewed = [(job.request.id, job.token) for job in jobs]
    yield [Renew(LEFT, NOW, NOW + 3 * LEASE, renewed), succeeding(*jobs[: MANY // 2])]
    yield [settling(job) for job in jobs[MANY // 2 :]]


def waits(props: Props) -> Play:
    """Many wait for one, and one for many."""
    parent = props.request(queue="parents")
    waiting = props.requests(MANY, parents=(parent.id,))
    names = tuple(job.id for job in waiting)
    last = props.request(parents=names)
    yield [
        inserting(parent),
        inserting(*waiting, states=[Waiting((parent.id,))] * MANY),
        inserting(last, states=[Waiting(names)]),
    ]
    (claim,) = yield [claiming(RIGHT, queues=[("parents", 1)])]
    yield [succeeding(*claim.jobs)]
    decided: list[Write] = []
    for dependent in (yield Dependents(EVERYTHING)).jobs:
        settled = resolve(dependent, NOW + SECOND)
        assert settled is not None
        assert isinstance(settled.state, Ready)
        job = dependent.job
        decided.append(Commit(job.request.id, job.version, settled.state, settled.attempt))
    yield decided


def batches(props: Props) -> Play:
    """A batch is staged, and stored as a whole."""
    batch, stage = props.batch(), props.id()
    staged, others = (props.requests(MANY, batch=batch.id, queue="batch") for _ in range(2))
    yield [Stage(stage, batch.id, LEFT, NOW, 0, inserting(*staged))]
    yield [InsertBatch(batch, inserting(*others), stage=stage, staged=MANY)]


def fires() -> Play:
    """A schedule makes up for what was missed."""
    kept = schedule()
    yield [PutSchedule("ledger", None, kept)]
    yield [firing(kept, *(NOW + number * MINUTE for number in range(1, MANY)))]


def reports(props: Props) -> Play:
    """All running jobs tell something, and one of them much."""
    yield [inserting(*props.requests(MANY, queue="reports"))]
    (claim,) = yield [claiming(RIGHT, limit=MANY, queues=[("reports", MANY)])]
    lines = [LogLine(NOW + number, "info", f"line {number}") for number in range(MANY)]
    first, *others = claim.jobs
    yield [
        Report(
            [
                Saying(first.request.id, first.token, None, lines),
                *[
                    Saying(job.request.id, job.token, Progress(float(number % 100), str(number)))
                    for number, job in enumerate(others)
                ],
            ],
            MANY,
            1_000_000,
        )
    ]

"""Promises about order: of claims, however small they are, and of pages, while rows change."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import attrs

from ...model.ids import JobId
from ...model.job import JobRequest
from ...model.outcomes import AttemptOutcome
from ...model.states import Cancelled, JobState, Ready
from ...storage.batch_messages import Batches
from ...storage.finding_messages import Find
from ...storage.messages import Commit, Committed, Inserted
from ...storage.schedule_messages import PutSchedule
from .batching import members, new_batch, storing
from .depending import ask, follow, move_on
from .scheduling import find as find_schedules
from .scheduling import names, put, schedule
from .subject import NOW, SECOND, Subject, ids, put_back, same

QUEUES = ("a", "b", "c")


async def mixed(subject: Subject, random: Random, count: int) -> list[JobRequest]:
    """Jobs of few priorities, instants and queues, so that many are alike in all but their sequence."""
    requests = [
        subject.request(
            priority=random.choice((-1, 0, 0, 7)),
            created_at=NOW - random.randrange(3),
            queue=random.choice(QUEUES),
            tenant=random.choice(("", "acme")),
        )
        for _ in range(count)
    ]
    random.shuffle(requests)  # so that ids do not follow each other as sequences do
    for first in range(0, count, 7):
        await subject.insert(*requests[first : first + 7])
    return requests


def each_once(shown: Sequence[object], what: str) -> None:
    """Raise an AssertionError when a page shows something again, before that goes on for ever."""
    same(
        len(set(shown)), len(shown), f"the number of {what} on the pages so far, each counted once"
    )


def in_order(requests: Sequence[JobRequest]) -> list[JobRequest]:
    """By priority, due instant and sequence; they are given by sequence."""
    return sorted(requests, key=lambda request: (-request.priority, request.created_at))


def due(
    waiting: Sequence[JobRequest], limit: int, queues: Sequence[tuple[str, int]]
) -> list[JobId]:
    """What a claim from these queues should take."""
    found: list[JobRequest] = []
    for shares in (dict(queues), dict.fromkeys(dict(queues), len(waiting))):
        for queue, share in shares.items():
            ready = [one for one in in_order(waiting) if one.queue == queue and one not in found]
            found += ready[: min(share, limit - len(found))]
    return ids(found)


async def jobs_come_in_one_order_however_they_are_claimed(subject: Subject) -> None:
    """In small claims and large, by two nodes, while others come and some are given back."""
    random = Random(5)  # noqa: S311 - it is to be repeated
    waiting = await mixed(subject, random, 60)
    while waiting:
        limit = random.randrange(1, 6)
        reply = await subject.claim(limit=limit, node=random.choice(("one", "two")))
        wanted = ids(in_order(waiting)[:limit])
        same(ids(reply.jobs), wanted, f"what a claim of {limit} jobs takes")
        taken = set(wanted)
        if random.randrange(4) == 0:
            back = reply.jobs[-1]
            released = put_back(back, Ready(back.due), AttemptOutcome.RELEASED)
            await subject.expect(Committed, attrs.evolve(released, attempt=0))
            taken.discard(back.request.id)
        waiting = [request for request in waiting if request.id not in taken]
        if len(waiting) > 40:
            waiting += await mixed(subject, random, 2)


async def queues_come_in_their_order_however_they_are_claimed(subject: Subject) -> None:
    random = Random(6)  # noqa: S311 - it is to be repeated
    waiting = await mixed(subject, random, 90)
    while waiting:
        names_of = random.sample(QUEUES, random.randrange(1, 4))
        queues = [(name, random.randrange(1, 4)) for name in names_of]
        limit = random.choice((2, 5, 12))
        reply = await subject.claim(limit=limit, queues=queues)
        wanted = due(waiting, limit, queues)
        same(
            ids(reply.jobs), wanted, f"what a claim of {limit} jobs takes from the queues {queues}"
        )
        waiting = [request for request in waiting if request.id not in set(wanted)]


async def pages_repeat_nothing_while_jobs_change_their_state(subject: Subject) -> None:
    """And nothing is left out that stays as it is."""
    requests = [await subject.enqueue() for _ in range(24)]
    left = ids(requests)
    ready = frozenset({JobState.READY})
    shown: list[JobId] = []
    before: int | None = None
    while page := (await subject.storage.read(Find(5, before=before, states=ready))).jobs:
        shown += ids(page)
        each_once(shown, "jobs")
        before = page[-1].sequence
        for gone in (await subject.claim(limit=2)).jobs:  # the oldest, which would come last
            left.remove(gone.request.id)
        first = page[0]  # which has been shown
        await subject.expect(
            Committed, Commit(first.request.id, first.version, Cancelled(NOW, "no"), 0)
        )
        await subject.enqueue()
    order = [job_id for job_id in ids(requests)[::-1] if job_id in shown]
    same(shown, order, "the jobs of all pages, newest first and each once")
    same([job_id for job_id in left[::-1] if job_id not in shown], [], "the ready jobs left out")


async def pages_of_batches_repeat_nothing_while_others_come(subject: Subject) -> None:
    batches = [new_batch(number) for number in range(7)]
    for batch in batches:
        await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
    shown: list[JobId] = []
    before: int | None = None
    while page := (await subject.storage.read(Batches(3, before=before))).batches:
        shown += [batch.request.id for batch in page]
        each_once(shown, "batches")
        before = page[-1].sequence
        another = new_batch(100 + len(shown))
        await subject.expect(Inserted, storing(another, *members(subject, another, 1)))
    same(shown, [batch.id for batch in batches[::-1]], "the batches of all pages, newest first")


async def pages_of_schedules_repeat_nothing_while_some_go(subject: Subject) -> None:
    await put(subject, *(schedule(name) for name in "hbfdgca"))
    shown: list[str] = []
    while page := names(await find_schedules(subject, limit=2, after=shown[-1] if shown else "")):
        shown += page
        each_once(shown, "schedules")
        gone = schedule(shown[0])
        await subject.tell(PutSchedule(shown[0], gone.version, None))
        await put(subject, schedule(f"{shown[0]}{len(shown)}"))  # before all that are left
    same(shown, [*"abcdfgh"], "the schedules of all pages, by name")


async def pages_of_waits_repeat_nothing_while_some_are_over(subject: Subject) -> None:
    parent = await subject.enqueue()
    children = [await follow(subject, parent) for _ in range(7)]
    await subject.complete(await subject.claim_one())
    shown: list[JobId] = []
    after = 0
    while page := await ask(subject, limit=3, after=after):
        shown += [each.job.request.id for each in page]
        each_once(shown, "jobs")
        after = page[-1].job.sequence
        (first,) = [child for child in children if child.id == shown[-1]]
        await move_on(subject, first, Ready(NOW + SECOND))
    same(shown, ids(children), "the jobs of all pages whose wait may be over, oldest first")


ORDERING_CHECKS = (
    jobs_come_in_one_order_however_they_are_claimed,
    queues_come_in_their_order_however_they_are_claimed,
    pages_repeat_nothing_while_jobs_change_their_state,
    pages_of_batches_repeat_nothing_while_others_come,
    pages_of_schedules_repeat_nothing_while_some_go,
    pages_of_waits_repeat_nothing_while_some_are_over,
)

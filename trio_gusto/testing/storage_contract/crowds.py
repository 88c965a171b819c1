"""Promises to many who speak at once: what only one may have, exactly one gets, and nothing is lost.

They speak to one storage, and where there is a way to have another on the same data, to that, too.
"""

from __future__ import annotations

import attrs
import trio

from ...model.errors import GustoError
from ...model.ids import JobId
from ...model.job import ClaimedJob, Details
from ...model.outcomes import AttemptOutcome
from ...model.states import Processing, Ready
from ...storage.batch_messages import InsertBatch
from ...storage.finding_messages import Find, Tally
from ...storage.lease_messages import Renew, Renewed, RequestCancel
from ...storage.messages import (
    ClaimDue,
    ClaimReply,
    Committed,
    Completions,
    Inserted,
    Write,
    WriteReply,
)
from ...storage.storage import Storage
from .batching import counts, members, new_batch, storing
from .inserting import insertion
from .scheduling import MINUTE, firing, put, schedule
from .subject import (
    EVERYTHING,
    LEASE,
    NOW,
    Subject,
    ids,
    put_back,
    reply_of,
    same,
    success,
    successes,
)

MANY = 6

Replies = list[WriteReply | GustoError]


async def at_once(subject: Subject, *writes: Write) -> Replies:
    """The replies to writes that as many tell at the same time, each in a group of its own."""
    storages = [subject.storage, (await subject.another())[0]]
    replies: dict[int, WriteReply | GustoError] = {}

    async def tell(number: int, write: Write) -> None:
        await trio.lowlevel.checkpoint()
        (replies[number],) = await storages[number % 2].apply([write])

    async with trio.open_nursery() as nursery:
        for number, write in enumerate(writes):
            nursery.start_soon(tell, number, write)
    return [replies[number] for number in range(len(writes))]


def exactly_one(replies: Replies, kind: type, what: str) -> None:
    """Raise an AssertionError unless one reply is of this kind."""
    same(sum(isinstance(reply, kind) for reply in replies), 1, what)


async def many_who_claim_at_once_share_the_jobs(subject: Subject) -> None:
    """No job goes to two of them, none is lost, and each gets its jobs in their order."""
    requests = [subject.request(priority=number % 3) for number in range(120)]
    await subject.insert(*requests)
    storages = [subject.storage, (await subject.another())[0]]
    got: dict[int, list[ClaimedJob]] = {number: [] for number in range(MANY)}

    async def claim(number: int) -> None:
        write = ClaimDue(f"node {number}", NOW, NOW + LEASE, 7, 7)
        while True:
            (reply,) = await storages[number % 2].apply([write])
            jobs = reply_of(ClaimReply, reply).jobs
            if not jobs:
                return
            got[number] += jobs
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in got:
            nursery.start_soon(claim, number)
    everything = [job.request.id for jobs in got.values() for job in jobs]
    same(len(everything), len(set(everything)), "the number of jobs claimed, each counted once")
    same(sorted(everything), sorted(ids(requests)), "the jobs that were claimed by anybody")
    order = sorted(requests, key=lambda request: -request.priority)
    place = {request.id: number for number, request in enumerate(order)}
    for number, jobs in got.items():
        places = [place[job.request.id] for job in jobs]
        same(places, sorted(places), "the order in which one of them got its jobs")
        nodes = {(await state_of(subject, job.request.id)).node for job in jobs}
        same(nodes <= {f"node {number}"}, True, "whether one of them holds what it got")


async def state_of(subject: Subject, job_id: JobId) -> Processing:
    """The lease of a job that is processing."""
    state = (await subject.get(job_id)).state
    if not isinstance(state, Processing):
        raise AssertionError(f"a claimed job should be processing, but is {state!r}")
    return state


async def of_many_who_settle_an_attempt_one_is_heard(subject: Subject) -> None:
    for _ in range(MANY):
        await subject.enqueue()
    for number, job in enumerate((await subject.claim()).jobs):
        back = put_back(job, Ready(NOW), AttemptOutcome.FAILED)
        told: list[Write] = [success(job), back, successes(job), success(job, NOW + 1), back]
        replies = await at_once(subject, *told[number % 2 :])
        heard = [
            reply
            for reply in replies
            if isinstance(reply, Committed)
            or (isinstance(reply, Completions) and not reply.refused)
        ]
        same(len(heard), 1, "the number of those who were told that they settled one attempt")
        kept = await subject.get(job.request.id)
        found = (kept.version, kept.attempt, len(kept.history))
        record = 1 if isinstance(kept.state, Ready) else 0
        same(found, (job.token + 1, 1, record), "the version, attempts and records of the job")


async def of_many_who_insert_the_same_one_is_heard(subject: Subject) -> None:
    """The same id, ``ref_id``, unique key or batch."""
    request, batch = subject.request(), new_batch()
    for wanted in (Details(ref_id="order-1"), Details(unique_key="k")):
        writes = [
            insertion(subject.request(), subject.request(details=wanted)) for _ in range(MANY)
        ]
        what = f"the number of those who were told that they stored a job with {wanted!r}"
        exactly_one(await at_once(subject, *writes), Inserted, what)
    replies = await at_once(subject, *[insertion(request)] * MANY)
    exactly_one(replies, Inserted, "the number of those who were told that they stored one id")
    openings = [storing(batch, *members(subject, batch, 2)) for _ in range(MANY)]
    replies = await at_once(subject, *openings)
    exactly_one(replies, Inserted, "the number of those who were told that they opened a batch")
    same(len(await subject.everything()), 7, "the number of jobs that are stored")


async def what_many_insert_at_once_is_all_there(subject: Subject) -> None:
    batch = new_batch()
    await subject.expect(Inserted, storing(batch, *members(subject, batch, 1)))
    writes: list[Write] = []
    for _ in range(MANY):
        writes.append(insertion(subject.request(), subject.request()))
        jobs = insertion(*members(subject, batch, 3))
        writes.append(InsertBatch(batch, jobs, is_new=False))
    for reply in await at_once(subject, *writes):
        reply_of(Inserted, reply)
    stored = await subject.everything()
    same(len(stored), 1 + 5 * MANY, "the number of jobs stored")
    same(len({job.sequence for job in stored}), len(stored), "the number of their sequences")
    same(
        sum((await counts(subject, batch)).values()), 1 + 3 * MANY, "the number of the batch's jobs"
    )


async def a_job_that_was_taken_over_is_not_renewed(subject: Subject) -> None:
    """Its holder renews while another finds the lease lost: whoever is first, the other sees it.

    Who is first is up to chance, so there are many of them.
    """
    for _ in range(4 * MANY):
        await subject.enqueue()
    for job in (await subject.claim()).jobs:
        lost = put_back(job, Ready(NOW), AttemptOutcome.LOST)
        renew = Renew(job.node, NOW, NOW + 2 * LEASE, [(job.request.id, job.token)])
        asked = RequestCancel(job.request.id, job.token, "no")
        writes: list[Write] = [renew, lost, lost, renew]
        replies = await at_once(subject, *writes)
        exactly_one(replies, Committed, "the number of those who were told that they took it over")
        same((await subject.get(job.request.id)).state, Ready(NOW), "the state of the job")
        renewed, refused = await at_once(subject, renew, asked)
        same(list(reply_of(Renewed, renewed).lost), [job.request.id], "the leases lost to another")
        same(isinstance(refused, Committed), False, "whether a job can be asked to be let go of")


async def a_schedule_that_many_fire_fires_once(subject: Subject) -> None:
    first = schedule()
    await put(subject, first)
    fire = firing(first, NOW + MINUTE, NOW + 2 * MINUTE)
    replies = await at_once(subject, *[fire] * MANY)
    exactly_one(replies, Committed, "the number of those who were told that they fired it")
    same(len(await subject.everything()), 2, "the number of its jobs")


async def a_lane_is_not_overfilled_by_many_who_claim_at_once(subject: Subject) -> None:
    await subject.insert(*(subject.request(details=Details(worker="smtp")) for _ in range(9)))
    few = Details(concurrency_key="api", concurrency_limit=2)
    await subject.insert(*(subject.request(details=few) for _ in range(9)))
    claims = [ClaimDue(f"node {number}", NOW, NOW + LEASE, 4, 4) for number in range(MANY)]
    replies = await at_once(subject, *claims)
    jobs = [job for reply in replies for job in reply_of(ClaimReply, reply).jobs]
    lanes = [job.request.details == few for job in jobs]
    same(sorted(lanes), [False, True, True], "whether each claimed job has the concurrency key")


async def a_group_is_seen_as_a_whole_or_not_at_all(subject: Subject) -> None:
    """By whoever looks while others write."""
    size, ended = 3, trio.Event()
    other, _ = await subject.another()

    async def write() -> None:
        for _ in range(10):
            group = [insertion(subject.request()) for _ in range(size)]
            await subject.apply(group)
            await trio.lowlevel.checkpoint()
        ended.set()

    async def look(storage: Storage) -> None:
        while not ended.is_set():
            found = len((await storage.read(Find(EVERYTHING))).jobs)
            same(found % size, 0, f"what is left of {found} jobs, stored {size} in a group")
            counted = sum((await storage.read(Tally())).counts.values())
            same(counted % size, 0, f"what is left of {counted} counted, stored {size} in a group")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look, subject.storage)
        nursery.start_soon(look, other)
        nursery.start_soon(write)


async def a_lease_is_renewed_from_a_thread_or_left_as_it_is(subject: Subject) -> None:
    await subject.enqueue()
    job = await subject.claim_one()
    for token, until in ((job.token, NOW + 2 * LEASE), (job.token - 1, NOW + 3 * LEASE)):
        before = await subject.get(job.request.id)
        renew = Renew(job.node, NOW, until, [(job.request.id, token)])
        reply = await trio.to_thread.run_sync(subject.storage.renew_blocking, renew)
        wanted = before
        if reply is not None:
            is_held = token == job.token
            same(list(reply.lost), [] if is_held else [job.request.id], "the leases lost")
            if is_held:
                lease = await state_of(subject, job.request.id)
                wanted = attrs.evolve(before, state=attrs.evolve(lease, lease_until=until))
        same(await subject.get(job.request.id), wanted, "the job after a renewal from a thread")


CROWD_CHECKS = (
    many_who_claim_at_once_share_the_jobs,
    of_many_who_settle_an_attempt_one_is_heard,
    of_many_who_insert_the_same_one_is_heard,
    what_many_insert_at_once_is_all_there,
    a_job_that_was_taken_over_is_not_renewed,
    a_schedule_that_many_fire_fires_once,
    a_lane_is_not_overfilled_by_many_who_claim_at_once,
    a_group_is_seen_as_a_whole_or_not_at_all,
    a_lease_is_renewed_from_a_thread_or_left_as_it_is,
)

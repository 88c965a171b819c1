"""Promises about rate limits, and about the order of ageing."""

from __future__ import annotations

from collections.abc import Sequence

from ...model.ids import JobId
from ...model.job import Details, JobRequest
from ...model.outcomes import AttemptOutcome
from ...model.rates import RateLimit, of_key, of_queue
from ...model.states import Ready
from ...storage.batch_messages import InsertBatch
from ...storage.finding_messages import Find
from ...storage.messages import Committed, Insert, Inserted
from ...storage.pause_messages import PutPause
from ...storage.rate_messages import Buckets
from .batching import new_batch
from .staging import STAGE, stage
from .subject import NOW, SECOND, Subject, ids, put_back, same, success

TWO_A_MINUTE = RateLimit(2, per=60)
ONE_A_SECOND = RateLimit(1, per=1)
MINUTE = 60 * SECOND


async def limited(
    subject: Subject,
    key: str = "api",
    limit: RateLimit = TWO_A_MINUTE,
    worker: str | None = None,
    **parts: object,
) -> JobRequest:
    """Enqueue a job with a rate key."""
    details = Details(rate_key=key, rate_limit=limit, worker=worker)
    return await subject.enqueue(details=details, **parts)


async def starts(subject: Subject, name: str, now: int = NOW) -> int:
    """How many tokens a bucket lacks that is not full; 0 for one that is."""
    found = (await subject.storage.read(Buckets([name, "nobody"], now))).buckets
    same(sorted(found) in ([], [name]), True, "whether no other bucket is found")
    return found[name].starts if name in found else 0


async def a_rate_key_has_tokens_for_its_burst(subject: Subject) -> None:
    jobs = [await limited(subject) for _ in range(4)]
    reply = await subject.claim()
    same(ids(reply.jobs), ids(jobs[:2]), "what is claimed of four jobs, at two a minute")
    same(reply.next_due, NOW + MINUTE // 2, "`next_due`, when two of them wait for a token")
    same(await starts(subject, of_key("api")), 2, "the tokens taken")
    for now, wanted in ((MINUTE // 2 - 1, []), (MINUTE // 2, [jobs[2].id]), (MINUTE, [jobs[3].id])):
        found = ids((await subject.claim(NOW + now)).jobs)
        same(found, wanted, f"what is claimed {now} microseconds later")


async def a_rate_is_exact(subject: Subject) -> None:
    for _ in range(10):
        await limited(subject, limit=RateLimit(3, per=1))
    same(len((await subject.claim()).jobs), 3, "how many jobs start at once, at three a second")
    instants: list[int] = []
    reply = await subject.claim()
    while reply.next_due is not None:
        instants.append(reply.next_due - NOW)
        reply = await subject.claim(reply.next_due)
        same(len(reply.jobs), 1, "how many jobs start when the next token is there")
    wanted = [333_334, 666_667, 1_000_000, 1_333_334, 1_666_667, 2_000_000, 2_333_334]
    same(instants, wanted, "when jobs start, at three a second")


async def rate_keys_are_in_nobodys_way(subject: Subject) -> None:
    await limited(subject, limit=ONE_A_SECOND, priority=9)
    waiting = [await limited(subject, limit=ONE_A_SECOND, priority=9) for _ in range(3)]
    other = await limited(subject, "other", queue="b")
    plain = [await subject.enqueue(queue=queue) for queue in ("default", "b")]
    reply = await subject.claim(limit=3)
    same(ids(reply.jobs)[1:], ids([other, plain[0]]), "what is claimed beside jobs that wait")
    same(reply.more, True, "`more`, when the limit was hit")
    same(ids((await subject.claim()).jobs), [plain[1].id], "the rest")
    reply = await subject.claim(NOW + SECOND, queues=[("b", 2), ("default", 1)])
    same(ids(reply.jobs), [waiting[0].id], "what is claimed with the next token")


async def rate_keys_stand_in_several_queues(subject: Subject) -> None:
    jobs = [await limited(subject, queue=queue) for queue in ("b", "a", "b")]
    reply = await subject.claim(queues=[("a", 1)])
    same(ids(reply.jobs), [jobs[1].id], "what is claimed of one queue")
    reply = await subject.claim()
    same(ids(reply.jobs), [jobs[0].id], "what is claimed with the last token")


async def only_what_is_claimed_takes_a_token(subject: Subject) -> None:
    jobs = [await limited(subject) for _ in range(3)]
    plain = await subject.enqueue(priority=9)
    reply = await subject.claim(free=1)
    same(
        ids(reply.jobs), [plain.id], "what is claimed when the limited ones would need an executor"
    )
    same(reply.more, True, "`more`, when jobs wait for executors")
    same(await starts(subject, of_key("api")), 0, "the tokens taken by jobs left behind")
    reply = await subject.claim(free=1)
    same(ids(reply.jobs), [jobs[0].id], "what is claimed for one executor")
    same(await starts(subject, of_key("api")), 1, "the tokens taken")
    same(ids((await subject.claim(limit=0)).jobs), [], "what is claimed with limit 0")
    await subject.enqueue(queue="z")
    reply = await subject.claim(free=1)
    same(ids(reply.jobs), [jobs[1].id], "what is claimed ahead of executors beside a limited job")


async def every_attempt_takes_a_token(subject: Subject) -> None:
    job = await limited(subject)
    for _ in range(2):
        claimed = await subject.claim_one()
        again = put_back(claimed, Ready(NOW), AttemptOutcome.FAILED)
        await subject.expect(Committed, again)
    reply = await subject.claim()
    same(ids(reply.jobs), [], "what is claimed when both tokens went to attempts that failed")
    reply = await subject.claim(NOW + MINUTE // 2)
    same(ids(reply.jobs), [job.id], "what is claimed with the next token")


async def a_rate_limit_goes_with_each_job(subject: Subject) -> None:
    first = await limited(subject, limit=TWO_A_MINUTE)
    strict = await limited(subject, limit=RateLimit(1, per=60), priority=-1)
    await limited(subject, limit=TWO_A_MINUTE, priority=-2)
    reply = await subject.claim()
    same(ids(reply.jobs), [first.id], "what is claimed before a job of one a minute")
    same(reply.next_due, NOW + MINUTE, "`next_due`, which is that job's own")
    reply = await subject.claim(NOW + MINUTE)
    same(ids(reply.jobs)[:1], [strict.id], "what is claimed then")


async def a_named_worker_waits_for_the_token_of_its_first_job(subject: Subject) -> None:
    first = await limited(subject, limit=ONE_A_SECOND, worker="smtp")
    await subject.complete(await subject.claim_one())
    second = await limited(subject, limit=ONE_A_SECOND, worker="smtp")
    third = await subject.enqueue(details=Details(worker="smtp"))
    other = await subject.enqueue(details=Details(worker="printer"))
    reply = await subject.claim()
    same(ids(reply.jobs), [other.id], f"what is claimed when {first.id.hex()} took the token")
    same(reply.next_due, NOW + SECOND, "`next_due`, when a named worker waits for a token")
    claimed = (await subject.claim(NOW + SECOND)).jobs
    same(ids(claimed), [second.id], "what is claimed with the token")
    await subject.expect(Committed, success(claimed[0]))
    same(ids((await subject.claim(NOW + SECOND)).jobs), [third.id], "what is claimed next")


async def a_queue_has_a_rate(subject: Subject) -> None:
    rates = {"slow": TWO_A_MINUTE}
    jobs = [
        await subject.enqueue(queue="slow", priority=9),
        await limited(subject, limit=ONE_A_SECOND, queue="slow", priority=8),
        await subject.enqueue(queue="slow", details=Details(worker="smtp")),
    ]
    elsewhere = await subject.enqueue(queue="a", details=Details(worker="smtp"), priority=-1)
    fast = [await subject.enqueue(queue="a") for _ in range(3)]
    reply = await subject.claim(limit=3, queue_rates=rates)
    same(ids(reply.jobs), ids([*jobs[:2], fast[0]]), "what is claimed at two a minute of one queue")
    reply = await subject.claim(queue_rates=rates)
    same(ids(reply.jobs), ids([*fast[1:], elsewhere]), "what is claimed besides")
    same(reply.next_due, NOW + MINUTE // 2, "`next_due`, when the queue has no token")
    same(await starts(subject, of_queue("slow")), 2, "the tokens taken of the queue's bucket")
    await subject.expect(Committed, success(reply.jobs[-1]))
    reply = await subject.claim(
        NOW + MINUTE // 2, queues=[("slow", 2), ("a", 1)], queue_rates=rates
    )
    same(ids(reply.jobs), [jobs[2].id], "what is claimed with the next token")


async def a_named_worker_goes_on_in_another_queue(subject: Subject) -> None:
    rates = {"slow": RateLimit(1, per=60)}
    first = await subject.enqueue(queue="slow", priority=9)
    for _ in range(2):
        await subject.enqueue(queue="slow", priority=5, details=Details(worker="smtp"))
    elsewhere = await subject.enqueue(queue="a", details=Details(worker="smtp"))
    claimed: list[JobId] = []
    more = True
    while more:
        reply = await subject.claim(queue_rates=rates)
        claimed += ids(reply.jobs)
        more = reply.more
    same(claimed, ids([first, elsewhere]), "what is claimed until there is no more")


async def paused_jobs_take_no_token(subject: Subject) -> None:
    await subject.expect(Committed, PutPause(None, "x", "", NOW))
    await limited(subject, tenant="x", priority=9)
    jobs = [await limited(subject) for _ in range(2)]
    same(ids((await subject.claim()).jobs), ids(jobs), "what is claimed beside a paused tenant")


async def a_clock_that_is_set_back_freezes_no_bucket(subject: Subject) -> None:
    jobs = [await limited(subject, limit=ONE_A_SECOND) for _ in range(3)]
    same(len((await subject.claim(NOW + MINUTE)).jobs), 1, "how many jobs are claimed")
    reply = await subject.claim(NOW)
    same(ids(reply.jobs), [], "what is claimed when the clock was set back")
    same(reply.next_due, NOW + SECOND, "`next_due`, when the clock was set back")
    same(ids((await subject.claim(NOW + SECOND)).jobs), [jobs[1].id], "what is claimed then")


async def buckets_fill_again(subject: Subject) -> None:
    for _ in range(4):
        await limited(subject)
    await subject.claim()
    same(await starts(subject, of_key("api"), NOW + MINUTE - 1), 2, "what is told of a bucket")
    same(
        await starts(subject, of_key("api"), NOW + MINUTE), 0, "what is told of it when it is full"
    )
    same(len((await subject.claim(NOW + MINUTE)).jobs), 2, "how many jobs are claimed of it")


async def staged_jobs_keep_their_rate_key(subject: Subject) -> None:
    batch = new_batch()
    details = Details(rate_key="api", rate_limit=TWO_A_MINUTE, batch=batch.id)
    jobs = [subject.request(details=details) for _ in range(3)]
    await stage(subject, batch, 0, *jobs)
    await subject.expect(Inserted, InsertBatch(batch, Insert((), ()), stage=STAGE, staged=3))
    same(ids((await subject.claim()).jobs), ids(jobs[:2]), "what is claimed of three staged jobs")


async def jobs_are_found_by_rate_key(subject: Subject) -> None:
    jobs = [await limited(subject, key) for key in ("a", "b", "c")]
    of_worker = await limited(subject, "a", worker="smtp")
    await subject.enqueue()
    find = Find(9, rate_keys=frozenset({"a", "b", "none"}))
    found = (await subject.storage.read(find)).jobs
    same(ids(found), ids([of_worker, jobs[1], jobs[0]]), "found by rate key")


async def ageing_counts_waiting_as_priority(subject: Subject) -> None:
    def order(jobs: Sequence[tuple[int, int, str | None]]) -> list[int]:
        return sorted(range(len(jobs)), key=lambda n: (jobs[n][1] - jobs[n][0] * SECOND, n))

    kinds = (None, "smtp", "api")
    jobs = [
        (priority, age * SECOND // 2, kinds[(priority + age) % 3])
        for priority in (2, 0, 1)
        for age in (0, 3, -4, 1)
    ]
    made: list[JobRequest] = []
    for number, (priority, due, kind) in enumerate(jobs):
        details = {
            None: None,
            "smtp": Details(worker=f"smtp {number}"),
            "api": Details(rate_key=f"api {number % 2}", rate_limit=RateLimit(99, per=1)),
        }[kind]
        queue = ("a", "b")[number % 2]
        created_at = NOW + due
        made.append(
            await subject.enqueue(
                priority=priority, created_at=created_at, details=details, queue=queue
            )
        )
    wanted = [made[number].id for number in order(jobs)]
    claimed: list[JobId] = []
    while reply := (await subject.claim(NOW + MINUTE, limit=5, ageing=SECOND)).jobs:
        claimed += ids(reply)
    same(claimed, wanted, "the order of what is claimed with ageing")


RATING_CHECKS = (
    a_rate_key_has_tokens_for_its_burst,
    a_rate_is_exact,
    rate_keys_are_in_nobodys_way,
    rate_keys_stand_in_several_queues,
    only_what_is_claimed_takes_a_token,
    every_attempt_takes_a_token,
    a_rate_limit_goes_with_each_job,
    a_named_worker_waits_for_the_token_of_its_first_job,
    a_queue_has_a_rate,
    a_named_worker_goes_on_in_another_queue,
    paused_jobs_take_no_token,
    a_clock_that_is_set_back_freezes_no_bucket,
    buckets_fill_again,
    staged_jobs_keep_their_rate_key,
    jobs_are_found_by_rate_key,
    ageing_counts_waiting_as_priority,
)

"""The sweeper moves on what nobody else will, however much of it there is."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Gusto,
    JobFilter,
    JobFinished,
    JobQueue,
    JobState,
    Keep,
    LeaseExpired,
    MemoryStorage,
    Options,
    Retention,
    UnknownJob,
    call,
    current_job,
)
from trio_gusto.actors.sweeper import SLICE
from trio_gusto.model.facts import Fact
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import ClaimDue, Commit, Complete
from trio_gusto.testing import Asked, Barriers, Fault, FaultyStorage, VirtualClock

MANY = SLICE + 30


async def take_and_vanish(storage: MemoryStorage, clock: VirtualClock, count: int) -> None:
    """Claim jobs for a node that nobody has ever seen."""
    now = clock.instant()
    await storage.apply([ClaimDue("ghost", now, now + 60 * MICROSECONDS, count, count)])


async def test_all_jobs_of_a_vanished_node_run_again_at_the_start(
    autojump_clock: MockClock,
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    app = Gusto(storage, clock=clock, options=Options(concurrency=50))

    @app.job
    async def work() -> int:
        return current_job().attempt

    async with app.connected() as queue:
        refs = await queue.enqueue_many([call(work) for _ in range(MANY)])
    await take_and_vanish(storage, clock, MANY)
    began = trio.current_time()
    async with app.running() as queue:
        for ref in refs:
            await queue.ref(ref.id).wait()
        assert (await queue.stats()).by_state == {JobState.COMPLETED: MANY}
        assert {job.attempt for job in (await queue.find(limit=MANY)).items} == {2}
    assert trio.current_time() - began < 1


async def test_jobs_expire_when_their_time_has_come_though_nobody_looks(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(poll_interval=1000, queues=["other"]))
    facts: list[tuple[float, Fact]] = []

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        queue._probe.subscribe(lambda fact: facts.append((trio.current_time(), fact)))
        began = trio.current_time()
        refs = [await queue.enqueue(work, expire_on=seconds) for seconds in (40, 7)]
        job = await refs[1].wait()
        assert trio.current_time() - began == pytest.approx(7, abs=0.01)
        assert (job.state, job.reason) == (JobState.EXPIRED, "not started in time")
        assert await refs[0].status() is JobState.READY
        await refs[0].wait()
        ended = [(at - began, fact) for at, fact in facts if isinstance(fact, JobFinished)]
        assert [at for at, _ in ended] == pytest.approx([7, 40], abs=0.01)
        assert [fact.job_id for _, fact in ended] == [refs[1].id, refs[0].id]


async def test_retention_removes_what_has_ended_slice_by_slice(autojump_clock: MockClock) -> None:
    options = Options(concurrency=4, retention=timedelta(hours=1))
    app = Gusto(clock=VirtualClock(), options=options)

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(work) for _ in range(MANY)])
        for ref in refs:
            await ref.wait()
        later = await queue.enqueue(work, execute_after=timedelta(hours=12))
        await trio.sleep(3500)
        assert (await queue.stats()).by_state[JobState.COMPLETED] == MANY
        await trio.sleep(500)
        assert (await queue.stats()).by_state == {JobState.SCHEDULED: 1}
        with pytest.raises(UnknownJob):
            await refs[0].status()
        assert await later.status() is JobState.SCHEDULED


async def test_rules_say_how_long_jobs_are_kept(autojump_clock: MockClock) -> None:
    rules = [
        Keep(None, tags=["audit"]),
        Keep(timedelta(hours=3), states=["failed"]),
        Keep(timedelta(minutes=10), tenants=["trial"]),
    ]
    options = Options(retention=Retention(timedelta(hours=1), rules=rules), poll_interval=1000)
    app = Gusto(clock=VirtualClock(), options=options)

    @app.job(max_attempts=1)
    async def work(*, fails: bool = False) -> None:
        if fails:
            raise ValueError

    async def left(queue: JobQueue) -> set[str | None]:
        return {job.ref_id for job in (await queue.find()).items}

    async with app.running() as queue:
        await queue.enqueue(work, ref_id="plain")
        await queue.enqueue(work, ref_id="audit", tags=["audit"], tenant="trial")
        await queue.enqueue(work, ref_id="trial", tenant="trial")
        await queue.enqueue(partial(work, fails=True), ref_id="failed", tenant="trial")
        await trio.sleep(1200)
        assert await left(queue) == {"plain", "audit", "failed"}
        await queue.enqueue(work, ref_id="later trial", tenant="trial")
        await trio.sleep(1200)
        assert await left(queue) == {"plain", "audit", "failed"}
        await trio.sleep(2400)
        assert await left(queue) == {"audit", "failed"}
        await trio.sleep(9000)
        assert await left(queue) == {"audit"}


async def test_without_retention_everything_is_kept(autojump_clock: MockClock) -> None:
    options = Options(retention=None, poll_interval=1000)
    app = Gusto(clock=VirtualClock(), options=options)

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        await trio.sleep(80_000)
        assert await ref.status() is JobState.COMPLETED


async def test_of_two_nodes_that_sweep_at_once_one_recovers_the_job(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    apps = [Gusto(storage, clock=clock) for _ in range(3)]
    facts: list[Fact] = []

    async def work() -> int:
        return current_job().attempt

    handlers = [app.job(name="work")(work) for app in apps]
    async with apps[2].connected() as producer:
        ref = await producer.enqueue(handlers[2])
        async with apps[0].running() as first, apps[1].running() as second:
            for queue in (first, second):
                queue._probe.subscribe(facts.append)
            await ref.wait()
            facts.clear()
            refs = [await producer.enqueue(handlers[2], execute_after=5) for _ in range(20)]
            await trio.sleep(1)
            clock.step(10)
            await take_and_vanish(storage, clock, 20)
            for one in refs:
                assert await one.result() == 2
    expired = [fact for fact in facts if isinstance(fact, LeaseExpired)]
    assert len(expired) == len({fact.job_id for fact in expired}) == 20
    assert caplog.text.count("was lost with node") == 20


async def test_a_job_that_moved_on_while_it_was_swept_is_left_alone(
    autojump_clock: MockClock,
) -> None:
    """Somebody cancels the job between the sweeper's look and its write."""
    shared, clock = MemoryStorage(), VirtualClock()
    elsewhere = Gusto(shared, clock=clock)

    def slow_outcomes(asked: Asked) -> Fault | None:
        commits = any(isinstance(message, Commit | Complete) for message in asked.messages)
        return Fault(error=None, delay=1) if commits else None

    app = Gusto(
        FaultyStorage(shared, slow_outcomes), clock=clock, options=Options(queues=["other"])
    )
    facts: list[Fact] = []

    @elsewhere.job
    async def work() -> None: ...

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue, elsewhere.connected() as other:
        queue._probe.subscribe(facts.append)
        ref = await other.enqueue(work, expire_on=5)
        await trio.sleep(5.5)
        assert await ref.cancel("first")
        await trio.sleep(5)
        job = await ref.job()
        assert (job.state, job.reason) == (JobState.CANCELLED, "first")
        assert facts == []
        found = await shared.read(Get([]))
        assert found.jobs == []
        assert (await other.find(JobFilter(states=[JobState.EXPIRED]))).items == ()

"""The poller claims what this node can run soon, and gives back what it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import Gusto, GustoError, JobQueue, JobState, MemoryStorage, Options, Snooze, call
from trio_gusto.model.job import ClaimedJob
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Write, WriteReply
from trio_gusto.testing import Asked, Barriers, Fault, FaultyStorage, VirtualClock, drain


class Counting(MemoryStorage):
    """Remembers claims; the one named by ``slow_from`` takes a second to be answered."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: list[tuple[ClaimDue, Sequence[ClaimedJob]]] = []
        self.is_slow = False

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        for write, reply in zip(writes, replies, strict=True):
            if isinstance(write, ClaimDue):
                assert isinstance(reply, ClaimReply)
                self.claims.append((write, reply.jobs))
                if self.is_slow and reply.jobs:
                    await trio.sleep(1)
        return replies

    @property
    def taken(self) -> list[int]:
        return [len(jobs) for _, jobs in self.claims if jobs]


def make(storage: MemoryStorage | FaultyStorage, **options: object) -> Gusto:
    return Gusto(storage, clock=VirtualClock(), options=Options.from_mapping(options))


async def jobs_of(queue: JobQueue) -> list[tuple[JobState, int]]:
    return [(job.state, job.attempt) for job in (await queue.find()).items]


@pytest.mark.parametrize("max_attempts", [1, 5])
async def test_jobs_whose_claim_was_under_way_at_the_stop_are_given_back(
    autojump_clock: MockClock, max_attempts: int
) -> None:
    storage = Counting()
    app = make(storage, concurrency=2, poll_interval=1000)

    @app.job(max_attempts=max_attempts)
    async def work() -> None: ...

    async with app.connected() as queue:
        await queue.enqueue_many([call(work) for _ in range(2)])
    storage.is_slow = True
    async with app.running():
        await trio.sleep(0.5)
        assert storage.taken
    async with app.connected() as queue:
        assert await jobs_of(queue) == [(JobState.READY, 0)] * 2
        for job in (await queue.find()).items:
            assert "lost" not in [attempt.outcome for attempt in await queue.attempts(job)]


async def test_nobody_is_let_in_at_a_stop_who_stood_behind_a_job_that_is_given_back(
    autojump_clock: MockClock,
) -> None:
    storage = Counting()
    app = make(storage, concurrency=2, prefetch=4, poll_interval=1000)
    ran: list[str] = []

    @app.job
    async def work(name: str, seconds: float) -> None:
        ran.append(name)
        await trio.sleep(seconds)

    async with app.running() as queue:
        await queue.enqueue(work, "busy", 5)
        later = [call(work, name, 0, worker="smtp", execute_after=1) for name in ("a", "b")]
        refs = await queue.enqueue_many(later)
        await trio.sleep(0.5)
        storage.is_slow = True
        await trio.sleep(1)
        assert storage.taken == [1, 2]
    assert ran == ["busy"]
    async with app.connected() as queue:
        for ref in refs:
            (attempt,) = await queue.attempts(ref.id)
            assert (attempt.outcome, attempt.started_at) == ("released", None)


async def test_no_more_is_held_than_executors_and_prefetch(autojump_clock: MockClock) -> None:
    storage = Counting()
    app = make(storage, concurrency=2, prefetch=3)

    @app.job
    async def work() -> None:
        await trio.sleep(1)

    async with app.connected() as queue:
        await queue.enqueue_many([call(work) for _ in range(20)])
    async with app.running() as queue:
        await wait_all_tasks_blocked()
        states = [state for state, _ in await jobs_of(queue)]
        assert states.count(JobState.PROCESSING) == 5
        await trio.sleep(30)
        assert {state for state, _ in await jobs_of(queue)} == {JobState.COMPLETED}


async def test_slow_jobs_are_not_claimed_ahead(autojump_clock: MockClock) -> None:
    storage = Counting()
    app = make(storage, concurrency=2)

    @app.job
    async def slow() -> None:
        await trio.sleep(10)

    async with app.connected() as queue:
        await queue.enqueue_many([call(slow) for _ in range(8)])
    async with app.running() as queue:
        for _ in range(4):
            await trio.sleep(9.9)
            states = [state for state, _ in await jobs_of(queue)]
            assert states.count(JobState.PROCESSING) <= 2


async def test_quick_jobs_are_claimed_ahead(autojump_clock: MockClock) -> None:
    storage = Counting()
    app = make(storage, concurrency=1, batch_size=1000)

    @app.job
    async def quick() -> None: ...

    async with app.connected() as queue:
        await queue.enqueue_many([call(quick) for _ in range(400)])
    async with app.running() as queue:
        await drain(queue)
        assert (await queue.stats()).by_state == {JobState.COMPLETED: 400}
    assert max(storage.taken) > 1


async def test_a_job_on_its_last_attempt_is_claimed_for_a_free_executor_only(
    autojump_clock: MockClock,
) -> None:
    storage = Counting()
    app = make(storage, concurrency=1, prefetch=10)

    @app.job
    async def slow() -> None:
        await trio.sleep(5)

    @app.job(max_attempts=1)
    async def once() -> None:
        await trio.sleep(5)

    async with app.running() as queue:
        await queue.enqueue(slow)
        refs = [await queue.enqueue(once) for _ in range(3)]
        for seconds, running in ((1, 0), (5, 1), (5, 2), (5, 3)):
            await trio.sleep(seconds)
            begun = [ref for ref in refs if await ref.status() is not JobState.READY]
            assert len(begun) == running
        claims = len(storage.claims)
        await trio.sleep(3)
        assert len(storage.claims) <= claims + 2  # no busy loop around the one that waits


async def test_a_handler_that_nobody_knows_is_not_claimed_again_and_again(
    autojump_clock: MockClock,
) -> None:
    storage = Counting()
    producer, stranger = make(storage), make(storage, poll_interval=10)

    async def work() -> str:
        return "done"

    handler = producer.job(name="mail.send")(work)

    @stranger.job
    async def known() -> str:
        return "known"

    async with stranger.running() as queue, producer.connected() as elsewhere:
        refs = [await elsewhere.enqueue(handler) for _ in range(3)]
        await trio.sleep(1)
        claims = len(storage.claims)
        assert sum(storage.taken) <= 3
        assert await (await queue.enqueue(known)).result() == "known"
        await trio.sleep(95)
        assert len(storage.claims) - claims <= 20  # the safety poll, and the known job
        for ref in refs:
            job = await ref.job()
            assert (job.state, job.attempt) == (JobState.READY, 0)
    node = make(storage)
    node.job(name="mail.send")(work)
    async with node.running() as queue:
        assert [await queue.ref(ref.id).result() for ref in refs] == ["done"] * 3


async def test_a_claim_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    failures = 3

    def refuse_claims(asked: Asked) -> Fault | None:
        claims = any(isinstance(message, ClaimDue) for message in asked.messages)
        return Fault() if claims and len(storage.happened) < failures else None

    storage = FaultyStorage(MemoryStorage(), refuse_claims)
    app = make(storage)

    @app.job
    async def work() -> str:
        return "done"

    async with app.connected() as queue:
        ref = await queue.enqueue(work)
    async with app.running() as queue:
        assert await queue.ref(ref.id).result(timeout=5) == "done"
    assert len(storage.happened) == failures


async def test_a_due_time_wakes_it_and_not_the_safety_poll(autojump_clock: MockClock) -> None:
    app = make(MemoryStorage(), poll_interval=1000)
    started: list[float] = []

    @app.job
    async def note() -> None:
        started.append(trio.current_time())

    @app.job
    async def snooze() -> None:
        if len(started) < 3:
            started.append(trio.current_time())
            raise Snooze(for_=5)

    async with app.running() as queue:
        begun = trio.current_time()
        for seconds in (20, 7, 90):
            await queue.enqueue(note, execute_after=seconds)
        await trio.sleep(100)
        assert [at - begun for at in started] == pytest.approx([7, 20, 90], abs=0.01)
        started.clear()
        begun = trio.current_time()
        await (await queue.enqueue(snooze)).wait()
        assert [at - begun for at in started] == pytest.approx([0, 5, 10], abs=0.01)


async def test_it_is_not_idle_while_its_claim_waits_to_be_taken(autojump_clock: MockClock) -> None:
    """Whoever wants to wait for all work comes as often before that claim goes as after it."""
    app = make(Counting(), poll_interval=1000)
    done: list[int] = []

    @app.job
    async def work(number: int) -> None:
        await trio.sleep(1)
        done.append(number)

    async with app.running() as queue:
        for number in range(20):
            await queue.enqueue(work, number, execute_after=timedelta(seconds=5))
            await trio.sleep(5)
            await queue.work_until_idle()
            assert done[-1:] == [number]


@pytest.mark.parametrize("point", ["job_claimed", "batch_start", "job_started"])
async def test_a_stop_while_a_test_holds_it_gives_the_jobs_back(
    autojump_clock: MockClock, point: str
) -> None:
    app = make(MemoryStorage(), drain_timeout=1)
    ran: list[int] = []

    @app.job
    async def work() -> None:
        ran.append(1)

    barriers = Barriers()
    async with getattr(barriers, point).hold() as at, app.running(barriers=barriers) as queue:
        ref = await queue.enqueue(work)
        await at.reached()
    assert ran == []
    async with app.connected() as queue:
        job = await queue.ref(ref.id).job()
        assert (job.state, job.attempt) == (JobState.READY, 0)


@pytest.mark.parametrize("order", ["weighted", "strict"])
async def test_named_queues_only_are_served(autojump_clock: MockClock, order: str) -> None:
    app = make(MemoryStorage(), queues="mail, reports", queue_order=order)

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        refs = [await queue.enqueue(work, queue=name) for name in ("mail", "reports", "other")]
        await trio.sleep(20)
        states = [await ref.status() for ref in refs]
        assert states == [JobState.COMPLETED, JobState.COMPLETED, JobState.READY]


@pytest.mark.parametrize("order", ["weighted", "strict"])
async def test_a_queue_that_nobody_has_used_yet_may_be_named_and_is_in_nobodys_way(
    autojump_clock: MockClock, order: str
) -> None:
    app = make(MemoryStorage(), queues="to-come, mail", queue_order=order, concurrency=1)
    began: list[str] = []

    @app.job
    async def work(queue: str) -> None:
        began.append(queue)

    async with app.running() as queue:
        for _ in range(5):
            await queue.enqueue(work, "mail", queue="mail")
        await queue.work_until_idle()
        assert (began, trio.current_time() < 1) == (["mail"] * 5, True)
        await (await queue.enqueue(work, "to-come", queue="to-come")).wait()
    assert began[5:] == ["to-come"]


class LateClaims(FaultyStorage):
    """Tells what a claim has brought a second later."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        if any(isinstance(reply, ClaimReply) and reply.jobs for reply in replies):
            await trio.sleep(1)
        return replies


async def test_a_pause_that_comes_while_a_claim_is_under_way_covers_what_it_brings(
    autojump_clock: MockClock,
) -> None:
    shared = MemoryStorage()
    app, office = make(LateClaims(shared), concurrency=4, poll_interval=1000), make(shared)
    ran: list[str] = []

    @app.job
    async def work(name: str) -> None:
        ran.append(name)

    async with app.running() as queue, office.connected() as elsewhere:
        refs = [
            await queue.enqueue(work, name, queue=name, execute_after=5)
            for name in ("mail", "reports")
        ]
        await trio.sleep(5.5)
        await elsewhere.pause(queue="mail")
        await trio.sleep(10)
        assert ran == ["reports"]
        job = await refs[0].job()
        assert (job.state, job.attempt) == (JobState.READY, 0)
        await elsewhere.resume(queue="mail")
        await refs[0].wait()
    assert ran == ["reports", "mail"]


async def test_what_falls_due_while_a_test_holds_it_is_claimed_at_once_afterwards(
    autojump_clock: MockClock,
) -> None:
    app, barriers = make(MemoryStorage(), concurrency=2, poll_interval=1000), Barriers()
    started: list[float] = []

    @app.job
    async def work() -> None:
        started.append(trio.current_time())

    async with app.running(barriers=barriers) as queue:
        async with barriers.batch_start.hold() as at:
            await queue.enqueue(work)
            await at.reached()
            later = await queue.enqueue(work, execute_after=2)
            await trio.sleep(10)
            assert started == []
            released_at = trio.current_time()
        await later.wait()
    assert started == [released_at] * 2

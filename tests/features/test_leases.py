"""A running job belongs to one node, for as long as that node can say so."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Fact,
    Gusto,
    JobClaimed,
    JobFailed,
    JobQueue,
    JobRetrying,
    JobState,
    LeaseExpired,
    LeaseRefused,
    MemoryStorage,
    Options,
    current_job,
)
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock
from trio_gusto.testing.clock import START

LEASE = 10.0
FENCE = 9.0
"""A tenth of so short a lease is kept as a margin."""


class Cluster:
    """Nodes on one storage; the line of the first one can be cut."""

    def __init__(self) -> None:
        self.shared = MemoryStorage()
        self.clock = VirtualClock()
        self.is_cut = False
        self.first = self.node(FaultyStorage(self.shared, self._cut))
        self.second = self.node(self.shared)

    def node(self, storage: MemoryStorage | FaultyStorage) -> Gusto:
        options = Options(concurrency=2, lease=LEASE, default_timeout=None)
        return Gusto(storage, clock=self.clock, options=options)

    def _cut(self, _asked: Asked) -> Fault | None:
        return Fault() if self.is_cut else None

    async def detach_holder(self, queue: JobQueue, job_id: object) -> None:
        """Make a node's name vanish, as the system does when its process dies."""
        (job,) = [job for job in (await queue.find()).items if job.id == job_id]
        (attempt,) = await queue.attempts(job)
        await self.shared.detach(attempt.node_id)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def listen(queue: JobQueue) -> list[Fact]:
    facts: list[Fact] = []
    queue._probe.subscribe(facts.append)
    return facts


async def test_a_long_job_keeps_its_lease_and_runs_once(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    starts: list[str] = []

    async def long() -> None:
        starts.append(current_job().job.name)
        await trio.sleep(10 * LEASE)

    for app in (cluster.first, cluster.second):
        app.job(long)
    async with cluster.first.running() as queue:
        ref = await queue.enqueue(long)
        await trio.sleep(0.1)
        async with cluster.second.running():
            await ref.wait()
        assert len(starts) == 1
        assert [attempt.outcome for attempt in await queue.attempts(ref)] == ["succeeded"]


async def test_a_node_that_cannot_renew_cancels_its_handler_before_its_lease_has_passed(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    spans: dict[str, tuple[float, float]] = {}

    async def work(who: str) -> str:
        began = trio.current_time()
        try:
            await trio.sleep(1 if who == "second" else 100)
        finally:
            spans[who] = (began, trio.current_time())
        return who

    @cluster.first.job(name="job")
    async def on_first() -> str:
        return await work("first")

    @cluster.second.job(name="job")
    async def on_second() -> str:
        return await work("second")

    async with cluster.first.running() as first:
        ref = await first.enqueue(on_first)
        facts = listen(first)
        await trio.sleep(1)
        began = trio.current_time() - 1
        cluster.is_cut = True
        async with cluster.second.running() as second:
            heard = listen(second)
            assert await second.ref(ref.id).result() == "second"
            assert spans["first"][1] == pytest.approx(began + FENCE, abs=0.1)
            assert began + LEASE <= spans["second"][0] <= began + LEASE + 2
            cluster.is_cut = False
            await trio.sleep(5)
            words = [attempt.outcome for attempt in await second.attempts(ref)]
        assert words == ["lost", "succeeded"]
        assert isinstance(facts[-1], LeaseRefused)
        assert [fact for fact in heard if isinstance(fact, LeaseExpired)]
        assert await ref.status() is JobState.COMPLETED


async def test_what_a_zombie_brings_home_is_refused(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    @cluster.first.job(name="job")
    async def deaf() -> str:
        with trio.CancelScope(shield=True):
            await trio.sleep(3 * LEASE)
        return "zombie"

    @cluster.second.job(name="job")
    async def heir() -> str:
        await trio.sleep(4 * LEASE)
        return "heir"

    async with cluster.first.running() as first:
        ref = await first.enqueue(deaf)
        await trio.sleep(1)
        cluster.is_cut = True
        async with cluster.second.running() as second:
            await trio.sleep(2 * LEASE)
            cluster.is_cut = False
            facts = listen(first)
            assert await second.ref(ref.id).result() == "heir"
            refused = [fact for fact in facts if isinstance(fact, LeaseRefused)]
            assert [(fact.job_id, fact.attempt) for fact in refused] == [(ref.id, 1)]


async def test_a_lease_that_was_lost_is_named_and_its_handler_is_told(
    cluster: Cluster, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    requested: list[bool] = []

    @cluster.first.job(name="job")
    async def zombie() -> None:
        job = current_job()
        requested.append(job.cancel_requested)
        try:
            await trio.sleep(3 * LEASE)
        finally:
            requested.append(job.cancel_requested)

    @cluster.second.job(name="job")
    async def heir() -> str:
        await trio.sleep(LEASE)
        return "heir"

    async with cluster.first.running() as first:
        ref = await first.enqueue(zombie)
        await trio.sleep(1)
        facts = listen(first)
        async with cluster.second.running() as second:
            await cluster.detach_holder(second, ref.id)
            assert await second.ref(ref.id).result() == "heir"
        (refused,) = [fact for fact in facts if isinstance(fact, LeaseRefused)]
    assert requested == [False, True]
    assert (refused.job_id, refused.at) == (ref.id, START + timedelta(seconds=LEASE / 3))
    assert [one.getMessage() for one in caplog.records if "lease" in one.getMessage()] == [
        f"the lease on job {ref.id.hex} was lost",
        f"job {ref.id} (job) came too late with its outcome: its lease was no longer valid",
    ]


async def test_a_zombie_does_not_take_the_lease_of_the_same_job_s_next_attempt_with_it(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    """The job comes back to the very node whose first attempt of it will not end."""
    running: set[int] = set()
    overlaps: list[set[int]] = []

    async def body() -> str:
        attempt = current_job().attempt
        running.add(attempt)
        overlaps.append(set(running))
        try:
            with trio.CancelScope(shield=attempt == 1):
                await trio.sleep(3 * LEASE if attempt == 1 else 6 * LEASE)
        finally:
            running.discard(attempt)
        return f"attempt {attempt}"

    job = cluster.first.job(name="job")(body)
    async with cluster.first.running() as first:
        ref = await first.enqueue(job)
        await trio.sleep(1)
        cluster.is_cut = True
        await trio.sleep(LEASE)
        cluster.is_cut = False
        async with cluster.second.running():  # takes the lease away, but knows no such handler
            await trio.sleep(2)
            assert running == {
                1
            }  # it is cancelled, and does not listen; attempt 2 waits for its end
            facts = listen(first)
            assert await ref.result() == "attempt 2"
            assert all(len(overlap) == 1 for overlap in overlaps)
            # The lease of attempt 2 was renewed all the while.
            assert not [fact for fact in facts if isinstance(fact, JobRetrying | JobClaimed)]


async def test_a_node_that_hears_of_its_storage_again_gives_the_attempt_back(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    @cluster.first.job
    async def long() -> int:
        await trio.sleep(LEASE * 1.5)
        return current_job().attempt

    async with cluster.first.running() as queue:
        ref = await queue.enqueue(long)
        await trio.sleep(1)
        cluster.is_cut = True
        await trio.sleep(LEASE)
        cluster.is_cut = False
        assert await ref.result() == 1
        words = [attempt.outcome for attempt in await queue.attempts(ref)]
        assert words == ["released", "succeeded"]


async def test_a_storage_that_does_not_answer_is_no_reason_to_run_past_the_fence(
    autojump_clock: MockClock,
) -> None:
    hangs = False
    storage = FaultyStorage(
        MemoryStorage(), lambda _asked: Fault(error=None, delay=3 * LEASE) if hangs else None
    )
    app = Gusto(storage, clock=VirtualClock(), options=Options(lease=LEASE))
    ended: list[float] = []

    @app.job
    async def long() -> int:
        try:
            await trio.sleep(LEASE * 1.5)
        finally:
            ended.append(trio.current_time())
        return current_job().attempt

    async with app.running() as queue:
        ref = await queue.enqueue(long)
        await trio.sleep(1)
        hangs = True
        await trio.sleep(LEASE)
        assert ended == [pytest.approx(FENCE, abs=0.1)]
        hangs = False
        assert await ref.result() == 1


@pytest.mark.parametrize("step", [timedelta(days=365), timedelta(days=-365), timedelta(seconds=5)])
async def test_a_step_of_the_wall_clock_never_runs_a_live_job_a_second_time_beside_itself(
    cluster: Cluster, autojump_clock: MockClock, step: timedelta
) -> None:
    running: list[int] = []

    @cluster.first.job
    async def long() -> int:
        running.append(1)
        assert len(running) == 1
        try:
            await trio.sleep(3 * LEASE)
        finally:
            running.pop()
        return current_job().attempt

    async with cluster.first.running() as queue:
        ref = await queue.enqueue(long)
        await trio.sleep(1)
        facts = listen(queue)
        cluster.clock.step(step)
        assert await ref.result() == 1
        assert not [fact for fact in facts if isinstance(fact, LeaseExpired)]
        assert "lost" not in [attempt.outcome for attempt in await queue.attempts(ref)]


@pytest.mark.parametrize("worker", [None, "smtp"])
async def test_a_job_that_comes_back_ends_its_former_attempt_on_the_same_node(
    cluster: Cluster, autojump_clock: MockClock, worker: str | None
) -> None:
    """A step of the wall clock lets another node take the lease for passed; it frees the job."""
    spans: list[tuple[float, float]] = []

    @cluster.first.job(name="job")
    async def job() -> int:
        began = trio.current_time()
        try:
            await trio.sleep(3 * LEASE)
        finally:
            spans.append((began, trio.current_time()))
        return current_job().attempt

    async with cluster.first.running() as first:
        ref = await first.enqueue(job, worker=worker)
        await trio.sleep(1)
        async with cluster.second.running():  # which does not know the handler
            await trio.sleep(1)
            cluster.clock.step(timedelta(days=1))
            assert await ref.result() == 2
    former, latter = spans
    assert former[1] == pytest.approx(latter[0], abs=0.01)


async def test_an_attempt_that_waits_for_the_one_before_is_given_back_at_a_stop(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    begun: list[int] = []

    @cluster.first.job(name="job")
    async def job() -> None:
        begun.append(current_job().attempt)
        with trio.CancelScope(shield=True):
            await trio.sleep(2 * LEASE)

    async with cluster.first.running() as first:
        ref = await first.enqueue(job)
        await trio.sleep(1)
        async with cluster.second.running():  # which does not know the handler
            cluster.clock.step(timedelta(days=1))
            await trio.sleep(2)
        assert (await ref.job()).attempt == 2
    assert begun == [1]
    async with cluster.first.connected() as queue:
        ended = await queue.ref(ref.id).job()
        assert (ended.state, ended.attempt) == (JobState.READY, 1)


async def test_a_cancellation_is_noticed_at_the_next_renewal_if_nothing_else_tells(
    autojump_clock: MockClock,
) -> None:
    class Mute(MemoryStorage):
        async def wait_changed(self, node: str) -> None:
            await trio.sleep_forever()

    storage, clock = Mute(), VirtualClock()
    apps = [Gusto(storage, clock=clock, options=Options(lease=LEASE)) for _ in range(2)]
    ended: list[float] = []

    @apps[0].job
    async def long() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with apps[0].running() as queue, apps[1].connected() as elsewhere:
        ref = await queue.enqueue(long)
        await trio.sleep(1)
        asked = trio.current_time()
        assert await elsewhere.ref(ref.id).cancel("not needed")
        job = await ref.wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "not needed")
        assert ended[0] - asked <= LEASE / 3 + 0.1


async def test_the_jobs_of_a_node_that_vanished_are_taken_over_at_once(
    cluster: Cluster, autojump_clock: MockClock
) -> None:
    @cluster.first.job(name="job")
    async def endless() -> str:
        await trio.sleep_forever()
        return "first"

    @cluster.second.job(name="job")
    async def heir() -> str:
        return f"attempt {current_job().attempt}"

    released = trio.Event()

    @cluster.second.job
    async def block() -> None:  # so that the first node takes the job
        await released.wait()

    async with cluster.first.running() as first, cluster.second.running() as second:
        for _ in range(2):
            await second.enqueue(block)
        await trio.sleep(0.1)
        ref = await first.enqueue(endless)
        await trio.sleep(0.1)
        cluster.is_cut = True
        vanished = trio.current_time()
        released.set()
        await cluster.detach_holder(second, ref.id)
        assert await second.ref(ref.id).result() == "attempt 2"
        assert trio.current_time() - vanished < 0.1
        cluster.is_cut = False


@pytest.mark.parametrize(("max_attempts", "runs"), [(1, False), (2, True)])
async def test_an_attempt_that_was_lost_is_spent_and_the_last_one_fails_the_job(
    autojump_clock: MockClock, max_attempts: int, runs: bool
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    app = Gusto(storage, clock=clock, options=Options(lease=LEASE))
    ran: list[int] = []

    @app.job(max_attempts=max_attempts)
    async def work() -> None:
        ran.append(current_job().attempt)

    async with app.connected() as queue:
        ref = await queue.enqueue(work)
    now = clock.instant()
    # A node takes the job and is never heard of again.
    await storage.apply([ClaimDue("ghost", now, now + round(LEASE * MICROSECONDS), 1, 1)])
    async with app.running() as queue:
        with suppress(JobFailed):
            await queue.ref(ref.id).result()
        job = await queue.ref(ref.id).job()
        assert ran == ([2] if runs else [])
        if not runs:
            assert (job.state, job.reason) == (JobState.FAILED, "lost in its last attempt")
        assert (await queue.attempts(ref))[0].outcome == "lost"

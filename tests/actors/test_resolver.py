"""The resolver releases what waited, exactly once, whoever dies or fails meanwhile."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import (
    Gusto,
    JobFinished,
    JobReleased,
    JobState,
    MemoryStorage,
    Options,
)
from trio_gusto.actors.resolver import SLICE
from trio_gusto.clock import Clock
from trio_gusto.model.facts import Fact
from trio_gusto.model.states import Completed, Ready, Scheduled
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Commit, Complete
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Asked, Barriers, Fault, FaultyStorage, VirtualClock


class Office:
    """An app of which every job says that it ran."""

    def __init__(self, storage: Storage | None = None, **options: object) -> None:
        settings = Options.from_mapping({"concurrency": 4, **options})
        self.app = Gusto(storage, clock=VirtualClock(), options=settings)
        self.ran: Counter[str] = Counter()
        self.work = self.app.job(name="work")(self._work)
        self.fail = self.app.job(name="fail", max_attempts=1)(self._fail)

    async def _work(self, word: str) -> None:
        self.ran[word] += 1

    async def _fail(self) -> None:
        raise ValueError("as planned")


async def test_the_barrier_shows_what_was_released_and_what_was_cancelled(
    autojump_clock: MockClock,
) -> None:
    office, barriers = Office(), Barriers()
    async with office.app.running(barriers=barriers) as queue:
        parent = await queue.enqueue(office.work, "parent", execute_after=1)
        released = await queue.continue_with(parent, office.work, "child")
        cancelled = await queue.continue_with(parent, office.work, "never", on="failure")
        follower = await queue.continue_with(cancelled, office.work, "never")
        passed = await barriers.continuations_resolved.wait()
        assert (passed.released, passed.cancelled) == ((released.id,), (cancelled.id,))
        passed = await barriers.continuations_resolved.wait()
        assert (passed.job_ids, passed.released) == ((follower.id,), ())


async def test_a_held_resolver_has_recorded_what_it_decided(autojump_clock: MockClock) -> None:
    office, barriers = Office(), Barriers()
    async with office.app.running(barriers=barriers) as queue:
        async with barriers.continuations_resolved.hold() as at:
            parent = await queue.enqueue(office.work, "parent")
            child = await queue.continue_with(parent, office.work, "child")
            await at.reached()
            assert await child.status() is not JobState.WAITING
            later = await queue.continue_with(parent, office.work, "later")
            await wait_all_tasks_blocked()
            assert await later.status() is JobState.WAITING
        await later.wait(1)


async def test_facts_tell_of_what_was_released_and_cancelled(autojump_clock: MockClock) -> None:
    office = Office()
    facts: list[Fact] = []
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent", execute_after=1)
        child = await queue.continue_with(parent, office.work, "child")
        never = await queue.continue_with(parent, office.work, "never", on="failure")
        queue._probe.subscribe(facts.append)
        await child.wait(5)
        await never.wait(5)
    released = [fact.job_id for fact in facts if isinstance(fact, JobReleased)]
    cancelled = [
        fact.job_id
        for fact in facts
        if isinstance(fact, JobFinished) and fact.state is JobState.CANCELLED
    ]
    assert (released, cancelled) == ([child.id], [never.id])


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_storage_that_fails_at_the_release_releases_once_all_the_same(
    autojump_clock: MockClock, after_commit: bool
) -> None:
    def fail_first_release(asked: Asked) -> Fault | None:
        releases = any(
            isinstance(message, Commit) and isinstance(message.state, Ready | Scheduled)
            for message in asked.messages
        )
        return Fault(after_commit=after_commit) if releases and not storage.happened else None

    storage = FaultyStorage(MemoryStorage(), fail_first_release)
    office = Office(storage)
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
        await child.wait(60)
    assert len(storage.happened) == 1
    assert office.ran == {"parent": 1, "child": 1}


async def test_a_storage_that_cannot_be_read_for_a_while_delays_the_release(
    autojump_clock: MockClock,
) -> None:
    def fail_reads(asked: Asked) -> Fault | None:
        about = isinstance(asked.messages[0], Dependents)
        return Fault(on="read") if about and 2 <= asked.nth < 9 else None

    storage = FaultyStorage(MemoryStorage(), fail_reads)
    office = Office(storage)
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
        await child.wait(60)
    assert storage.happened
    assert office.ran == {"parent": 1, "child": 1}


async def test_a_resolver_that_dies_is_replaced_and_finds_what_was_left(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Office()
    broken = True

    async with office.app.running() as queue:
        read = queue._desk.read

        async def break_once(query: object) -> object:
            nonlocal broken
            if isinstance(query, Dependents) and broken:
                broken = False
                raise RuntimeError("a defect")
            return await read(query)  # type: ignore[call-overload]

        monkeypatch.setattr(queue._desk, "read", break_once)
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
        await child.wait(60)
    assert not broken
    assert office.ran == {"parent": 1, "child": 1}


async def test_parents_that_end_in_two_processes_at_once_release_their_child_once(
    autojump_clock: MockClock,
) -> None:
    """Each of the two may see that all have ended; one is quicker."""
    storage = MemoryStorage()
    first, second = Office(storage, queues=["a", "c"]), Office(storage, queues=["b", "c"])
    async with first.app.running() as queue, second.app.running():
        for _ in range(20):
            parents = [
                await queue.enqueue(first.work, "parent", queue=name, execute_after=5)
                for name in "ab"
            ]
            child = await queue.continue_with(parents, first.work, "child", queue="c")
            await child.wait(60)
    ran = first.ran + second.ran
    assert ran == {"parent": 40, "child": 20}
    assert first.ran["parent"] == second.ran["parent"] == 20


async def end_elsewhere(storage: MemoryStorage, clock: VirtualClock) -> None:
    """A node runs the job that is due, and dies before it can tell anybody."""
    now = clock.instant()
    (reply,) = await storage.apply([ClaimDue("ghost", now, now + 10**9, 1, 1)])
    assert isinstance(reply, ClaimReply)
    (job,) = reply.jobs
    await storage.apply([Complete([job], [Completed(now, now, now, "ghost")])])


async def test_what_a_process_left_that_died_at_its_job_s_end_is_released_by_a_neighbour(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    office = Office(storage, queues=["here"])
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent", queue="elsewhere")
        child = await queue.continue_with(parent, office.work, "child", queue="here")
        await trio.sleep(100)
        began = trio.current_time()
        await end_elsewhere(storage, VirtualClock())
        await child.wait(60)
        assert trio.current_time() - began <= Clock.longest_sleep
    assert office.ran == {"child": 1}


async def test_what_a_process_left_that_died_at_its_job_s_end_is_released_at_the_next_start(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    office = Office(storage)
    async with office.app.connected() as queue:
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
    await end_elsewhere(storage, VirtualClock())
    async with office.app.running() as queue:
        await queue.ref(child.id).wait(1)
    assert office.ran == {"child": 1}


async def test_a_neighbour_that_changes_things_is_looked_after_within_a_second(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    office = Office(storage, queues=["here"])
    ghost = Office(storage, queues=["nowhere"])
    async with office.app.running() as queue, ghost.app.connected() as other:
        parent = await queue.enqueue(office.work, "parent", queue="elsewhere")
        child = await queue.continue_with(parent, office.work, "child", queue="here")
        await trio.sleep(100)
        began = trio.current_time()
        await end_elsewhere(storage, VirtualClock())
        await other.enqueue(ghost.work, "anything", queue="elsewhere")
        await child.wait(60)
        assert trio.current_time() - began <= 1


async def test_thousands_that_wait_for_one_are_released_slice_by_slice(
    autojump_clock: MockClock,
) -> None:
    office = Office()
    many = 3 * SLICE + 1
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent", execute_after=10)
        for _ in range(many):
            await queue.continue_with(parent, office.work, "child")
        await parent.wait(60)
        await trio.sleep(1)
        assert (await queue.stats()).by_state == {JobState.COMPLETED: many + 1}
    assert office.ran == {"parent": 1, "child": many}


async def test_nothing_is_asked_while_nothing_waits(autojump_clock: MockClock) -> None:
    asked: list[float] = []

    def watch(call: Asked) -> None:
        if isinstance(call.messages[0], Dependents):
            asked.append(trio.current_time())

    office = Office(FaultyStorage(MemoryStorage(), watch))
    async with office.app.running() as queue:
        for _ in range(50):
            await (await queue.enqueue(office.work, "alone")).wait()
        assert len(asked) == 1  # at the start
        await trio.sleep(10 * Clock.longest_sleep + 1)
    assert len(asked) <= 12


async def test_what_is_due_when_the_app_stops_is_released_before_it_has_stopped(
    autojump_clock: MockClock,
) -> None:
    office, barriers = Office(), Barriers()
    async with (
        office.app.running(barriers=barriers) as queue,
        barriers.job_started.hold() as at,
    ):
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
        await at.reached()
    async with office.app.connected() as queue:
        assert await queue.ref(parent.id).status() is JobState.COMPLETED
        assert await queue.ref(child.id).status() is JobState.READY


async def test_a_continuation_whose_parents_cannot_be_read_is_given_back_and_runs_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_parents(asked: Asked) -> Fault | None:
        about = isinstance(asked.messages[0], Get)
        return Fault(on="read") if about and not storage.happened else None

    storage = FaultyStorage(MemoryStorage(), fail_parents)
    office, barriers = Office(storage), Barriers()
    async with office.app.running(barriers=barriers) as queue:
        parent = await queue.enqueue(office.work, "parent")
        child = await queue.continue_with(parent, office.work, "child")
        while (await barriers.job_settled.wait()).state is not JobState.READY:
            pass
        job = await child.wait(60)
        assert (job.state, job.attempt) == (JobState.COMPLETED, 1)
    assert office.ran == {"parent": 1, "child": 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"the parents of job {child.id} could not be read: the storage is busy: a fault of this test"
    ]


async def test_a_continuation_whose_parents_are_being_read_at_a_stop_is_given_back(
    autojump_clock: MockClock,
) -> None:
    def hang(asked: Asked) -> Fault | None:
        is_of_parents = any(isinstance(it, Get) for it in asked.messages)
        return Fault(on="read", error=None, delay=1000) if is_of_parents else None

    storage = FaultyStorage(MemoryStorage(), hang)
    office = Office(storage, drain_timeout=1)
    async with office.app.running() as queue:
        parent = await queue.enqueue(office.work, "parent", execute_after=1)
        child = await queue.continue_with(parent, office.work, "child")
        await trio.sleep(5)
        assert storage.happened
    assert office.ran == Counter(parent=1)
    async with Office(storage.storage).app.connected() as queue:
        job = await queue.ref(child.id).job()
        assert (job.state, job.attempt) == (JobState.READY, 0)


async def test_news_that_come_while_it_looks_are_looked_at_once(autojump_clock: MockClock) -> None:
    storage = MemoryStorage()
    asked: list[float] = []

    def listen(what: Asked) -> Fault | None:
        if not any(isinstance(it, Dependents) for it in what.messages):
            return None
        asked.append(trio.current_time())
        return Fault(on="read", error=None, delay=5)

    office, neighbour = Office(FaultyStorage(storage, listen)), Office(storage)
    async with office.app.running(), neighbour.app.connected() as queue:
        parent = await queue.enqueue(neighbour.work, "parent", execute_after=1000)
        await queue.continue_with(parent, neighbour.work, "child")
        await trio.sleep(100)
        asked.clear()
        for _ in range(4):
            await queue.continue_with(parent, neighbour.work, "other")
            await trio.sleep(1.2)
        await trio.sleep(20)
        assert len(asked) == 2, "for the first of them, and again for the others"

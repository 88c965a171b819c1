"""Named workers do one job at a time, in order; and what is paused does not start."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.features.conftest import MakeNode
from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    Fail,
    Gusto,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    Options,
    OptionsError,
    call,
    fixed,
)
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.lease_messages import CancelRequests
from trio_gusto.storage.messages import Query
from trio_gusto.storage.pause_messages import HeardPauses, LiftPauses, Pauses
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import Asked, Barriers, Fault, FaultyStorage, VirtualClock


class Factory:
    """Nodes that run one handler, which notes what it does."""

    def __init__(self, make_node: MakeNode) -> None:
        self._make_node = make_node
        self._clock = VirtualClock()
        self.notes: list[tuple[str, int]] = []
        self.running: set[int] = set()

    def node(self, **options: object) -> Gusto:
        settings = {"concurrency": 2, "prefetch": 0} | options
        app = Gusto(
            self._make_node(),
            clock=self._clock,
            options=Options(**settings),  # type: ignore[arg-type]
        )
        self.work = app.job(name="work")(self._work)
        return app

    async def _work(self, number: int) -> None:
        self.notes.append(("begin", number))
        self.running.add(number)
        await trio.sleep(10)
        self.running.remove(number)
        self.notes.append(("end", number))

    @property
    def begun(self) -> list[int]:
        return [number for word, number in self.notes if word == "begin"]

    @asynccontextmanager
    async def nodes(self, count: int, **options: object) -> AsyncGenerator[list[JobQueue]]:
        async with AsyncExitStack() as stack:
            apps = [self.node(**options) for _ in range(count)]
            yield [await stack.enter_async_context(app.running()) for app in apps]


@pytest.fixture
def factory(make_node: MakeNode) -> Factory:
    return Factory(make_node)


# --- named workers --------------------------------------------------------------------------------


async def test_jobs_of_a_named_worker_run_one_at_a_time_in_order_on_several_nodes(
    factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.nodes(3) as queues:
        refs = [
            await queues[number % 3].enqueue(factory.work, number, worker="smtp")
            for number in range(6)
        ]
        started = trio.current_time()
        for ref in refs:
            await ref.wait()
    assert factory.notes == [(word, number) for number in range(6) for word in ("begin", "end")]
    assert trio.current_time() - started < 61, "nobody waited for longer than the job before"


async def test_a_named_worker_is_in_nobodys_way(
    factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.nodes(1) as (queue,):
        slow = await queue.enqueue(factory.work, 0, worker="smtp")
        await trio.sleep(1)
        behind = await queue.enqueue(factory.work, 1, worker="smtp", priority=9)
        plain = await queue.enqueue(factory.work, 2, priority=-9)
        other = await queue.enqueue(factory.work, 3, worker="printer", priority=-10)
        await slow.wait()
        await plain.wait()
        assert trio.current_time() == pytest.approx(11, abs=0.5)
        await behind.wait()
        await other.wait()
    assert factory.begun == [0, 2, 1, 3]


async def test_what_has_other_options_is_claimed_beside_a_named_worker_and_waits_for_nobody(
    factory: Factory, autojump_clock: MockClock
) -> None:
    app = factory.node(concurrency=3)
    async with app.connected() as queue:
        await queue.enqueue(factory.work, 0, worker="smtp")
        await queue.enqueue(factory.work, 1, unique_key="one")
        await queue.enqueue(factory.work, 2, worker="smtp")
    await app.run_until_idle()
    assert factory.begun == [0, 1, 2]
    assert factory.notes.index(("begin", 1)) < factory.notes.index(("end", 0))
    assert factory.notes.index(("begin", 2)) > factory.notes.index(("end", 0))


async def test_a_handler_may_name_its_worker_and_a_call_another_or_none(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())

    @app.job(worker="smtp")
    async def send() -> None: ...

    async with app.connected() as queue:
        await queue.enqueue(send)
        await queue.enqueue(send, worker="other")
        await queue.enqueue(send, worker=None)
        found = (await queue.find(JobFilter())).items
        assert [job.worker for job in reversed(found)] == ["smtp", "other", None]
        named = (await queue.find(JobFilter(workers=["other", "nobody"]))).items
        assert [job.worker for job in named] == ["other"]


async def test_a_job_that_waits_for_its_next_attempt_leaves_its_worker_free(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    app = Gusto(make_node(), clock=VirtualClock())
    begun: list[str] = []

    @app.job(worker="smtp", retry=fixed(60))
    async def send(whom: str) -> None:
        begun.append(whom)
        if begun == ["ann"]:
            raise ConnectionError

    async with app.running() as queue:
        refs = [await queue.enqueue(send, whom) for whom in ("ann", "bob", "cyd")]
        for ref in refs:
            await ref.wait()
    assert begun == ["ann", "bob", "cyd", "ann"]


@pytest.mark.parametrize("end", ["raises", "is cancelled", "times out"])
async def test_however_a_job_ends_its_worker_is_free(
    end: str, make_node: MakeNode, autojump_clock: MockClock
) -> None:
    app = Gusto(make_node(), clock=VirtualClock())

    @app.job(worker="smtp", max_attempts=1, timeout=5)
    async def first() -> None:
        if end == "raises":
            raise Fail("no such address")
        await trio.sleep_forever()

    @app.job(worker="smtp")
    async def second() -> float:
        return trio.current_time()

    async with app.running() as queue:
        start = trio.current_time()
        ref = await queue.enqueue(first)
        behind = await queue.enqueue(second)
        if end == "is cancelled":
            await trio.sleep(1)
            await ref.cancel()
        assert await behind.result() - start < 5.1


async def test_a_worker_whose_node_vanished_is_free_when_that_is_found_out(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    factory = Factory(lambda: storage)
    async with factory.nodes(1) as (queue,):
        await queue.enqueue(factory.work, 0, worker="smtp", max_attempts=1)
        behind = await queue.enqueue(factory.work, 1, worker="smtp")
        await trio.sleep(1)
        (lost,) = (await queue.find(JobFilter(states=["processing"]))).items
        (attempt,) = await queue.attempts(lost)
        other = factory.node()
        await storage.detach(attempt.node_id)
        async with other.running() as neighbour:
            with trio.fail_after(60):
                await neighbour.ref(lost.id).wait()
                await neighbour.ref(behind.id).wait()
    assert factory.begun == [0, 1]


# --- pauses ---------------------------------------------------------------------------------------


async def test_after_a_pause_nothing_starts_until_it_is_lifted(
    factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.nodes(2, concurrency=1, prefetch=4) as queues:
        await queues[0].enqueue_many([call(factory.work, number) for number in range(6)])
        await queues[1].enqueue_many([call(factory.work, number) for number in range(6, 12)])
        await trio.sleep(1)
        await queues[0].pause(reason="repairs")
        begun = list(factory.begun)
        assert len(begun) == 2
        await trio.sleep(600)
        assert factory.begun == begun
        assert not factory.running, "what had begun was done"
        held = (await queues[1].find(JobFilter(states=["ready"]), limit=100)).items
        assert [job.attempt for job in held] == [0] * 10, "and what was not is as it was"
        await queues[1].resume()
        await trio.sleep(60)
        assert sorted(factory.begun) == list(range(12))


async def test_a_pause_is_heard_of_on_other_nodes_before_it_returns(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    factory = Factory(make_node)
    async with (
        factory.node(concurrency=1, prefetch=4).running() as queue,
        Gusto(make_node(), clock=VirtualClock()).connected() as office,
    ):
        await queue.enqueue_many([call(factory.work, number) for number in range(6)])
        await trio.sleep(9.5)
        await office.pause()
        paused_at = trio.current_time()
        assert paused_at < 9.9, "it has not waited for the job that runs"
        assert (await queue.stats()).by_state[JobState.PROCESSING] == 1
        await trio.sleep(30)
    assert factory.begun == [0]


async def test_a_job_held_by_a_barrier_is_given_back(autojump_clock: MockClock) -> None:
    app = Gusto(clock=VirtualClock())
    begun: list[str] = []

    @app.job
    async def work() -> None:
        begun.append("work")

    barriers = Barriers()
    async with app.running(barriers=barriers) as queue, barriers.job_started.hold() as at:
        ref = await queue.enqueue(work)
        await at.reached()
        await queue.pause()
        await trio.sleep(1)
        assert (await ref.job()).attempt == 0
    assert begun == []


@pytest.mark.parametrize(
    ("scope", "wanted"),
    [
        ({"queue": "mail"}, [2, 3]),
        ({"tenant": "acme"}, [0, 2]),
        ({"queue": "mail", "tenant": ""}, [1, 2, 3]),
        ({"tenant": ""}, [1, 3]),
        ({}, []),
    ],
)
async def test_a_pause_is_of_a_queue_a_tenant_both_or_everything(
    scope: dict[str, str], wanted: list[int], factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.nodes(1) as (queue,):
        await queue.pause(**scope)
        places = [(name, tenant) for name in ("mail", "other") for tenant in ("", "acme")]
        for number, (name, tenant) in enumerate(places):
            await queue.enqueue(factory.work, number, queue=name, tenant=tenant)
        await trio.sleep(100)
        assert sorted(factory.begun) == wanted
        await queue.resume(**scope)
        await trio.sleep(100)
        assert sorted(factory.begun) == [0, 1, 2, 3]


async def test_pauses_are_told_with_reason_and_since(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    clock = VirtualClock()
    async with Gusto(make_node(), clock=clock).connected() as queue:
        first = clock.now()
        await queue.pause(queue="mail", reason="the relay is down")
        await trio.sleep(60)
        await queue.pause(queue="mail", reason="still")
        await queue.pause()
        mail, everything = await queue.paused()
        assert (mail.queue, mail.tenant, mail.reason) == ("mail", None, "the relay is down")
        assert mail.since == first
        assert (everything.queue, everything.tenant, everything.reason) == (None, None, "")
        assert everything.since == first + timedelta(seconds=60)
        await queue.resume(queue="other")
        assert await queue.paused() == (mail, everything)
        await queue.resume(queue="mail")
        assert await queue.paused() == (everything,)
        await queue.pause(tenant="acme")
        await queue.resume()
        assert await queue.paused() == ()


async def test_a_queue_or_tenant_that_nobody_knows_yet_may_be_paused(
    factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.nodes(1) as (queue,):
        await queue.pause(queue="to-come")
        await queue.pause(tenant="nobody yet")
        held = [
            await queue.enqueue(factory.work, 0, queue="to-come"),
            await queue.enqueue(factory.work, 1, tenant="nobody yet"),
        ]
        await (await queue.enqueue(factory.work, 2)).wait()
        assert [await ref.status() for ref in held] == [JobState.READY] * 2
        await queue.resume(queue="no such pause")
        assert len(await queue.paused()) == 2
        await queue.resume()
        for ref in held:
            assert (await ref.wait()).state is JobState.COMPLETED


async def test_a_pause_outlives_all_processes(tmp_path: Path, autojump_clock: MockClock) -> None:
    factory = Factory(lambda: SqliteStorage(tmp_path / "jobs.db", inline=True))
    async with factory.node().connected() as queue:
        await queue.pause(queue="default", reason="until tomorrow")
    async with factory.nodes(1) as (queue,):
        await queue.enqueue(factory.work, 1)
        await trio.sleep(1000)
        assert [pause.reason for pause in await queue.paused()] == ["until tomorrow"]
    assert factory.begun == []
    await factory.node().run_until_idle()
    assert factory.begun == []
    async with factory.node().connected() as queue:
        await queue.resume(queue="default")
    await factory.node().run_until_idle()
    assert factory.begun == [1]


async def test_a_pause_is_heard_of_though_it_could_not_be_asked_about_at_first(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    shared = MemoryStorage()
    asked: list[Query] = []

    def refuse_first(what: Asked) -> Fault | None:
        questions = [one for one in what.messages if isinstance(one, CancelRequests)]
        asked.extend(questions)
        return Fault(on="read") if questions and len(asked) == 1 else None

    factory = Factory(lambda: FaultyStorage(shared, refuse_first))
    async with (
        factory.node(concurrency=1, prefetch=4, lease=15).running() as queue,
        Gusto(shared, clock=VirtualClock()).connected() as office,
    ):
        await queue.enqueue_many([call(factory.work, number) for number in range(4)])
        await wait_all_tasks_blocked()
        asked.clear()
        with trio.fail_after(6):  # it asks again with the next renewal
            await office.pause()
        begun = list(factory.begun)
        await trio.sleep(100)
        assert factory.begun == begun
        assert 2 <= len(asked) <= 4, "and not for ever"
    assert {one.getMessage() for one in caplog.records} == {
        "what others want of running jobs could not be read: the storage is busy: a fault of this test"
    }


async def test_a_pause_takes_nothing_back_that_it_does_not_cover(
    factory: Factory, autojump_clock: MockClock
) -> None:
    async with factory.node(concurrency=1, prefetch=4).running() as queue:
        refs = [
            await queue.enqueue(factory.work, number, queue=name)
            for number, name in enumerate(("mail", "mail", "reports"))
        ]
        await trio.sleep(1)
        await queue.pause(queue="mail")
        await trio.sleep(1)
        held = [await ref.status() for ref in refs]
        assert held == [JobState.PROCESSING, JobState.READY, JobState.PROCESSING]
        assert len(await queue.attempts(refs[2])) == 1, "held ahead, as before"


async def test_a_pause_that_somebody_lifts_at_once_is_over(autojump_clock: MockClock) -> None:
    class Lifted(MemoryStorage):
        async def read(self, query: Any) -> Any:
            if isinstance(query, Pauses):
                self.perform(LiftPauses(None, None))
            return await super().read(query)

    factory = Factory(Lifted)
    async with factory.node().running() as queue:
        ref = await queue.enqueue(factory.work, 0, execute_after=1)
        await queue.pause()
        await ref.wait()
    assert factory.begun == [0]


async def test_a_node_that_could_not_say_that_it_has_heard_of_a_pause_says_so_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    shared = MemoryStorage()
    refused: list[float] = []

    def refuse_first(what: Asked) -> Fault | None:
        if refused or not any(isinstance(one, HeardPauses) for one in what.messages):
            return None
        refused.append(trio.current_time())
        return Fault()

    factory = Factory(lambda: FaultyStorage(shared, refuse_first))
    async with (
        factory.node().running(),
        Gusto(shared, clock=VirtualClock()).connected() as office,
    ):
        with trio.fail_after(100):
            await office.pause()
    assert refused
    assert "heard of a pause could not be noted" in caplog.text


@pytest.mark.parametrize(
    "wrong", [{"queue": ""}, {"queue": 3}, {"tenant": None, "reason": 5}, {"tenant": "x" * 1000}]
)
async def test_a_pause_of_no_name_is_refused(
    wrong: dict[str, object], autojump_clock: MockClock
) -> None:
    async with Gusto().connected() as queue:
        with pytest.raises(OptionsError):
            await queue.pause(**wrong)  # type: ignore[arg-type]
        assert await queue.paused() == ()


async def test_providers_know_neither_workers_nor_pauses(autojump_clock: MockClock) -> None:
    app = Gusto(ProviderStorage(Shelf(), MyRecord))

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="named workers"):
            await queue.enqueue(work, worker="smtp")
        for verb in (queue.pause, queue.resume, queue.paused):
            with pytest.raises(NotSupported, match="pauses"):
                await verb()

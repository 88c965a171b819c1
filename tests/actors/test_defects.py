"""A defect in an actor, or an outage behind it, leaves no job stuck in silence."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import ActorRestarted, Gusto, MemoryStorage, Options, StorageError, current_job
from trio_gusto.actors.executor import Executors
from trio_gusto.model.facts import Fact
from trio_gusto.testing import VirtualClock


@pytest.mark.parametrize("defect", [ZeroDivisionError, RuntimeError])
async def test_a_defect_in_an_executor_frees_its_job_and_gives_the_others_back(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, defect: type[Exception]
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=2, lease=10))
    facts: list[Fact] = []
    wind_up = Executors._wind_up
    defects = 1

    async def break_down(*args: object) -> None:
        nonlocal defects
        if defects:
            defects -= 1
            raise defect
        await wind_up(*args)  # type: ignore[arg-type]  # whatever it takes

    monkeypatch.setattr(Executors, "_wind_up", break_down)

    @app.job(timeout=5)
    async def fail_once() -> int:
        if current_job().attempt == 1:
            raise ValueError
        return current_job().attempt

    @app.job
    async def bystander() -> int:
        await trio.sleep(20)
        return current_job().attempt

    async with app.running() as queue:
        queue._probe.subscribe(facts.append)
        beside = await queue.enqueue(bystander)
        await trio.sleep(1)
        ref = await queue.enqueue(fail_once)
        assert await ref.result(timeout=60) == 2
        assert [one.outcome for one in await queue.attempts(ref)] == ["lost", "succeeded"]
        assert await beside.result() == 1
        assert [one.outcome for one in await queue.attempts(beside)] == ["released", "succeeded"]
    (restart,) = [fact for fact in facts if isinstance(fact, ActorRestarted)]
    assert restart.actor == "executors"
    assert [error.type for error in restart.error.children] == [defect.__name__]


async def test_a_defect_in_an_executor_frees_the_worker_of_its_job(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=2, prefetch=4, lease=10))
    defects = 1
    attempt = Executors._attempt

    async def break_down(*args: object) -> int:
        nonlocal defects
        if defects:
            defects -= 1
            await trio.sleep(1)
            raise ZeroDivisionError
        return await attempt(*args)  # type: ignore[arg-type]  # whatever it takes

    monkeypatch.setattr(Executors, "_attempt", break_down)

    @app.job
    def in_a_thread(number: int) -> int:
        return number

    async with app.running() as queue:
        refs = [await queue.enqueue(in_a_thread, number, worker="smtp") for number in range(3)]
        with trio.fail_after(100):
            assert [await ref.result() for ref in refs] == [0, 1, 2]


async def test_a_storage_that_cannot_tell_of_changes_is_asked_again_and_again(
    autojump_clock: MockClock,
) -> None:
    class HardOfHearing(MemoryStorage):
        is_deaf = False

        async def wait_changed(self, node: str) -> None:
            if self.is_deaf:
                raise StorageError("the line is dead")
            await super().wait_changed(node)

    storage, clock = HardOfHearing(), VirtualClock()
    app, elsewhere = (
        Gusto(storage, clock=clock, options=Options(poll_interval=1000)) for _ in range(2)
    )

    async def work() -> float:
        return trio.current_time()

    app.job(name="work")(work)
    handler = elsewhere.job(name="work")(work)
    async with elsewhere.connected() as producer, app.running():
        storage.is_deaf = True
        for _ in range(5):
            await trio.sleep(60)
            asked = trio.current_time()
            ref = await producer.enqueue(handler)
            assert await ref.result() - asked < 2
        storage.is_deaf = False
        await trio.sleep(60)
        asked = trio.current_time()
        assert await (await producer.enqueue(handler)).result() == asked

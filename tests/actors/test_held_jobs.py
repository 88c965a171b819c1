"""Jobs that wait for the one before them are let go once, whatever fails or is removed meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, Handler, JobFilter, JobState, MemoryStorage, Options, every
from trio_gusto.storage.finding_messages import Found, Get
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock, drain


async def test_held_jobs_are_let_go_one_after_the_other(autojump_clock: MockClock) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=4, default_timeout=None))
    running: set[int] = set()

    @app.job
    async def work(number: int) -> None:
        assert number not in running
        running.add(number)
        await trio.sleep(90)
        running.remove(number)

    async with app.running() as queue:
        for number in range(20):
            name = f"{number}"
            await queue.schedule(name, work, number, trigger=every(60), overlap="buffer_one")
        await trio.sleep(3600)
        for number in range(20):
            jobs = (await queue.find(JobFilter(schedule_name=f"{number}"), limit=100)).items
            states = [job.state for job in jobs]
            assert JobState.FAILED not in states
            assert 7 <= states.count(JobState.COMPLETED) <= 8
            assert sum(not state.is_ended for state in states) <= 2


async def test_a_guard_outlives_a_fault_of_the_storage(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broken = False

    def plan(asked: Asked) -> Fault | None:
        is_meant = any(type(it).__name__ in ("Get", "Commit") for it in asked.messages)
        return Fault() if broken and is_meant else None

    app = Gusto(
        FaultyStorage(MemoryStorage(), plan),
        clock=VirtualClock(),
        options=Options(concurrency=4, default_timeout=None),
    )

    @app.job
    async def work() -> None:
        await trio.sleep(100)

    async with app.running() as queue:
        await queue.schedule("ledger", work, trigger=every(60), overlap="buffer_one")
        await trio.sleep(155)
        broken = True
        await trio.sleep(20)
        broken = False
        await trio.sleep(4)
        second = (await queue.find()).items[-2]
        assert second.state is JobState.PROCESSING
    assert "is held longer" in caplog.text


def buffering(storage: MemoryStorage) -> tuple[Gusto, Handler[[], None]]:
    """An app with a job that takes longer than the minute after which it is due again."""
    app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=4, default_timeout=None))

    @app.job
    async def work() -> None:
        await trio.sleep(100)

    return app, work


async def test_a_held_job_outlives_those_that_retention_has_removed(
    autojump_clock: MockClock,
) -> None:
    """They are gone before its guard has looked at them."""

    class Forgetful(MemoryStorage):
        def _get(self, get: Get) -> Found:
            found = super()._get(get)
            kept = [job for job in found.jobs if job.state.word is not JobState.PROCESSING]
            return Found(kept)

    app, work = buffering(Forgetful())
    async with app.running() as queue:
        await queue.schedule("ledger", work, trigger=every(60), overlap="cancel_other")
        await trio.sleep(121)
        states = [job.state for job in (await queue.find()).items]
        assert states == [JobState.PROCESSING] * 2


async def test_a_held_job_that_retention_has_removed_is_looked_after_no_longer(
    autojump_clock: MockClock,
) -> None:
    class Forgetful(MemoryStorage):
        """Shows nobody a job that was called off."""

        def _get(self, get: Get) -> Found:
            found = super()._get(get)
            return Found([job for job in found.jobs if job.state.word is not JobState.CANCELLED])

    app, work = buffering(Forgetful())
    async with app.running() as queue:
        await queue.schedule("ledger", work, trigger=every(60), overlap="buffer_one")
        await trio.sleep(121)
        await queue.cancel((await queue.find()).items[0])
        await queue.remove_schedule("ledger")
        with trio.fail_after(100):
            await queue.work_until_idle()
        states = [job.state.value for job in (await queue.find()).items]
        assert states == ["cancelled", "completed"]


async def test_a_held_job_that_is_called_off_as_it_is_let_go_stays_called_off(
    autojump_clock: MockClock,
) -> None:
    class Slow(MemoryStorage):
        """Takes a second to answer what it is asked about jobs that wait."""

        async def read(self, query: Any) -> Any:
            reply = await super().read(query)
            if isinstance(query, Get) and any(
                job.state.word is JobState.WAITING for job in reply.jobs
            ):
                await trio.sleep(1)
            return reply

    app, work = buffering(Slow())
    async with app.running() as queue:
        await queue.schedule("ledger", work, trigger=every(60), overlap="buffer_one")
        await trio.sleep(158)
        held = (await queue.find()).items[0]
        assert held.state is JobState.WAITING
        async with trio.open_nursery() as nursery:
            await trio.sleep(1.2)
            nursery.start_soon(queue.cancel, held, "not this one")
        await queue.remove_schedule("ledger")
        await drain(queue)
        states = [job.state.value for job in (await queue.find()).items]
        assert states == ["cancelled", "completed"]


async def test_a_held_job_that_is_called_off_stays_called_off(autojump_clock: MockClock) -> None:
    app, work = buffering(MemoryStorage())
    async with app.running() as queue:
        await queue.schedule("ledger", work, trigger=every(60), overlap="buffer_one")
        await trio.sleep(121)
        held = (await queue.find()).items[0]
        assert held.state is JobState.WAITING
        await queue.cancel(held, "not this one")
        await queue.remove_schedule("ledger")
        await drain(queue)
        states = [job.state.value for job in (await queue.find()).items]
        assert states == ["cancelled", "completed"]

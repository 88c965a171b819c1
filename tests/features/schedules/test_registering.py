"""Schedules are registered at each start, edited, paused, run by hand, listed and removed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.features.schedules.shop import HOUR, MINUTE, Shop, history
from trio_gusto import JobQueue, MemoryStorage, Storage, fixed
from trio_gusto.testing import drain


async def test_registering_again_at_every_start_changes_nothing(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)

    async def register(queue: JobQueue) -> Any:
        return await queue.schedule(
            "ledger",
            shop.close_day,
            trigger=HOUR,
            tags=["b", "a"],
            metadata={"till": [1, 2.5, None]},
            retry=fixed(3),
            timeout=60,
            expire_on=MINUTE,
        )

    async with shop.app.running() as queue:
        await register(queue)
        await trio.sleep(3600 + 1800)
        before = await queue.get_schedule("ledger")
    async with shop.app.running() as queue:
        assert await register(queue) == before
        await trio.sleep(1801)
        assert await history(queue) == [("01:00", "completed"), ("02:00", "completed")]


async def test_another_trigger_is_a_new_beginning(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        await trio.sleep(3600 + 60)
        kept = await queue.schedule("ledger", shop.close_day, trigger="*/5 * * * *")
        assert kept.next_at == datetime(2026, 1, 1, 1, 5, tzinfo=UTC)
        assert kept.last_at == datetime(2026, 1, 1, 1, tzinfo=UTC)
        await trio.sleep(9 * 60 + 1)
        assert [at for at, _ in shop.ran] == ["01:00", "01:05", "01:10"]


async def test_other_arguments_take_effect_from_the_next_job_on(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        first = await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        again = await queue.schedule("ledger", shop.close_day, 1.5, trigger=HOUR)
        assert again.next_at == first.next_at
        await trio.sleep(3600 + 1)
        (job,) = (await queue.find()).items
        assert job.args == (1.5,)


async def test_a_paused_schedule_fires_nothing_and_stays_paused(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        assert (await queue.pause_schedule("ledger")).paused
        await trio.sleep(2 * 3600)
    async with shop.app.running() as queue:
        kept = await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        assert (kept.paused, kept.next_at) == (True, None)
        await trio.sleep(3600 + 60)
        assert shop.ran == []
        resumed = await queue.resume_schedule("ledger")
        assert (resumed.paused, resumed.next_at) == (False, datetime(2026, 1, 1, 4, tzinfo=UTC))
        await trio.sleep(3600)
        assert shop.ran == [("04:00", "04:00")]


async def test_a_schedule_may_catch_up_on_its_pause(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule(
            "ledger", shop.close_day, trigger=HOUR, coalesce="all", overlap="allow"
        )
        await queue.pause_schedule("ledger")
        await trio.sleep(2 * 3600 + 60)
        await queue.resume_schedule("ledger", catch_up=True)
        await drain(queue)
        assert [at for at, _ in shop.ran] == ["01:00", "02:00"]


async def test_a_removed_schedule_fires_no_more_and_its_jobs_stay(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, 30, trigger=HOUR)
        await trio.sleep(3600 + 1)
        await queue.remove_schedule("ledger")
        assert await queue.get_schedule("ledger") is None
        assert await queue.schedules() == ()
        await trio.sleep(2 * 3600)
        assert await history(queue) == [("01:00", "completed")]
        kept = await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        assert (kept.last_at, kept.next_at) == (None, shop.clock.now() + HOUR)


async def test_a_job_by_hand_runs_beside_the_others(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        kept = await queue.schedule("ledger", shop.close_day, 90, trigger=HOUR)
        for _ in range(2):
            await queue.trigger_schedule("ledger")
        await trio.sleep(1)
        assert await queue.get_schedule("ledger") == kept
        await trio.sleep(3600)
        assert shop.ran == [(None, "00:00"), (None, "00:00"), ("01:00", "01:00")]
        ref = await queue.trigger_schedule("ledger")
        assert await ref.result() is None
        assert (await ref.job()).schedule_name == "ledger"


async def test_schedules_are_listed_by_name(storage: Storage) -> None:
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        for name in ("tills", "ledger", "Zoë"):
            await queue.schedule(name, shop.close_day, trigger=HOUR)
        assert [one.name for one in await queue.schedules()] == ["Zoë", "ledger", "tills"]


async def test_more_schedules_than_a_page_are_listed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_gusto.queue.schedules.PAGE", 2)
    shop = Shop(MemoryStorage())
    async with shop.app.connected() as queue:
        for number in range(5):
            await queue.schedule(f"till {number}", shop.close_day, trigger=HOUR)
        assert [one.name for one in await queue.schedules()] == [f"till {n}" for n in range(5)]


async def test_a_job_by_hand_has_its_deadline_from_now(autojump_clock: MockClock) -> None:
    shop = Shop(MemoryStorage())
    async with shop.app.connected() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR, expire_on=60)
        ref = await queue.trigger_schedule("ledger")
        job = await ref.job()
        assert job.expire_on == shop.clock.now() + MINUTE
        assert job.execute_after is None

"""Tests of applications wait for what is due, and unknown names are said so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from trio.testing import MockClock

from tests.features.schedules.shop import HOUR, Shop
from trio_gusto import MemoryStorage, Storage, UnknownSchedule
from trio_gusto.testing import Barriers, drain


async def test_run_until_idle_fires_what_is_due(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        await queue.schedule(
            "ledger", shop.close_day, 5, trigger=HOUR, coalesce="all", overlap="buffer_one"
        )
    await shop.app.run_until_idle()
    assert shop.ran == []
    shop.clock.step(2 * HOUR)
    await shop.app.run_until_idle()
    assert shop.ran == [("01:00", "02:00"), ("02:00", "02:05")]


@pytest.mark.parametrize("runs", [True, False], ids=["running", "connected"])
async def test_drain_fires_what_is_due(
    storage: Storage, autojump_clock: MockClock, runs: bool
) -> None:
    shop = Shop(storage)
    async with shop.app.running() if runs else shop.app.connected() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        await drain(queue)
        assert shop.ran == []
        shop.clock.step(HOUR)
        await drain(queue)
        assert shop.ran == [("01:00", "01:00")]


async def test_a_test_can_wait_for_a_schedule_to_fire(autojump_clock: MockClock) -> None:
    shop, barriers = Shop(MemoryStorage()), Barriers()
    async with shop.app.running(barriers=barriers) as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        passing = await barriers.schedule_fired.wait()
        assert passing.name == "ledger"
        assert [(await queue.ref(one).wait()).fire_time for one in passing.job_ids] == [
            datetime(2026, 1, 1, 1, tzinfo=UTC)
        ]
        async with barriers.schedule_fired.hold() as at:
            await at.reached()
            assert len((await queue.find()).items) == 2


async def test_unknown_names_are_said_so(storage: Storage) -> None:
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        for verb in (
            queue.pause_schedule,
            queue.resume_schedule,
            queue.remove_schedule,
            queue.trigger_schedule,
        ):
            with pytest.raises(
                UnknownSchedule, match="no schedule has the name 'nightly'"
            ) as caught:
                await verb("nightly")
            assert caught.value.name == "nightly"
            assert isinstance(caught.value, LookupError)

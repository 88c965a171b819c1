"""What runs when, as those who use schedules see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio
from trio.testing import MockClock

from tests.features.schedules.shop import HOUR, MINUTE, TEN_MINUTES, Shop, history, time_of
from trio_gusto import JobFilter, JobState, MemoryStorage, Storage, every_after
from trio_gusto.model.instants import to_instant
from trio_gusto.model.occurrence import jitter_of
from trio_gusto.testing import VirtualClock

# --- what runs when -------------------------------------------------------------------------------


async def test_jobs_run_at_their_instants_and_know_them(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        kept = await queue.schedule("ledger", shop.close_day, trigger="*/20 * * * *")
        assert kept.next_at == datetime(2026, 1, 1, 0, 20, tzinfo=UTC)
        assert [time_of(one) for one in kept.next_instants(3)] == ["00:20", "00:40", "01:00"]
        await trio.sleep(61 * 60)
        assert shop.ran == [(time, time) for time in ("00:20", "00:40", "01:00")]
        kept_now = await queue.get_schedule("ledger")
        assert kept_now is not None
        assert kept_now.last_at == datetime(2026, 1, 1, 1, tzinfo=UTC)
        job = await queue.get(kept_now.last_job_id) if kept_now.last_job_id else None
        assert job is not None
        assert (job.schedule_name, job.fire_time) == ("ledger", kept_now.last_at)
        assert (job.execute_after, job.state) == (kept_now.last_at, JobState.COMPLETED)


async def test_a_nightly_job_follows_the_clocks_of_its_zone(autojump_clock: MockClock) -> None:
    """At 2:30 in Rome; on one night there is none, and on another there are two."""
    for first_day, expected in (
        ("2026-03-28", ["03-29 01:00", "03-30 00:30"]),
        ("2026-10-24", ["10-25 00:30", "10-26 01:30"]),
    ):
        shop = Shop(MemoryStorage(), VirtualClock(datetime.fromisoformat(f"{first_day}T20:00Z")))
        async with shop.app.running() as queue:
            await queue.schedule(
                "ledger", shop.close_day, trigger="30 2 * * *", timezone="Europe/Rome"
            )
            await trio.sleep(30 * 3600)
            jobs = (await queue.find(JobFilter(schedule_name="ledger"))).items
            fired = [job.fire_time for job in reversed(jobs) if job.fire_time is not None]
            assert [one.strftime("%m-%d %H:%M") for one in fired] == expected


async def test_an_interval_after_the_end_counts_from_there(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, 25, trigger=every_after(TEN_MINUTES))
        await trio.sleep(2 * 3600)
    assert [started for _, started in shop.ran] == ["00:10", "00:45", "01:20", "01:55"]


async def test_jitter_holds_a_job_back_and_leaves_its_instant(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR, jitter=TEN_MINUTES)
        await trio.sleep(3600 + 601)
        (job,) = (await queue.find()).items
    instant = to_instant(datetime(2026, 1, 1, 1, tzinfo=UTC))
    held_back = timedelta(microseconds=jitter_of("ledger", instant, 600_000_000))
    assert timedelta(0) < held_back < TEN_MINUTES
    assert job.fire_time == datetime(2026, 1, 1, 1, tzinfo=UTC)
    late = datetime(2026, 1, 1, 1, tzinfo=UTC) + held_back
    assert job.execute_after == late
    assert shop.ran == [("01:00", time_of(late))]


async def test_delay_and_deadline_count_from_the_instant(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        await queue.schedule(
            "ledger",
            shop.close_day,
            trigger=HOUR,
            execute_after=MINUTE,
            expire_on=TEN_MINUTES,
            coalesce="all",
        )
    shop.clock.step(2 * HOUR + 5 * MINUTE)
    async with shop.app.running() as queue:
        await trio.sleep(1)
        assert await history(queue) == [("01:00", "expired"), ("02:00", "skipped")]
        await trio.sleep(3600)
    assert shop.ran == [("03:00", "03:01")]


async def test_a_window_opens_at_its_start_and_closes_before_its_end(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    start = shop.clock.now() + HOUR
    async with shop.app.running() as queue:
        await queue.schedule(
            "ledger", shop.close_day, trigger=TEN_MINUTES, start=start, end=start + 2 * TEN_MINUTES
        )
        await trio.sleep(3 * 3600)
        assert [at for at, _ in shop.ran] == ["01:00", "01:10"]
        kept = await queue.get_schedule("ledger")
        assert kept is not None
        assert (kept.next_at, kept.next_instants()) == (None, ())


# --- clocks that are set --------------------------------------------------------------------------


async def test_a_clock_that_is_set_ahead_is_noticed_within_half_a_minute(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        await trio.sleep(1)
        shop.clock.step(timedelta(days=3652))
        await trio.sleep(30)
        assert len(shop.ran) == 1
        jobs = await queue.find()
        assert len(jobs.items) == 1


async def test_a_clock_that_is_set_back_fires_nothing_twice(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        await trio.sleep(2 * 3600 + 60)
        shop.clock.step(-2 * HOUR)
        await trio.sleep(2 * 3600)
        assert await history(queue) == [("01:00", "completed"), ("02:00", "completed")]
        await trio.sleep(3600)
        assert (await history(queue))[2:] == [("03:00", "completed")]

"""What becomes of instants that meet a job which has not ended, and of those that were missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.features.schedules.shop import HOUR, TEN_MINUTES, Shop, history
from trio_gusto import JobFilter, JobState, MemoryStorage, Storage, current_job, fixed
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock

# --- when a job has not ended ---------------------------------------------------------------------

OVERLAPS = {
    "skip": [
        ("00:10", "completed"),
        ("00:20", "skipped"),
        ("00:30", "skipped"),
        ("00:40", "completed"),
    ],
    "allow": [(time, "completed") for time in ("00:10", "00:20", "00:30", "00:40")],
    "buffer_one": [
        ("00:10", "completed"),
        ("00:20", "completed"),
        ("00:30", "skipped"),
        ("00:40", "completed"),
    ],
    "cancel_other": [
        ("00:10", "cancelled"),
        ("00:20", "cancelled"),
        ("00:30", "cancelled"),
        ("00:40", "completed"),
    ],
}

STARTED = {
    "skip": ["00:10", "00:40"],
    "allow": ["00:10", "00:20", "00:30", "00:40"],
    "buffer_one": ["00:10", "00:35", "01:00"],
    "cancel_other": ["00:10", "00:20", "00:30", "00:40"],
}


@pytest.mark.parametrize("overlap", OVERLAPS)
async def test_an_instant_that_meets_a_job_does_what_its_policy_says(
    storage: Storage, autojump_clock: MockClock, overlap: Any
) -> None:
    """A job of 25 minutes, four times, every ten."""
    shop = Shop(storage)
    end = shop.clock.now() + timedelta(minutes=45)
    async with shop.app.running() as queue:
        await queue.schedule(
            "ledger", shop.close_day, 25, trigger=TEN_MINUTES, overlap=overlap, end=end
        )
        await trio.sleep(3 * 3600)
        assert await history(queue) == OVERLAPS[overlap]
        assert [started for _, started in shop.ran] == STARTED[overlap]


async def test_a_job_that_waits_for_the_one_before_is_let_go_by_the_next_run_of_the_app(
    storage: Storage, autojump_clock: MockClock
) -> None:
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule(
            "ledger", shop.close_day, 600, trigger=TEN_MINUTES, overlap="buffer_one"
        )
        await trio.sleep(25 * 60)
        assert await history(queue) == [("00:10", "processing"), ("00:20", "waiting")]
    async with shop.app.connected() as queue:
        await queue.remove_schedule("ledger")
        (waiting,) = (await queue.find(JobFilter(states=["waiting"]))).items
        first = (await queue.find(JobFilter(states=["ready"]))).items[0]
        assert await queue.cancel(first, "not today")
        assert (await queue.find(JobFilter(states=["waiting"]))).items == (waiting,)
    shop.ran.clear()
    async with shop.app.running() as queue:
        await trio.sleep(1)
        assert await history(queue) == [("00:10", "cancelled"), ("00:20", "processing")]


async def test_a_job_in_the_way_is_called_off_again_after_a_crash(
    autojump_clock: MockClock,
) -> None:
    """The process dies when the new job is stored, and before the old one is called off."""
    storage = MemoryStorage()
    clock = VirtualClock()

    def hang_on_cancel(asked: Asked) -> Fault | None:
        cancels = any(type(message).__name__ == "RequestCancel" for message in asked.messages)
        return Fault(error=None, delay=10**9) if cancels else None

    dying = Shop(FaultyStorage(storage, hang_on_cancel), clock)
    async with dying.app.running() as queue:
        await queue.schedule("ledger", dying.close_day, 600, trigger=HOUR, overlap="cancel_other")
        await trio.sleep(2 * 3600 + 1)
        assert await history(queue) == [("01:00", "processing"), ("02:00", "waiting")]
        async with Shop(storage, clock).app.running() as survivor:
            await trio.sleep(120)  # until the lease of the dead has passed
            assert await history(survivor) == [("01:00", "cancelled"), ("02:00", "processing")]


async def test_a_dead_job_never_blocks_its_schedule(
    storage: Storage, autojump_clock: MockClock
) -> None:
    """Elsewhere a dead-lettered job pauses its schedule for ever."""
    shop = Shop(storage)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, 0, True, trigger=HOUR)
        await trio.sleep(3 * 3600 + 1)
        assert await history(queue) == [(time, "failed") for time in ("01:00", "02:00", "03:00")]


async def test_a_job_that_will_be_retried_has_not_ended(autojump_clock: MockClock) -> None:
    shop = Shop(MemoryStorage())

    @shop.app.job(retry=fixed(90 * 60), max_attempts=2)
    async def flaky() -> None:
        if current_job().attempt == 1:
            raise ValueError("at first")

    async with shop.app.running() as queue:
        await queue.schedule("ledger", flaky, trigger=HOUR)
        await trio.sleep(3 * 3600 + 1)
        assert await history(queue) == [
            ("01:00", "completed"),
            ("02:00", "skipped"),
            ("03:00", "scheduled"),
        ]


# --- what was missed ------------------------------------------------------------------------------

MISSED: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({}, [("05:00", "completed")]),
    ({"coalesce": "earliest"}, [("01:00", "completed")]),
    ({"coalesce": "all", "overlap": "allow"}, [(f"0{n}:00", "completed") for n in range(1, 6)]),
    (
        {"coalesce": "all", "overlap": "allow", "max_catchup": 2},
        [("01:00", "skipped"), ("04:00", "completed"), ("05:00", "completed")],
    ),
    (
        {"coalesce": "all", "overlap": "allow", "misfire_grace_time": timedelta(minutes=90)},
        [(f"0{n}:00", "skipped" if n < 5 else "completed") for n in range(1, 6)],
    ),
    ({"misfire_grace_time": TEN_MINUTES}, [("05:00", "skipped")]),
]


@pytest.mark.parametrize(
    ("options", "expected"),
    MISSED,
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
async def test_what_was_missed_is_caught_up_on_as_its_policies_say(
    storage: Storage,
    autojump_clock: MockClock,
    options: dict[str, Any],
    expected: list[tuple[str, str]],
) -> None:
    """Nothing runs from midnight to 5:40, with a job every full hour."""
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR, **options)
    shop.clock.step(timedelta(hours=5, minutes=40))
    async with shop.app.running() as queue:
        await trio.sleep(1)
        assert await history(queue) == expected
        kept = await queue.get_schedule("ledger")
        assert kept is not None
        assert kept.next_at == datetime(2026, 1, 1, 6, tzinfo=UTC)


async def test_a_skipped_instant_says_why(storage: Storage, autojump_clock: MockClock) -> None:
    shop = Shop(storage)
    async with shop.app.connected() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR, misfire_grace_time=60)
    shop.clock.step(timedelta(hours=5, minutes=40))
    await shop.app.run_until_idle()
    async with shop.app.connected() as queue:
        (job,) = (await queue.find()).items
        assert job.state is JobState.SKIPPED
        assert job.reason == "missed by more than misfire_grace_time (5 instants)"
        assert (job.attempt, await queue.attempts(job)) == (0, ())

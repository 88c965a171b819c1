"""Schedules, as those who use them see them: what runs when, and what becomes of the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Fail,
    Gusto,
    GustoError,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    Options,
    Storage,
    UnknownSchedule,
    current_job,
    every,
    every_after,
    fixed,
)
from trio_gusto.model.instants import to_instant
from trio_gusto.model.occurrence import jitter_of
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.schedule_messages import Fire, PutSchedule
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import Asked, Barriers, Fault, FaultyStorage, VirtualClock, drain

MINUTE = timedelta(minutes=1)
TEN_MINUTES = timedelta(minutes=10)
HOUR = timedelta(hours=1)


class Shop:
    """An app with one handler, which notes for which instant it was called, and when."""

    def __init__(self, storage: Storage, clock: VirtualClock | None = None) -> None:
        self.clock = VirtualClock() if clock is None else clock
        self.app = Gusto(
            storage, clock=self.clock, options=Options(concurrency=4, default_timeout=None)
        )
        self.ran: list[tuple[str | None, str]] = []

        @self.app.job(name="close_day", retry=fixed(60))
        async def close_day(minutes: float = 0, fails: bool = False) -> None:
            fire_time = current_job().job.fire_time
            self.ran.append((None if fire_time is None else time_of(fire_time), self.time()))
            await trio.sleep(60 * minutes)
            if fails:
                raise Fail("the till does not open")

        self.close_day = close_day

    def time(self) -> str:
        return time_of(self.clock.now())


def time_of(moment: datetime) -> str:
    return moment.strftime("%H:%M")


async def history(queue: JobQueue, name: str = "ledger") -> list[tuple[str | None, str]]:
    """Each instant of the schedule and what became of it, oldest first."""
    jobs = (await queue.find(JobFilter(schedule_name=name), limit=1000)).items
    return [
        (None if job.fire_time is None else time_of(job.fire_time), job.state.value)
        for job in reversed(jobs)
    ]


def in_memory(_path: Path) -> Storage:
    return MemoryStorage()


def in_a_file(path: Path) -> Storage:
    return SqliteStorage(path / "jobs.db", inline=True, synchronous="NORMAL", watch_interval=5)


@pytest.fixture(params=[in_memory, in_a_file], ids=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    make: Callable[[Path], Storage] = request.param
    return make(tmp_path)


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


# --- starts, edits, pauses ------------------------------------------------------------------------


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


# --- several processes, and crashes ---------------------------------------------------------------


@pytest.mark.parametrize("nodes", [2, 3])
async def test_nodes_that_share_a_storage_fire_each_instant_once(
    autojump_clock: MockClock, nodes: int
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    shops = [Shop(storage, clock) for _ in range(nodes)]
    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def serve(shop: Shop) -> None:
            async with shop.app.running() as queue:
                await queue.schedule("ledger", shop.close_day, trigger=MINUTE)
                await stop.wait()

        for shop in shops:
            nursery.start_soon(serve, shop)
        await trio.sleep(60 * 60 + 1)
        stop.set()
    ran = sorted(at or "" for shop in shops for at, _ in shop.ran)
    assert ran == [f"00:{minute:02}" for minute in range(1, 60)] + ["01:00"]


async def test_two_objects_on_one_file_fire_each_instant_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    clock = VirtualClock()
    shops = [Shop(in_a_file(tmp_path), clock) for _ in range(2)]
    async with shops[0].app.running() as one, shops[1].app.running():
        await one.schedule("ledger", shops[0].close_day, trigger=MINUTE)
        await trio.sleep(20 * 60 + 1)
    ran = sorted(at or "" for shop in shops for at, _ in shop.ran)
    assert ran == [f"00:{minute:02}" for minute in range(1, 21)]


async def test_a_producer_s_registration_is_heard_by_a_worker_elsewhere(
    autojump_clock: MockClock,
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    worker, producer = Shop(storage, clock), Shop(storage, clock)
    async with worker.app.running(), producer.app.connected() as queue:
        await trio.sleep(100)
        await queue.schedule("ledger", producer.close_day, trigger=every(10))
        await trio.sleep(11)
        assert len(worker.ran) == 1
        await queue.pause_schedule("ledger")
        await trio.sleep(100)
        assert len(worker.ran) == 1


async def test_a_node_that_is_slow_between_looking_and_firing_comes_too_late(
    autojump_clock: MockClock,
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    slow = Shop(FaultyStorage(storage, lambda asked: delay(asked, 5)), clock)
    quick = Shop(storage, clock)
    async with slow.app.running() as queue, quick.app.running():
        await queue.schedule("ledger", slow.close_day, trigger=MINUTE)
        await trio.sleep(10 * 60 + 6)
        assert await history(queue) == [(f"00:{n:02}", "completed") for n in range(1, 11)]
    ran = sorted(at or "" for shop in (slow, quick) for at, _ in shop.ran)
    assert ran == [f"00:{minute:02}" for minute in range(1, 11)]


def fires(messages: Any) -> bool:
    return any(isinstance(message, Fire) for message in messages)


def delay(asked: Asked, seconds: float) -> Fault | None:
    return Fault(error=None, delay=seconds) if fires(asked.messages) else None


@pytest.mark.parametrize("after_commit", [False, True], ids=["before", "after"])
async def test_a_firing_that_fails_is_made_good(
    autojump_clock: MockClock, after_commit: bool
) -> None:
    """Whether nothing was stored, or everything and the reply was lost."""
    storage = FaultyStorage(MemoryStorage(), lambda asked: lose(asked, after_commit))
    shop = Shop(storage)
    seen: set[int] = set()

    def lose(asked: Asked, after_commit: bool) -> Fault | None:
        if fires(asked.messages) and len(storage.happened) < 3 and asked.nth not in seen:
            seen.add(asked.nth)
            return Fault(after_commit=after_commit)
        return None

    async with shop.app.running() as queue:
        end = shop.clock.now() + timedelta(minutes=5.5)
        await queue.schedule("ledger", shop.close_day, trigger=MINUTE, overlap="allow", end=end)
        await trio.sleep(10 * 60)  # also until leases have passed whose claims were lost on the way
        assert len(storage.happened) == 3
        assert await history(queue) == [(f"00:{n:02}", "completed") for n in range(1, 6)]
    assert sorted(at or "" for at, _ in shop.ran) == [f"00:{n:02}" for n in range(1, 6)]


async def test_a_stop_between_looking_and_firing_loses_no_instant(
    autojump_clock: MockClock,
) -> None:
    storage, clock = MemoryStorage(), VirtualClock()
    shop = Shop(FaultyStorage(storage, lambda asked: delay(asked, 7)), clock)
    async with shop.app.running() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=MINUTE)
        await trio.sleep(62)
    again = Shop(storage, clock)
    async with again.app.running() as queue:
        await trio.sleep(1)
        assert [at for at, _ in await history(queue)] == ["00:01"]
    assert [at for at, _ in shop.ran + again.ran] == ["00:01"]


class Overtaken(MemoryStorage):
    """Somebody else makes each change of a schedule a moment earlier."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[PutSchedule] = []

    def perform(self, write: Write) -> WriteReply | GustoError:
        if isinstance(write, PutSchedule) and write not in self._done:
            self._done.append(write)
            super().perform(write)
        return super().perform(write)


async def test_who_is_overtaken_by_another_process_looks_again(
    autojump_clock: MockClock,
) -> None:
    shop = Shop(Overtaken())
    async with shop.app.connected() as queue:
        kept = await queue.schedule("ledger", shop.close_day, trigger=HOUR)
        assert await queue.get_schedule("ledger") == kept
        again = await queue.schedule("ledger", shop.close_day, trigger=MINUTE)
        assert again.next_at == shop.clock.now() + MINUTE
        assert (await queue.pause_schedule("ledger")).paused
        assert not (await queue.resume_schedule("ledger")).paused
        with pytest.raises(UnknownSchedule):
            await queue.remove_schedule("ledger")


async def test_a_job_by_hand_has_its_deadline_from_now(autojump_clock: MockClock) -> None:
    shop = Shop(MemoryStorage())
    async with shop.app.connected() as queue:
        await queue.schedule("ledger", shop.close_day, trigger=HOUR, expire_on=60)
        ref = await queue.trigger_schedule("ledger")
        job = await ref.job()
        assert job.expire_on == shop.clock.now() + MINUTE
        assert job.execute_after is None


# --- tests of applications ------------------------------------------------------------------------


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

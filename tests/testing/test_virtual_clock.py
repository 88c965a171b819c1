"""The virtual clock follows Trio's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto.testing import VirtualClock

START = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


async def test_it_shows_its_start_when_it_is_first_used(autojump_clock: MockClock) -> None:
    await trio.sleep(500)
    clock = VirtualClock(START)
    assert clock.now() == START


async def test_it_goes_as_trios_clock_goes(autojump_clock: MockClock) -> None:
    clock = VirtualClock(START)
    assert clock.now() == START
    await trio.sleep(90 * 86400)
    assert clock.now() == START + timedelta(days=90)


async def test_a_sleep_to_an_instant_is_never_a_microsecond_short(
    autojump_clock: MockClock,
) -> None:
    clock = VirtualClock(START)
    for tenths in range(1, 2000):
        due = clock.instant() + tenths * 100_000
        await trio.sleep(tenths * 0.1)
        assert clock.instant() >= due


def test_it_is_usable_before_a_run_and_stands_still_between_runs() -> None:
    clock = VirtualClock(START)
    assert clock.now() == START

    async def for_an_hour() -> None:
        clock.instant()
        await trio.sleep(3600)
        clock.instant()

    trio.run(for_an_hour, clock=MockClock(autojump_threshold=0))
    assert clock.now() == START + timedelta(hours=1)
    trio.run(for_an_hour, clock=MockClock(autojump_threshold=0))
    assert clock.now() == START + timedelta(hours=2)


@pytest.mark.parametrize("by", [timedelta(hours=1), -3600])
async def test_a_step_moves_the_wall_clock_alone(
    autojump_clock: MockClock, by: float | timedelta
) -> None:
    clock = VirtualClock(START)
    before = clock.monotonic()
    clock.step(by)
    await trio.sleep(1)

    length = by if isinstance(by, timedelta) else timedelta(seconds=by)
    assert clock.now() == START + length + timedelta(seconds=1)
    assert clock.monotonic() == before + 1


async def test_a_thread_sees_the_time_last_shown(autojump_clock: MockClock) -> None:
    clock = VirtualClock(START)
    clock.instant()
    assert await trio.to_thread.run_sync(clock.now) == START


def test_nanoseconds_and_instants_agree() -> None:
    clock = VirtualClock(START)
    assert clock.nanoseconds() == clock.instant() * 1000
    assert repr(clock) == "<VirtualClock 2026-03-29T01:00:00+00:00>"


def test_a_start_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        VirtualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused

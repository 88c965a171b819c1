"""The gauges of what waits, kept fresh by a task of the app and never by an exporter's thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.telemetry.ear import START, Ear
from trio_gusto.clock import Clock
from trio_gusto.model.errors import NotSupported, StorageBusy
from trio_gusto.model.states import JobState
from trio_gusto.storage.finding_messages import Tallied
from trio_gusto.telemetry import Telemetry

NOTHING = Tallied({}, None)
SOME = Tallied(
    {
        (JobState.READY, "mail", "acme"): 2,
        (JobState.READY, "mail", "umbrella"): 3,
        (JobState.SCHEDULED, "mail", ""): 7,
        (JobState.COMPLETED, "mail", ""): 1000,
    },
    START - 5_000_000,
)


class FollowingClock(Clock):
    """Wall time from `START`, following Trio's clock."""

    def nanoseconds(self) -> int:
        return START * 1000 + round(trio.current_time() * 1e9)


class Counter:
    """A storage's count, scripted: a value is returned, an error raised; the last one stays."""

    def __init__(self, *answers: Tallied | Exception, takes: float = 0) -> None:
        self._answers: Iterator[Tallied | Exception] = iter(answers)
        self._last: Tallied | Exception = NOTHING
        self._takes = takes
        self.asked = 0

    async def __call__(self) -> Tallied:
        self.asked += 1
        await trio.sleep(self._takes)
        self._last = next(self._answers, self._last)
        if isinstance(self._last, Exception):
            raise self._last
        return self._last


@pytest.fixture
def telemetry(ear: Ear) -> Telemetry:
    made = Telemetry.create(ear.tracer_provider, ear.meter_provider, clock=FollowingClock())
    assert made is not None
    return made


async def test_depth_is_by_queue_and_state_and_leaves_out_what_has_ended(
    ear: Ear, telemetry: Telemetry, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    await nursery.start(telemetry.run, Counter(SOME))
    await wait_all_tasks_blocked()
    (point, *_) = ear.points("gusto.queue.depth")
    assert set(point.attributes or ()) == {"job.queue", "job.status"}
    assert ear.values("gusto.queue.depth") == {("mail", "ready"): 5, ("mail", "scheduled"): 7}
    assert ear.values("gusto.queue.oldest_ready_age") == {(): 5000}


async def test_an_emptied_queue_goes_down_to_nothing(
    ear: Ear, telemetry: Telemetry, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    await nursery.start(telemetry.run, Counter(SOME, NOTHING))
    await wait_all_tasks_blocked()
    mock_clock.jump(15)
    await wait_all_tasks_blocked()
    assert ear.values("gusto.queue.depth") == {("mail", "ready"): 0, ("mail", "scheduled"): 0}
    assert ear.values("gusto.queue.oldest_ready_age") == {(): 0}


async def test_a_reader_that_comes_often_makes_nobody_count(
    ear: Ear, telemetry: Telemetry, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    counter = Counter(SOME)
    await nursery.start(telemetry.run, counter)
    await wait_all_tasks_blocked()
    mock_clock.jump(14.9)
    await wait_all_tasks_blocked()
    for _ in range(3):
        assert ear.values("gusto.queue.depth") != {}
    assert counter.asked == 1


async def test_counting_that_takes_long_is_done_less_often(
    telemetry: Telemetry, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    counter = Counter(SOME, takes=2)
    await nursery.start(telemetry.run, counter)
    await trio.sleep(101)
    assert counter.asked == 1
    await trio.sleep(2)
    assert counter.asked == 2


async def test_a_storage_that_fails_once_is_asked_again(
    ear: Ear, telemetry: Telemetry, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    await nursery.start(telemetry.run, Counter(StorageBusy("locked"), SOME))
    await trio.sleep(16)
    assert ear.values("gusto.queue.depth") != {}


async def test_a_storage_that_cannot_count_is_not_asked_again(
    ear: Ear, telemetry: Telemetry, autojump_clock: MockClock
) -> None:
    counter = Counter(NotSupported("counting jobs", "SupportsQueries"))
    await telemetry.run(counter)
    assert counter.asked == 1
    assert ear.points("gusto.queue.depth") == []


async def test_without_metrics_nobody_counts(ear: Ear) -> None:
    telemetry = Telemetry.create(ear.tracer_provider)
    assert telemetry is not None
    counter = Counter(SOME)
    await telemetry.run(counter)
    assert counter.asked == 0

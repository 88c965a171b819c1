"""How many jobs run at once may be changed while they run."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto import (
    Gusto,
    GustoError,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    Options,
    OptionsError,
    Reason,
    call,
)
from trio_gusto.actors.executor import Executors
from trio_gusto.storage.messages import ClaimDue, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Barriers, VirtualClock

MakeStorage = Callable[[], Storage]


@pytest.fixture(params=["memory", "sqlite"])
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    shared = MemoryStorage()
    if request.param == "memory":
        return lambda: shared
    return lambda: SqliteStorage(tmp_path / "jobs.db", inline=True, synchronous="NORMAL")


class Hall:
    """An app whose handler stays until it is let go, and notes how many are there."""

    def __init__(self, make_storage: MakeStorage, **options: object) -> None:
        settings = {"concurrency": 2, "prefetch": 0, "drain_timeout": 0} | options
        self.app = Gusto(
            make_storage(),
            clock=VirtualClock(),
            options=Options(**settings),  # type: ignore[arg-type]
        )
        self.stay = self.app.job(name="stay")(self._stay)
        self.entered: list[int] = []
        self.inside: dict[int, trio.Event] = {}
        self.cancelled: list[int] = []
        self.count = 0

    async def _stay(self, number: int) -> None:
        self.entered.append(number)
        self.inside[number] = trio.Event()
        try:
            await self.inside[number].wait()
        except trio.Cancelled:
            self.cancelled.append(number)
            raise
        finally:
            del self.inside[number]

    async def let_go(self, *numbers: int) -> None:
        for number in numbers:
            self.inside[number].set()
        await wait_all_tasks_blocked()

    async def add(self, queue: JobQueue, count: int, **options: Any) -> None:
        """So many more jobs; then as many are inside as there may be."""
        numbers = range(self.count, self.count + count)
        self.count += count
        await queue.enqueue_many([call(self.stay, number, **options) for number in numbers])
        await wait_all_tasks_blocked()

    async def until_empty(self, queue: JobQueue) -> None:
        """Let all of them out, and see that each has been inside once and nobody was thrown out."""
        while self.inside:
            await self.let_go(*self.inside)
        assert self.cancelled == []
        assert sorted(self.entered) == list(range(self.count))
        assert (await queue.stats()).by_state == {JobState.COMPLETED: self.count}

    @asynccontextmanager
    async def filled(self, count: int, **options: Any) -> AsyncGenerator[JobQueue]:
        """A running app with so many jobs, all of which get out in the end."""
        async with self.app.running() as queue:
            await self.add(queue, count, **options)
            yield queue
            await self.until_empty(queue)


async def held_by(queue: JobQueue) -> int:
    return (await queue.stats()).by_state.get(JobState.PROCESSING, 0)


async def test_more_start_at_once_when_it_grows(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage)
    async with hall.filled(10) as queue:
        assert list(hall.inside) == [0, 1]
        await queue.set_concurrency(5)
        assert queue.concurrency == 5
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [0, 1, 2, 3, 4]
        await hall.let_go(1)
        assert list(hall.inside) == [0, 2, 3, 4, 5]


async def test_the_number_there_is_changes_nothing(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage)
    async with hall.filled(4) as queue:
        await queue.set_concurrency(queue.concurrency)
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [0, 1]
        await hall.let_go(0)
        assert list(hall.inside) == [1, 2]


async def test_when_it_shrinks_what_runs_runs_on_and_nothing_starts_until_enough_have_ended(
    make_storage: MakeStorage,
) -> None:
    hall = Hall(make_storage, concurrency=6)
    async with hall.filled(12) as queue:
        await queue.set_concurrency(3)
        assert queue.concurrency == 3
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [0, 1, 2, 3, 4, 5]
        await hall.let_go(0, 3)
        await hall.let_go(5)
        assert list(hall.inside) == [1, 2, 4]
        await hall.let_go(2)
        assert list(hall.inside) == [1, 4, 6]


async def test_it_may_change_its_mind_before_enough_have_ended(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage, concurrency=4)
    async with hall.filled(12) as queue:
        await queue.set_concurrency(1)
        await hall.let_go(0)
        await queue.set_concurrency(5)
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [1, 2, 3, 4, 5]
        await queue.set_concurrency(7)
        await queue.set_concurrency(6)  # before the two new ones have begun
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [1, 2, 3, 4, 5, 6]


async def test_executors_that_wait_for_work_leave_at_once(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage, concurrency=5)
    async with hall.filled(1) as queue:
        await queue.set_concurrency(2)
        await hall.add(queue, 3)
        assert list(hall.inside) == [0, 1]
        await hall.let_go(0, 1)
        assert list(hall.inside) == [2, 3]


async def test_work_that_comes_while_they_leave_is_taken(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage, concurrency=5)
    async with hall.app.running() as queue:
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hall.add, queue, 4)
            nursery.start_soon(queue.set_concurrency, 2)
        assert list(hall.inside) == [0, 1]
        await hall.until_empty(queue)


async def test_jobs_that_were_claimed_for_those_who_leave_are_given_back(
    make_storage: MakeStorage,
) -> None:
    hall = Hall(make_storage, concurrency=6)
    barriers = Barriers()
    async with hall.app.running(barriers=barriers) as queue:
        async with barriers.batch_start.hold() as at:
            await hall.add(queue, 6)
            await at.reached()
            assert await held_by(queue) == 6
            await queue.set_concurrency(2)
        await wait_all_tasks_blocked()
        assert len(hall.inside) == await held_by(queue) == 2
        attempts = [await queue.attempts(job) for job in (await queue.find()).items]
        assert [each[0].outcome for each in attempts] == ["released"] * 6
        assert {job.attempt for job in (await queue.find()).items} == {0, 1}
        await hall.until_empty(queue)


async def test_a_job_held_before_its_handler_is_given_back_too(
    make_storage: MakeStorage, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall(make_storage, concurrency=2)
    barriers = Barriers()
    async with hall.app.running(barriers=barriers) as queue:
        async with barriers.job_started.hold() as at:
            await hall.add(queue, 3)
            await at.reached()
            assert list(hall.inside) == [1]
            await queue.set_concurrency(1)
        await wait_all_tasks_blocked()
        assert list(hall.inside) == [1]
        await hall.let_go(1)
        assert list(hall.inside) == [0]
        await hall.until_empty(queue)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


class Slow(MemoryStorage):
    """Takes a second for each claim."""

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        replies = await super().apply(writes)
        if any(isinstance(write, ClaimDue) for write in writes):
            await trio.sleep(1)
        return replies


async def test_a_claim_that_was_under_way_is_given_back(autojump_clock: MockClock) -> None:
    hall = Hall(Slow, concurrency=4)
    async with hall.app.running() as queue, trio.open_nursery() as nursery:
        await trio.sleep(5)
        nursery.start_soon(partial(hall.add, queue, 4, max_attempts=1))
        await trio.sleep(0.5)
        assert await held_by(queue) == 4
        await queue.set_concurrency(1)
        for left in (4, 3, 2, 1):
            await trio.sleep(5)
            assert len(hall.inside) == await held_by(queue) == 1
            assert (await queue.stats()).by_state.get(JobState.READY, 0) == left - 1
            await hall.let_go(*hall.inside)
        await trio.sleep(5)
        await hall.until_empty(queue)


async def test_a_last_attempt_is_not_held_for_an_executor_that_has_gone(
    make_storage: MakeStorage,
) -> None:
    hall = Hall(make_storage, concurrency=4, prefetch=3)
    async with hall.filled(4, max_attempts=1) as queue:
        await queue.set_concurrency(2)
        await hall.add(queue, 6, max_attempts=1)
        assert await held_by(queue) == 4
        await hall.let_go(0, 1)
        assert await held_by(queue) == 2
        await hall.let_go(2)
        assert await held_by(queue) == 2


async def test_threads_follow(make_storage: MakeStorage) -> None:
    app = Gusto(make_storage(), clock=VirtualClock(), options=Options(concurrency=1))
    three, two = threading.Barrier(3, timeout=10), threading.Barrier(2, timeout=10)
    running: list[int] = []
    most: list[int] = []

    @app.job(max_attempts=1)
    def meet() -> None:
        three.wait()

    @app.job(max_attempts=1)
    def pair(number: int) -> None:
        running.append(number)
        most.append(len(running))
        two.wait()
        running.remove(number)

    async with app.running() as queue:
        await queue.set_concurrency(3)
        for ref in await queue.enqueue_many([call(meet) for _ in range(3)]):
            await ref.result(timeout=60)
        await queue.set_concurrency(2)
        for ref in await queue.enqueue_many([call(pair, number) for number in range(8)]):
            await ref.result(timeout=60)
        assert max(most) == 2


async def test_a_handler_may_change_it(make_storage: MakeStorage) -> None:
    app = Gusto(make_storage(), clock=VirtualClock(), options=Options(concurrency=3))

    async with app.running() as queue:

        @app.job(max_attempts=1)
        async def scale(size: int) -> int:
            await queue.set_concurrency(size)
            return queue.concurrency

        for size in (1, 4, 2):
            assert await (await queue.enqueue(scale, size)).result(timeout=60) == size


async def test_named_workers_keep_their_order(
    make_storage: MakeStorage, autojump_clock: MockClock
) -> None:
    app = Gusto(make_storage(), clock=VirtualClock(), options=Options(concurrency=4, prefetch=10))
    order: list[int] = []

    @app.job(worker="smtp")
    async def work(number: int) -> None:
        order.append(number)
        await trio.sleep(1)

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(work, number) for number in range(9)])
        for size in (2, 5, 1):
            await trio.sleep(1.5)
            await queue.set_concurrency(size)
        for ref in refs:
            await ref.result(timeout=60)
    assert order == list(range(9))


async def test_executors_that_are_started_again_are_as_many_as_they_are_to_be(
    make_storage: MakeStorage, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hall = Hall(make_storage, concurrency=4, lease=10)
    begin = Executors._begin
    defects = [ZeroDivisionError()]

    def break_down(*args: Any) -> Any:
        if defects:
            raise defects.pop()
        return begin(*args)

    monkeypatch.setattr(Executors, "_begin", break_down)
    async with hall.app.running() as queue:
        await queue.set_concurrency(2)
        await hall.add(queue, 6)
        await trio.sleep(60)
        assert defects == []
        assert len(hall.inside) == 2
        await queue.set_concurrency(3)
        await wait_all_tasks_blocked()
        assert len(hall.inside) == 3
        await hall.until_empty(queue)


def test_the_next_run_begins_with_the_option() -> None:
    app = Gusto(options=Options(concurrency=3))

    async def main() -> list[int]:
        seen = []
        for _ in range(2):
            async with app.running() as queue:
                seen.append(queue.concurrency)
                await queue.set_concurrency(7)
                seen.append(queue.concurrency)
        return seen

    assert trio.run(main) == [3, 7, 3, 7]


@pytest.mark.parametrize("size", [0, -1, 10_001, 2.0, True, "4", None, math.inf])
async def test_a_number_out_of_range_is_refused(size: Any) -> None:
    async with Gusto(options=Options(concurrency=3)).running() as queue:
        with pytest.raises(OptionsError, match="from 1 to 10_000") as caught:
            await queue.set_concurrency(size)
        assert (caught.value.key, caught.value.value) == ("concurrency", size)
        assert queue.concurrency == 3


async def test_a_queue_that_runs_no_jobs_has_nothing_to_limit() -> None:
    async with Gusto().connected() as queue:
        assert queue.concurrency == 0
        with pytest.raises(OptionsError, match=r"runs no jobs.*app\.running") as caught:
            await queue.set_concurrency(2)
        assert caught.value.key == "concurrency"


async def test_whoever_is_cancelled_changes_nothing() -> None:
    async with Gusto(options=Options(concurrency=3)).running() as queue:
        with trio.CancelScope() as scope:
            scope.cancel()
            await queue.set_concurrency(1)
        assert scope.cancelled_caught
        assert queue.concurrency == 3


async def test_a_job_that_waits_is_explained_by_the_new_number(make_storage: MakeStorage) -> None:
    hall = Hall(make_storage, concurrency=3)
    async with hall.filled(3) as queue:
        await queue.set_concurrency(2)
        await hall.let_go(0)
        await hall.add(queue, 1)
        waiting = (await queue.find(JobFilter(states=[JobState.READY]))).items
        (explanation,) = [await queue.explain(job) for job in waiting]
        assert explanation.reason is Reason.EXECUTORS_BUSY
        assert explanation.details["concurrency"] == 2

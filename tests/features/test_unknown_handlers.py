"""A job whose handler no node knows stays ready, costs nothing, and runs when a node knows it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobState, MemoryStorage, Options
from trio_gusto.testing import VirtualClock


async def test_it_stays_ready_and_does_not_hold_up_the_others(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    storage = MemoryStorage()
    producer = Gusto(storage, clock=VirtualClock())
    worker = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=1))

    async def only_the_producer_knows() -> None: ...

    async def both_know() -> str:
        return "ran"

    strange = producer.job(name="strange")(only_the_producer_knows)
    known = producer.job(name="known")(both_know)
    worker.job(name="known")(both_know)

    async with producer.connected() as queue:
        waiting = await queue.enqueue(strange, priority=9)
        ref = await queue.enqueue(known)
        async with worker.running():
            assert await ref.result() == "ran"
            await trio.sleep(60)
        job = await waiting.job()
        assert (job.state, job.attempt) == (JobState.READY, 0)
        released = await queue.attempts(waiting)
        assert [attempt.outcome for attempt in released] == [
            "released"
        ]  # met once, then left alone
    assert [record.getMessage() for record in caplog.records] == [
        "no handler is registered as 'strange' here; its jobs stay ready until a node knows it"
    ]


async def test_it_runs_once_a_running_node_learns_of_its_handler(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    producer = Gusto(storage, clock=VirtualClock())
    worker = Gusto(storage, clock=VirtualClock())

    async def late() -> str:
        return "at last"

    with trio.fail_after(60):
        async with producer.connected() as queue, worker.running():
            ref = await queue.enqueue(producer.job(name="late")(late))
            await trio.sleep(20)
            worker.job(name="late")(late)
            assert await ref.result() == "at last"


class Hostile(type):
    """The type of a class that cannot even be looked up."""

    def __hash__(cls) -> int:
        raise OSError("not for you")


class Broken(metaclass=Hostile):
    """What no handler can be given."""


async def test_a_handler_whose_annotations_break_here_fails_its_own_jobs_only(
    autojump_clock: MockClock,
) -> None:
    storage = MemoryStorage()
    producer = Gusto(storage, clock=VirtualClock())
    worker = Gusto(storage, clock=VirtualClock())

    async def sound(number: int) -> int:
        return number

    async def broken(number: Broken) -> None: ...

    names = [producer.job(name=name, max_attempts=1)(sound) for name in ("sound", "broken")]
    worker.job(name="sound")(sound)
    worker.job(name="broken")(broken)
    async with producer.connected() as queue, worker.running():
        refs = [await queue.enqueue(name, 7) for name in names]
        assert await refs[0].result() == 7
        job = await refs[1].wait()
    assert job.state is JobState.FAILED
    assert job.error is not None
    assert job.error.message == "not for you"

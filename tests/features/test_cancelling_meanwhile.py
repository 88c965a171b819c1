"""A job that changes while somebody calls it off: what was looked at is not what there is any more."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    AttemptOutcome,
    Gusto,
    JobState,
    MemoryStorage,
    Options,
    StorageBusy,
    current_job,
)
from trio_gusto.model.ids import JobId, to_job_id
from trio_gusto.storage.finding_messages import Get
from trio_gusto.testing import FaultyStorage, VirtualClock


class Slow(MemoryStorage):
    """Takes a second to answer what it is asked about jobs, so that the answer is a second old."""

    is_slow = False
    gone: JobId | None = None

    async def read(self, query: Any) -> Any:
        reply = await super().read(query)
        if not self.is_slow or not isinstance(query, Get):
            return reply
        there = [job for job in reply.jobs if job.request.id != self.gone]
        await trio.sleep(1)
        return attrs.evolve(reply, jobs=there)


class Office:
    """An app whose jobs take some seconds, and so do their callbacks."""

    def __init__(self, storage: MemoryStorage | FaultyStorage) -> None:
        self.app = Gusto(storage, clock=VirtualClock(), options=Options(poll_interval=1000))
        self.callbacks: list[UUID] = []
        self.work = self.app.job(name="work")(self._work)
        self.tell = self.app.job(name="tell")(self._tell)

    async def _work(self, seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    async def _tell(self, seconds: float) -> None:
        self.callbacks.append(current_job().id)
        await trio.sleep(seconds)


@pytest.fixture
def storage() -> Slow:
    return Slow()


async def test_a_job_that_begins_meanwhile_is_cancelled_as_it_runs(
    storage: Slow, autojump_clock: MockClock
) -> None:
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 1000, execute_after=0.5)
        storage.is_slow = True
        assert await ref.cancel("not any more")
        job = await ref.wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "not any more")
        (attempt,) = await queue.attempts(ref)
        assert attempt.outcome is AttemptOutcome.CANCELLED


async def test_a_job_that_ends_meanwhile_has_ended(
    storage: Slow, autojump_clock: MockClock
) -> None:
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 1.5)
        await trio.sleep(1)
        storage.is_slow = True
        assert not await ref.cancel()
        assert await ref.status() is JobState.COMPLETED


async def test_a_running_callback_is_stopped_with_its_job(
    storage: Slow, autojump_clock: MockClock
) -> None:
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 100, callback=office.tell)
        await trio.sleep(101)
        (callback,) = office.callbacks
        assert await ref.cancel("not any more")
        assert await ref.status() is JobState.CANCELLED
        job = await queue.ref(callback).wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "not any more")


async def test_a_job_whose_callback_ends_meanwhile_has_ended(
    storage: Slow, autojump_clock: MockClock
) -> None:
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 2, callback=office.tell)
        await trio.sleep(3.5)
        storage.is_slow = True
        assert not await ref.cancel()
        assert await ref.status() is JobState.COMPLETED


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_callback_that_changes_meanwhile_goes_with_its_job(
    storage: Slow, autojump_clock: MockClock, is_gone: bool
) -> None:
    """Also where retention has removed it by the time it is looked at again."""
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 100, callback=office.tell)
        await trio.sleep(50)
        await queue.pause()
        await trio.sleep(51)
        storage.is_slow = True
        cancelled: list[bool] = []

        async def cancel() -> None:
            cancelled.append(await ref.cancel("not any more"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await trio.sleep(1.5)  # job and callback were looked at
            await queue.resume()
            await trio.sleep(0.1)
            (callback,) = office.callbacks
            if is_gone:
                storage.gone = to_job_id(callback)
        assert cancelled == [True]
        storage.is_slow = False
        assert await ref.status() is JobState.CANCELLED
        if not is_gone:
            job = await queue.ref(callback).wait()
            assert (job.state, job.reason) == (JobState.CANCELLED, "not any more")


async def test_a_job_that_waits_for_its_callback_is_cancelled_with_it_or_not_at_all(
    autojump_clock: MockClock,
) -> None:
    storage = FaultyStorage(MemoryStorage())
    office = Office(storage)
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.work, 100, callback=office.tell)
        await trio.sleep(101)
        (callback,) = office.callbacks
        storage.fail_next()
        with pytest.raises(StorageBusy):
            await ref.cancel()
        assert await ref.status() is JobState.WAITING
        assert await queue.ref(callback).status() is JobState.PROCESSING
        assert await ref.cancel()
        assert (await queue.ref(callback).wait()).state is JobState.CANCELLED


async def test_the_first_of_two_reasons_stands(storage: Slow, autojump_clock: MockClock) -> None:
    office = Office(storage)

    @office.app.job
    async def slow_to_go() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await trio.sleep(1)

    async with office.app.running() as queue:
        ref = await queue.enqueue(slow_to_go)
        await trio.sleep(1)
        assert await ref.cancel("the first")
        await trio.sleep(0.5)
        assert await ref.cancel("the second")
        job = await ref.wait()
        assert (job.state, job.reason) == (JobState.CANCELLED, "the first")

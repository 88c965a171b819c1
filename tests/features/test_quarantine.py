"""A job that was lost with its node too often in a row is not run again, unless somebody wants it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    AttemptOutcome,
    Gusto,
    Job,
    JobFinished,
    JobState,
    MemoryStorage,
    Options,
    OptionsError,
    current_job,
)
from trio_gusto.model.instants import MICROSECONDS
from trio_gusto.model.quarantine import SPREAD
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

LEASE = 2.0


class Town:
    """An app on a storage, and nodes that take what is due and are never heard of again."""

    def __init__(self, storage: Storage, **options: object) -> None:
        self.storage, self.clock = storage, VirtualClock()
        chosen = Options.from_mapping({"lease": LEASE, "concurrency": 1, **options})
        self.app = Gusto(storage, clock=self.clock, options=chosen)
        self.ran: list[int] = []

        @self.app.job(name="work", max_attempts=8)
        async def work() -> None:
            self.ran.append(current_job().attempt)
            raise ValueError("it runs")

        self.work = work

    async def lose(self, times: int) -> None:
        """Take what is due for a ghost, and sweep; so many times."""
        for number in range(times):
            await self.storage.attach(f"ghost-{number}")
            now = self.clock.instant()
            claim = ClaimDue(f"ghost-{number}", now, now + round(LEASE * MICROSECONDS), 9, 9)
            (reply,) = await self.storage.apply([claim])
            assert reply.jobs  # type: ignore[union-attr]
            await trio.sleep(LEASE + 1)
            await self.storage.detach(f"ghost-{number}")
            await self.sweep()
            await trio.sleep(SPREAD / MICROSECONDS)

    async def sweep(self) -> None:
        async with self.passer_by().running():
            pass

    def passer_by(self) -> Gusto:
        """An app that serves another queue: it takes back what is lost, and runs nothing."""
        options = Options(
            lease=LEASE,
            queues=["elsewhere"],
            quarantine_after=self.app.options.quarantine_after,
        )
        return Gusto(self.storage, clock=self.clock, options=options)

    async def look(self) -> Job:
        async with self.app.connected() as queue:
            (job,) = (await queue.find()).items
            return job


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=True)


async def test_the_third_loss_in_a_row_is_the_last(
    storage: Storage, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    town = Town(storage)
    async with town.app.connected() as queue:
        ref = await queue.enqueue(town.work)
        await town.lose(2)
        assert (await ref.job()).state in (JobState.READY, JobState.SCHEDULED)
        await town.lose(1)
        job = await ref.job()
        assert (job.state, job.attempt, job.max_attempts) == (JobState.FAILED, 3, 8)
        assert job.reason == "quarantined: lost with its node 3 times in a row"
        explanation = await queue.explain(ref)
        assert job.reason in explanation.sentence
        assert explanation.details["quarantined"] is True
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert (
        f"job {ref.id} (work) is quarantined: lost with its node 3 times in a row"
        in record.getMessage()
    )
    assert town.ran == []


async def test_retried_by_hand_it_is_counted_anew(
    storage: Storage, autojump_clock: MockClock
) -> None:
    town = Town(storage, quarantine_after=2)
    async with town.app.connected() as queue:
        ref = await queue.enqueue(town.work)
        await town.lose(2)
        assert (await ref.job()).state is JobState.FAILED
        assert await queue.retry(ref)
        await town.lose(1)
        assert (await ref.job()).state in (JobState.READY, JobState.SCHEDULED)
        await town.lose(1)
        assert (await ref.job()).state is JobState.FAILED
        outcomes = [attempt.outcome for attempt in await queue.attempts(ref)]
        assert outcomes == [AttemptOutcome.LOST] * 4


async def test_without_quarantine_its_attempts_are_spent(
    storage: Storage, autojump_clock: MockClock
) -> None:
    town = Town(storage, quarantine_after=None)
    async with town.app.connected() as queue:
        ref = await queue.enqueue(town.work)
        await town.lose(8)
        job = await ref.job()
        assert (job.attempt, job.reason) == (8, "lost in its last attempt")


async def test_whoever_listens_hears_of_it(autojump_clock: MockClock) -> None:
    town = Town(MemoryStorage(), quarantine_after=1)
    async with town.app.connected() as queue:
        await queue.enqueue(town.work)
    facts: list[object] = []
    passer_by = town.passer_by()
    async with passer_by.running() as queue:
        queue._probe.subscribe(facts.append)
        await town.storage.attach("ghost")
        now = town.clock.instant()
        await town.storage.apply([ClaimDue("ghost", now, now + MICROSECONDS, 9, 9)])
        await trio.sleep(40)
    (ended,) = [fact for fact in facts if isinstance(fact, JobFinished)]
    assert ended.reason == "quarantined: lost with its node 1 time"


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "three"])
def test_a_number_of_losses_is_a_whole_one(value: object) -> None:
    with pytest.raises(OptionsError, match="quarantine_after"):
        Options(quarantine_after=value)  # type: ignore[arg-type]

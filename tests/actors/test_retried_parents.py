"""A parent that runs again before the resolver has judged those who wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobQueue, JobRef, JobState, MemoryStorage, Options, Storage, fixed
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import FaultyStorage, VirtualClock


class SlowToTell(FaultyStorage):
    """Tells late who waits: as it is by then, or as it was when that was asked."""

    def __init__(self, storage: Storage, *, of_the_past: bool) -> None:
        super().__init__(storage)
        self.of_the_past = of_the_past
        self.asked = trio.Event()
        self.may_tell = trio.Event()
        self.may_tell.set()

    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if self.may_tell.is_set() or not isinstance(query, Dependents) or not found.jobs:
            return found
        self.asked.set()
        await self.may_tell.wait()
        return found if self.of_the_past else await super().read(query)


class House:
    """A parent that fails at first and takes its time then, and two that wait for it."""

    def __init__(self, storage: Storage, *, max_attempts: int = 1) -> None:
        self.app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=2))
        self.entered = 0
        self.may_end = trio.Event()
        self.parent = self.app.job(name="parent", max_attempts=max_attempts, retry=fixed(5))(
            self._parent
        )
        self.child = self.app.job(name="child")(self._child)
        self.ran: list[str] = []

    async def _parent(self) -> None:
        self.entered += 1
        if self.entered == 1:
            raise ValueError("at first")
        await self.may_end.wait()

    async def _child(self, word: str) -> None:
        self.ran.append(word)

    async def follow(
        self, queue: JobQueue, *, batch: bool
    ) -> tuple[JobRef[None], JobRef[None], JobRef[None]]:
        """The parent, who waits for its success, and who for its failure; it begins in a minute."""
        async with queue.batch() as opened:
            parent = opened.enqueue(self.parent, execute_after=60)
        waits_for = opened if batch else parent
        return (
            parent,
            await queue.continue_with(waits_for, self.child, "plan a"),
            await queue.continue_with(waits_for, self.child, "plan b", on="failure"),
        )


storages = pytest.mark.parametrize("kind", ["memory", "sqlite"])
parents = pytest.mark.parametrize("batch", [False, True], ids=["job", "batch"])


def make(kind: str, path: Path) -> Storage:
    return MemoryStorage() if kind == "memory" else SqliteStorage(path / "jobs.db", inline=True)


@storages
@parents
async def test_who_waits_for_a_parent_retried_by_hand_before_the_verdict_waits_for_its_new_end(
    autojump_clock: MockClock, tmp_path: Path, kind: str, batch: bool
) -> None:
    storage = SlowToTell(make(kind, tmp_path), of_the_past=False)
    house = House(storage)
    async with house.app.running() as queue:
        parent, plan_a, plan_b = await house.follow(queue, batch=batch)
        await trio.sleep(30)
        storage.may_tell = trio.Event()
        await storage.asked.wait()
        assert await parent.status() is JobState.FAILED
        assert await queue.retry(parent)
        storage.may_tell.set()
        await trio.sleep(100)
        assert {await plan_a.status(), await plan_b.status()} == {JobState.WAITING}
        house.may_end.set()
        await plan_a.result(1)
        assert (await plan_b.wait(1)).state is JobState.CANCELLED
    assert (house.entered, house.ran) == (2, ["plan a"])


@storages
@parents
async def test_a_verdict_on_a_parent_as_it_was_is_final(
    autojump_clock: MockClock, tmp_path: Path, kind: str, batch: bool
) -> None:
    """Somebody has it run again after the resolver has seen how it ended."""
    storage = SlowToTell(make(kind, tmp_path), of_the_past=True)
    house = House(storage)
    async with house.app.running() as queue:
        parent, plan_a, plan_b = await house.follow(queue, batch=batch)
        await trio.sleep(30)
        storage.may_tell = trio.Event()
        await storage.asked.wait()
        assert await queue.retry(parent)
        storage.may_tell.set()
        await plan_b.result(1)
        assert (await plan_a.wait(1)).state is JobState.CANCELLED
        assert await parent.status() is JobState.PROCESSING
        house.may_end.set()
        await parent.result(1)
        await trio.sleep(100)
    assert (house.entered, house.ran) == (2, ["plan b"])


@storages
@parents
async def test_an_attempt_that_fails_and_is_not_the_last_decides_nothing(
    autojump_clock: MockClock, tmp_path: Path, kind: str, batch: bool
) -> None:
    house = House(make(kind, tmp_path), max_attempts=2)
    async with house.app.running() as queue:
        parent, plan_a, plan_b = await house.follow(queue, batch=batch)
        await trio.sleep(62)
        assert await parent.status() is JobState.SCHEDULED
        assert {await plan_a.status(), await plan_b.status()} == {JobState.WAITING}
        await trio.sleep(60)
        assert await parent.status() is JobState.PROCESSING
        assert {await plan_a.status(), await plan_b.status()} == {JobState.WAITING}
        house.may_end.set()
        await plan_a.result(1)
        assert (await plan_b.wait(1)).state is JobState.CANCELLED
    assert (house.entered, house.ran) == (2, ["plan a"])


async def test_who_waits_is_judged_though_the_retry_comes_before_its_registration_is_looked_at(
    autojump_clock: MockClock,
) -> None:
    """The parent had ended when the continuation was stored, and lives when that is looked at."""
    storage = SlowToTell(MemoryStorage(), of_the_past=False)
    house = House(storage)
    async with house.app.running() as queue:
        parent = await queue.enqueue(house.parent)
        await parent.wait(1)
        storage.may_tell = trio.Event()
        plan_a = await queue.continue_with(parent, house.child, "plan a")
        await storage.asked.wait()
        assert await queue.retry(parent)
        storage.may_tell.set()
        await trio.sleep(100)
        assert await plan_a.status() is JobState.WAITING
        house.may_end.set()
        await plan_a.result(1)
    assert house.ran == ["plan a"]

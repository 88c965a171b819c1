"""Several processes fire the same schedules, are slow, fail, and stop between any two steps."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.features.schedules.shop import HOUR, MINUTE, Shop, history, in_a_file
from trio_gusto import GustoError, MemoryStorage, UnknownSchedule, every
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.schedule_messages import Fire, PutSchedule
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock


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

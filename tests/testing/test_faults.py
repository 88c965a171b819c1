"""A faulty storage fails where its plan says, and passes on everything else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import MemoryStorage, OptionsError, StorageBusy, StorageError, StorageFull
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Ready
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.testing import Asked, Fault, FaultyStorage, check_storage

ID = JobId(bytes(16))
INSERT = Insert([JobRequest(ID, "greet", "[]", 0, 3)], [Ready(0)])


async def kept(storage: FaultyStorage) -> bool:
    """Whether the job is in the storage underneath."""
    return bool((await storage.storage.read(Get([ID]))).jobs)


async def test_without_a_plan_it_keeps_the_contract_of_storages() -> None:
    await check_storage(lambda: FaultyStorage(MemoryStorage()))


async def test_a_fault_before_leaves_the_storage_untouched() -> None:
    storage = FaultyStorage(MemoryStorage(), [Fault(error=StorageFull("the disk is full"))])
    await storage.attach("node")
    with pytest.raises(StorageFull, match="the disk is full"):
        await storage.apply([INSERT])
    assert not await kept(storage)

    await storage.apply([INSERT])
    assert await kept(storage)


async def test_a_fault_after_the_commit_loses_the_reply_only() -> None:
    storage = FaultyStorage(MemoryStorage(), [Fault(after_commit=True)])
    await storage.attach("node")
    with pytest.raises(StorageBusy):
        await storage.apply([INSERT])
    assert await kept(storage)


async def test_calls_are_counted_from_one_and_by_kind() -> None:
    storage = FaultyStorage(MemoryStorage(), [Fault(on="read", nth=2)])
    await storage.attach("node")
    await storage.apply([INSERT])
    await storage.apply([Prune(0, 1)])
    await storage.read(Get([ID]))
    assert len(storage.pending) == 1, "not yet"
    with pytest.raises(StorageBusy):
        await storage.read(Get([ID]))
    assert not storage.pending
    assert [(fault.on, fault.nth) for fault in storage.happened] == [("read", 2)]
    await storage.read(Get([ID]))


async def test_a_delay_is_seconds_of_trios_clock(autojump_clock: MockClock) -> None:
    slow = Fault(on="read", delay=timedelta(minutes=1), error=None)
    storage = FaultyStorage(MemoryStorage(), [slow])
    await storage.attach("node")
    before = trio.current_time()
    assert (await storage.read(Get([ID]))).jobs == []
    assert trio.current_time() == before + 60


async def test_a_plan_may_be_a_function_of_the_messages() -> None:
    def no_pruning(asked: Asked) -> Fault | None:
        prunes = any(isinstance(message, Prune) for message in asked.messages)
        return Fault(error=StorageError(f"no pruning in call {asked.nth}")) if prunes else None

    storage = FaultyStorage(MemoryStorage(), no_pruning)
    await storage.attach("node")
    await storage.apply([INSERT])
    for nth in (2, 3):
        with pytest.raises(StorageError, match=f"no pruning in call {nth}"):
            await storage.apply([Prune(0, 1)])


async def test_the_next_call_can_be_let_fail_at_any_time() -> None:
    storage = FaultyStorage(MemoryStorage())
    await storage.attach("node")
    await storage.apply([INSERT])
    storage.fail_next()
    with pytest.raises(StorageBusy):
        await storage.apply([Prune(0, 1)])
    storage.fail_next(StorageFull("full"), on="read")
    with pytest.raises(StorageFull):
        await storage.read(Get([ID]))
    await storage.read(Get([ID]))


async def test_all_else_is_the_storage_underneath(autojump_clock: MockClock) -> None:
    class Changeable(MemoryStorage):
        decides_retries = True
        remembers_presence = True

        async def wait_changed(self, node: str) -> None:
            await trio.sleep(1)

    storage = FaultyStorage(Changeable(), [])
    assert storage.decides_retries
    assert storage.remembers_presence
    await storage.attach("node")
    await storage.wait_changed("node")
    assert trio.current_time() == 1
    assert storage.renew_blocking(Renew("node", 0, 0, [])) == storage.storage.renew_blocking(
        Renew("node", 0, 0, [])
    )
    await storage.detach("node")


@pytest.mark.parametrize(
    ("wrong", "key"), [({"on": "write"}, "on"), ({"nth": 0}, "nth"), ({"delay": -1}, "delay")]
)
def test_a_fault_that_could_never_happen_is_refused(wrong: dict[str, object], key: str) -> None:
    with pytest.raises(OptionsError) as caught:
        Fault(**wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.key == key

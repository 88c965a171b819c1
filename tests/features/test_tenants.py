"""Tenants that take turns, and tenants that are paused."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, MemoryStorage, Options, OptionsError, call
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Printer:
    """An app that prints pages for tenants, and notes in which order."""

    def __init__(self, storage: Storage, options: Options) -> None:
        self.app = Gusto(storage, clock=VirtualClock(), options=options)
        self.printed: list[tuple[str, int]] = []
        self.page = self.app.job(name="page")(self._page)

    async def _page(self, tenant: str, number: int) -> None:
        self.printed.append((tenant, number))
        await trio.sleep(1)

    def tenants(self) -> list[str]:
        return [tenant for tenant, _ in self.printed]


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "memory":
        return MemoryStorage()
    return SqliteStorage(tmp_path / "jobs.db", inline=True)


def fair(concurrency: int = 1, **weights: int) -> Options:
    return Options(
        concurrency=concurrency, tenant_order="fair", tenant_weights=weights or None, prefetch=4
    )


async def print_all(printer: Printer, pages: dict[str, int]) -> None:
    async with printer.app.running() as queue:
        await queue.pause()
        for tenant, count in pages.items():
            await queue.enqueue_many(
                [call(printer.page, tenant, number, tenant=tenant) for number in range(count)]
            )
        await queue.resume()
        await queue.work_until_idle()


async def test_without_turns_whoever_came_first_is_served_first(
    storage: Storage, autojump_clock: MockClock
) -> None:
    printer = Printer(storage, Options(concurrency=1))
    await print_all(printer, {"big": 20, "small": 2})
    assert printer.tenants() == ["big"] * 20 + ["small"] * 2


async def test_with_turns_many_jobs_of_one_do_not_keep_another_waiting(
    storage: Storage, autojump_clock: MockClock
) -> None:
    printer = Printer(storage, fair())
    await print_all(printer, {"big": 40, "small": 3, "tiny": 1})
    assert printer.tenants()[:7] == ["big", "small", "tiny", "big", "small", "big", "small"]
    for tenant in ("big", "small", "tiny"):
        numbers = [number for whose, number in printer.printed if whose == tenant]
        assert numbers == sorted(numbers)


async def test_a_tenant_has_turns_by_its_weight(
    storage: Storage, autojump_clock: MockClock
) -> None:
    printer = Printer(storage, fair(3, gold=3, silver=2))
    await print_all(printer, {"bronze": 50, "silver": 50, "gold": 50})
    assert Counter(printer.tenants()[:48]) == {"gold": 24, "silver": 16, "bronze": 8}


async def test_idleness_earns_nothing(storage: Storage, autojump_clock: MockClock) -> None:
    printer = Printer(storage, fair())
    await print_all(printer, {"busy": 50})
    printer.printed.clear()
    await print_all(printer, {"busy": 10, "late": 10})
    gaps = [one == other for one, other in pairwise(printer.tenants())]
    assert not any(gaps)


async def test_priority_goes_before_turns_and_each_queue_has_its_own(
    storage: Storage, autojump_clock: MockClock
) -> None:
    options = Options(
        concurrency=1, tenant_order="fair", queues=["mail", "reports"], queue_order="strict"
    )
    printer = Printer(storage, options)
    async with printer.app.running() as queue:
        await queue.pause()
        for number in range(3):
            for tenant in ("a", "b"):
                for kind, priority in (("mail", 0), ("reports", 5), ("mail", 9)):
                    await queue.enqueue(
                        printer.page,
                        f"{kind} {priority} {tenant}",
                        number,
                        tenant=tenant,
                        queue=kind,
                        priority=priority,
                    )
        await queue.resume()
        await queue.work_until_idle()
    assert printer.tenants() == [
        f"{kind} {priority} {tenant}"
        for kind, priority in (("mail", 9), ("mail", 0), ("reports", 5))
        for _ in range(3)
        for tenant in ("a", "b")
    ]


async def test_jobs_in_lanes_take_part(storage: Storage, autojump_clock: MockClock) -> None:
    printer = Printer(storage, fair(4))
    async with printer.app.running() as queue:
        await queue.pause()
        for number in range(10):
            await queue.enqueue(printer.page, "big", number, tenant="big")
            await queue.enqueue(printer.page, "big", 100 + number, tenant="big", worker="w")
        for number in range(5):
            await queue.enqueue(printer.page, "small", number, tenant="small", worker="w")
        await queue.resume()
        await queue.work_until_idle()
    assert len(printer.printed) == 25
    in_line = [number for tenant, number in printer.printed if number >= 100]
    assert in_line == sorted(in_line)


async def test_turns_go_on_where_they_were_after_a_restart(
    storage: Storage, autojump_clock: MockClock
) -> None:
    printer = Printer(storage, fair(1, gold=4))
    async with printer.app.running() as queue:
        await queue.pause()
        for tenant in ("gold", "bronze"):
            await queue.enqueue_many(
                [call(printer.page, tenant, number, tenant=tenant) for number in range(40)]
            )
        await queue.resume()
        await trio.sleep(20.5)
    async with printer.app.running():
        await trio.sleep(20)
    counted = Counter(printer.tenants())
    assert abs(counted["gold"] - 4 * counted["bronze"]) <= 8


async def test_paused_tenants_are_passed_over_and_others_keep_their_order(
    storage: Storage, autojump_clock: MockClock
) -> None:
    printer = Printer(storage, Options(concurrency=1))
    async with printer.app.running() as queue:
        await queue.pause()
        for number in range(4):
            for tenant in ("a", "b", "c", ""):
                await queue.enqueue(
                    printer.page, tenant, number, tenant=tenant, priority=number % 2
                )
        await queue.pause(tenant="a")
        await queue.pause(tenant="c", queue="default")
        await queue.pause(tenant="b", queue="another")
        assert len(await queue.paused()) == 4
        await queue.resume()
        assert await queue.paused() == ()
        await queue.pause(tenant="a")
        await queue.pause(tenant="c", queue="default")
        await trio.sleep(60)
        assert set(printer.tenants()) >= {"b", ""}
        await queue.resume(tenant="a")
        await queue.resume(tenant="c", queue="default")
        await queue.work_until_idle()
    assert len(printer.printed) == 16


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionsError, match="tenant_order"):
        Options(tenant_order="random")  # type: ignore[arg-type]
    with pytest.raises(OptionsError, match="only with tenant_order"):
        Options(tenant_weights={"a": 2})
    with pytest.raises(OptionsError, match="one line of all priorities"):
        Options(tenant_order="fair", priority_ageing=60)
    for weight in (0, -1, 1.5, "many", 10_001):
        with pytest.raises(OptionsError, match="tenant_weights"):
            Options(tenant_order="fair", tenant_weights={"a": weight})  # type: ignore[dict-item]
    with pytest.raises(OptionsError, match="tenant_weights"):
        Options(tenant_order="fair", tenant_weights=["a"])  # type: ignore[arg-type]

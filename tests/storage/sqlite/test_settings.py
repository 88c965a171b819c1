"""What a storage is told at its making: limits, what is said of others, and what holds if nothing is."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trio_gusto.model.errors import OptionsError, StorageBusy, StorageError
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite import storage as storage_module
from trio_gusto.storage.sqlite.connection import Synchronous
from trio_gusto.testing.storage_contract import Subject


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"synchronous": "OFF"}, 'use "FULL" or "NORMAL"'),
        ({"busy_timeout": -1}, "use 0 to 3600 seconds"),
        ({"busy_timeout": 3601}, "use 0 to 3600 seconds"),
        ({"watch_interval": 0}, "use 0.01 to 3600 seconds"),
        ({"watch_interval": 3601}, "use 0.01 to 3600 seconds"),
        ({"archive": True}, "a database in memory has no place for files"),
    ],
)
def test_what_is_refused_is_named_with_what_to_use(
    settings: Mapping[str, object], advice: str
) -> None:
    ((option, value),) = settings.items()
    with pytest.raises(OptionsError) as refused:
        SqliteStorage(":memory:", **settings)  # type: ignore[arg-type]  # on purpose
    assert (refused.value.key, refused.value.value) == (option, value)
    assert str(refused.value).endswith(advice)


@pytest.mark.parametrize(
    "settings",
    [
        {"busy_timeout": 0},
        {"busy_timeout": 3600},
        {"watch_interval": 0.01},
        {"watch_interval": 3600},
    ],
)
def test_the_limits_themselves_are_taken(settings: Mapping[str, float]) -> None:
    SqliteStorage(":memory:", **settings)  # type: ignore[arg-type]  # each is a number


async def test_a_lock_is_waited_for_five_seconds(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_module, "_RETRY", 0.5)
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True, watch_interval=60)
    await storage.attach("node")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = trio.current_time()
        with pytest.raises(StorageBusy):
            await Subject(storage, "node").enqueue()
        assert trio.current_time() - began == 5
    await storage.detach("node")


async def test_who_waits_hears_of_other_processes_within_a_tenth_of_a_second(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=True)
    await storage.attach("node")
    with trio.fail_after(60), closing(sqlite3.connect(path)) as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(storage.wait_changed, "node")
            await wait_all_tasks_blocked()
            began = trio.current_time()
            other.execute("PRAGMA user_version = 1000")
        assert trio.current_time() - began <= 0.1
    await storage.detach("node")


@pytest.mark.parametrize(("synchronous", "number"), [("NORMAL", 1), ("FULL", 2)])
async def test_how_safe_writes_are_from_a_power_cut_is_as_asked(
    tmp_path: Path, synchronous: Synchronous, number: int
) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", synchronous=synchronous, inline=True)
    await storage.attach("node")
    connection = storage._attached().writer.connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (number,)
    await storage.detach("node")


async def test_who_leaves_waits_a_minute_for_who_arrives(autojump_clock: MockClock) -> None:
    storage = SqliteStorage(":memory:", inline=True)
    await storage.attach("node")

    async def arrive() -> None:
        async with storage._opening:
            await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(arrive)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        await storage.detach("node")
        assert trio.current_time() - began == 60
    await storage.read(Find(1))
    await storage.detach("node")
    with pytest.raises(
        StorageError,
        match=re.escape(
            "no node is attached to :memory:, so it is not open; call attach() first, and detach() last"
        )
        + "$",
    ):
        await storage.read(Find(1))

"""Every storage of the package keeps every promise of the message contract: one test for each."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import (
    STORAGE_CHECKS,
    Check,
    MakeStorage,
    check_reopening,
    run_check,
)

StorageAt = Callable[[Path], Storage]


def memory(path: Path) -> Storage:
    return MemoryStorage()


STORAGES: dict[str, StorageAt] = {
    "memory": memory,
    "sqlite in a thread": SqliteStorage,
    "sqlite inline": partial(SqliteStorage, inline=True),
    "sqlite without syncing": partial(SqliteStorage, synchronous="NORMAL"),
}


@pytest.fixture(params=list(STORAGES.values()), ids=list(STORAGES))
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    """Makes fresh storages of one kind."""
    files = (tmp_path / f"{number}.db" for number in count())
    return lambda: request.param(next(files))


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
async def test_storages_promise_that(check: Check, make_storage: MakeStorage) -> None:
    await run_check(check, make_storage)


@pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])
async def test_a_file_keeps_its_jobs_when_it_is_opened_again(tmp_path: Path, inline: bool) -> None:
    def open_file(before: Storage | None = None) -> Storage:
        return SqliteStorage(tmp_path / "jobs.db", inline=inline)

    await check_reopening(open_file, open_file)


@pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])
async def test_sqlite_without_a_file_promises_the_same(inline: bool) -> None:
    for check in STORAGE_CHECKS:
        await run_check(check, lambda: SqliteStorage(":memory:", inline=inline))


def test_the_suite_is_offered_to_users() -> None:
    from trio_gusto import testing
    from trio_gusto.testing import storage_contract

    assert testing.check_storage is storage_contract.check_storage
    assert testing.STORAGE_CHECKS is storage_contract.STORAGE_CHECKS
    assert len({check.__name__ for check in STORAGE_CHECKS}) == len(STORAGE_CHECKS) >= 70

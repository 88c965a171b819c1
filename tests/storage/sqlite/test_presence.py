"""A node that vanished is noticed before its leases have passed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from trio_gusto.model.errors import StorageError
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, ids


@asynccontextmanager
async def opened(path: Path, node: str) -> AsyncGenerator[Subject]:
    storage = SqliteStorage(path, inline=True)
    await storage.attach(node)
    try:
        yield Subject(storage, node)
    finally:
        await storage.detach(node)


async def stranded(subject: Subject) -> StrandedJobs:
    return await subject.storage.read(Stranded(subject.node, NOW + 1, 10))


VICTIM = """
import sys, trio
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite import SqliteStorage

async def main(path, now):
    storage = SqliteStorage(path)
    await storage.attach("victim")
    (reply,) = await storage.apply([ClaimDue("victim", now, now + 3600_000_000, 9, 9)])
    print(len(reply.jobs), flush=True)
    await trio.sleep_forever()

trio.run(main, sys.argv[1], int(sys.argv[2]))
"""


def start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(path), str(NOW)], stdout=subprocess.PIPE, text=True
    )


async def test_a_killed_process_loses_its_leases_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "heir") as heir:
        request = await heir.enqueue()
        victim = start(path)
        assert victim.stdout is not None
        assert victim.stdout.readline() == "1\n"
        alive = await stranded(heir)
        assert (alive.lost, alive.foreign) == ([], True)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        dead = await stranded(heir)
        assert ids(dead.lost) == [request.id]
        assert dead.next_at is None
        left = [file.name for file in (tmp_path / "jobs.db-nodes").iterdir()]
        assert left == ["heir.lock"]


async def test_storages_of_one_process_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "one") as one:
        async with opened(path, "two/../strange name") as two:
            request = await two.enqueue()
            await two.claim_one()
            assert (await stranded(one)).lost == []
        assert ids((await stranded(one)).lost) == [request.id]


async def test_a_node_that_leaves_takes_its_file_along(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db", "one"):
        assert list((tmp_path / "jobs.db-nodes").iterdir())
    assert not list((tmp_path / "jobs.db-nodes").iterdir())


async def test_a_name_is_there_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "one"):
        again = SqliteStorage(path, inline=True)
        with pytest.raises(StorageError, match="name never used before"):
            await again.attach("one")
        with pytest.raises(StorageError, match="call attach"):
            await again.apply([])


async def test_without_a_file_only_leases_tell(tmp_path: Path) -> None:
    assert SqliteStorage(tmp_path / "jobs.db").remembers_presence
    storage = SqliteStorage(":memory:")
    assert not storage.remembers_presence
    await storage.attach("one")
    one, gone = Subject(storage, "one"), Subject(storage, "gone")
    await one.enqueue()
    await gone.claim_one()
    assert (await stranded(one)).lost == []
    await storage.detach("one")

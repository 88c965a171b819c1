"""Several processes, and several storages of one process, share a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, ids

both = pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])


@asynccontextmanager
async def opened(path: Path, node: str, *, inline: bool = False) -> AsyncGenerator[Subject]:
    storage = SqliteStorage(path, inline=inline, watch_interval=0.02)
    await storage.attach(node)
    try:
        yield Subject(storage, node)
    finally:
        await storage.detach(node)


async def is_woken(subject: Subject, act: Callable[[], Awaitable[object]]) -> bool:
    """Whether ``subject`` hears of what ``act`` does."""
    await settle(subject)
    async with trio.open_nursery() as nursery:
        woken = trio.Event()

        async def listen() -> None:
            await subject.storage.wait_changed(subject.node)
            woken.set()

        nursery.start_soon(listen)
        await act()
        with trio.move_on_after(0.25):
            await woken.wait()
        nursery.cancel_scope.cancel()
    return woken.is_set()


async def settle(subject: Subject) -> None:
    """Take the changes that lie behind."""
    while True:
        with trio.move_on_after(0.1) as scope:
            await subject.storage.wait_changed(subject.node)
        if scope.cancelled_caught:
            return


@both
async def test_what_another_storage_commits_is_noticed(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "one", inline=inline) as one, opened(path, "two") as two:
        assert await is_woken(one, two.enqueue)
        assert not await is_woken(one, one.claim_one)
        assert not await is_woken(one, two.everything)


@both
async def test_a_change_between_two_waits_is_not_missed(tmp_path: Path, inline: bool) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "one", inline=inline) as one, opened(path, "two") as two:
        await settle(one)
        await two.enqueue()
        with trio.fail_after(5):
            await one.storage.wait_changed("one")


@pytest.mark.parametrize("path", ["jobs.db", ":memory:"])
@both
async def test_nodes_of_one_storage_hear_of_each_other(
    tmp_path: Path, path: str, inline: bool
) -> None:
    storage = SqliteStorage(path if path == ":memory:" else tmp_path / path, inline=inline)
    await storage.attach("one")
    await storage.attach("two")
    one, two = Subject(storage, "one"), Subject(storage, "two")
    await two.insert()
    assert await is_woken(one, two.enqueue)
    job = await two.claim_one()
    renewal = Renew("two", NOW, NOW + LEASE, [(job.request.id, job.token)])
    assert not await is_woken(one, lambda: storage.apply([renewal]))
    await storage.detach("one")
    await storage.detach("two")


WORKER = """
import sys, trio
from trio_gusto.storage.messages import ClaimDue, Commit
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.model.states import Completed

async def main(path, node, now):
    storage = SqliteStorage(path)
    await storage.attach(node)
    print("attached", flush=True)
    sys.stdin.read(1)
    while True:
        (reply,) = await storage.apply([ClaimDue(node, now, now + 60_000_000, 7, 7)])
        for job in reply.jobs:
            print(job.request.id.hex())
        done = [
            Commit(job.request.id, job.token, Completed(now, now, now, node), job.attempt)
            for job in reply.jobs
        ]
        await storage.apply(done)
        if not reply.jobs:
            break
    await storage.detach(node)

trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


def start(path: Path, node: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), node, str(NOW)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


async def test_two_processes_take_each_job_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, "here") as here:
        requests = [here.request() for _ in range(400)]
        await here.insert(*requests)
        workers = [start(path, node) for node in ("one", "two")]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "attached\n"
        taken: list[str] = []
        shares = [await trio.to_thread.run_sync(worker.communicate, "!") for worker in workers]
        for output, _ in shares:
            taken += output.split()
        assert [worker.returncode for worker in workers] == [0, 0]
        assert sorted(taken) == [job_id.hex() for job_id in sorted(ids(requests))]
        states = {job.state.word.value for job in await here.everything()}
        assert states == {"completed"}

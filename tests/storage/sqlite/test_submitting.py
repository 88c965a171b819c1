"""A group that is begun without a task that waits for it, and a renewal while nobody's task can run; and what is said when they fail."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.model.errors import GustoError, StorageBusy, StorageError
from trio_gusto.storage.lease_messages import Renew
from trio_gusto.storage.messages import Inserted, Write, WriteReply
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.session import Session
from trio_gusto.storage.sqlite.thread import DatabaseThread
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.inserting import insertion
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, ids

T = TypeVar("T")

both = pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])

Answered = Sequence[WriteReply | GustoError] | StorageError


@asynccontextmanager
async def opened(path: Path, *, inline: bool = False) -> AsyncGenerator[Subject]:
    storage = SqliteStorage(path, inline=inline, busy_timeout=0, synchronous="NORMAL")
    await storage.attach("node")
    try:
        yield Subject(storage, "node")
    finally:
        await storage.detach("node")


async def answer_to(subject: Subject, writes: Sequence[Write]) -> Answered:
    answers: list[Answered] = []
    come = trio.Event()

    def take(answer: Answered) -> None:
        answers.append(answer)
        come.set()

    assert subject.storage.submit(writes, take)
    with trio.fail_after(5):
        await come.wait()
    (answer,) = answers
    return answer


@both
async def test_what_is_submitted_is_done_and_answered(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        request = subject.request()
        assert await answer_to(subject, [insertion(request)]) == [Inserted()]
        assert ids(await subject.everything()) == [request.id]


@both
async def test_other_nodes_hear_of_what_is_submitted(tmp_path: Path, inline: bool) -> None:
    async with opened(tmp_path / "jobs.db", inline=inline) as subject:
        storage, heard = subject.storage, trio.Event()
        await storage.attach("another")

        async def listen() -> None:
            await storage.wait_changed("another")
            heard.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await wait_all_tasks_blocked()
            renewal = Renew("node", NOW, NOW + LEASE, [])
            await answer_to(subject, [renewal])
            await wait_all_tasks_blocked()
            assert not heard.is_set()
            await answer_to(subject, [insertion(subject.request())])
            with trio.fail_after(5):
                await heard.wait()
        await storage.detach("another")


async def test_what_fails_in_the_thread_is_answered_with_why(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as subject:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answer = await answer_to(subject, [insertion(subject.request())])
        assert isinstance(answer, StorageBusy)
        assert f"kept {path} locked for longer than 0 s" in str(answer)
        assert isinstance(answer.__cause__, sqlite3.OperationalError)


async def test_what_fails_in_the_loop_is_raised_at_once(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path, inline=True) as subject:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageBusy, match=f"kept {path} locked") as caught:
                await answer_to(subject, [insertion(subject.request())])
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


async def test_what_breaks_in_the_thread_is_answered_as_a_fault_of_the_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = RuntimeError("a plane has crashed into the disk")

    def break_down(_writer: Writer, _writes: Sequence[Write]) -> Sequence[WriteReply]:
        raise fault

    async with opened(tmp_path / "jobs.db") as subject:
        with monkeypatch.context() as patch:
            patch.setattr(Writer, "apply", break_down)
            answer = await answer_to(subject, [insertion(subject.request())])
    assert type(answer) is StorageError
    assert str(answer) == f"the storage broke: {fault!r}"
    assert answer.__cause__ is fault


# --- renewals -------------------------------------------------------------------------------------


async def test_a_renewal_waits_for_a_lock_and_a_second_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def run_blocking(_thread: DatabaseThread, _work: Callable[[], T], timeout: float) -> T | None:
        waited.append(timeout)
        return None

    monkeypatch.setattr(DatabaseThread, "run_blocking", run_blocking)
    storage = SqliteStorage(tmp_path / "jobs.db", busy_timeout=7)
    await storage.attach("node")
    assert storage.renew_blocking(Renew("node", NOW, NOW + LEASE, [])) is None
    assert waited == [8]
    await storage.detach("node")


async def test_a_renewal_that_is_refused_is_none(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as subject:
        await subject.enqueue()
        job = await subject.claim_one()
        leases = [(job.request.id, job.token)]
        assert subject.storage.renew_blocking(Renew("node", NOW, 2**63, leases)) is None
        assert subject.storage.renew_blocking(Renew("node", NOW, NOW + LEASE, leases)) is not None


async def test_a_renewal_that_fails_is_none(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with opened(path) as subject:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert subject.storage.renew_blocking(Renew("node", NOW, NOW + LEASE, [])) is None


# --- moving old jobs ------------------------------------------------------------------------------


async def test_what_fails_while_old_jobs_move_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_session: Session, _ask: Prune, _write: object) -> Pruned:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Session, "move_old", fail)
    storage = SqliteStorage(tmp_path / "jobs.db", archive=True)
    await storage.attach("node")
    with pytest.raises(StorageError, match=r"failed on .*jobs\.db \(disk I/O error\)"):
        await storage.prune_apart(Prune(NOW, 9))
    await storage.detach("node")

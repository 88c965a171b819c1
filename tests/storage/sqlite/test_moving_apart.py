"""Old jobs are copied while others write; only what is as it was then is deleted."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from tests.storage.sqlite.moving import DECEMBER, NOVEMBER, fill, found, ids, opened, rows
from trio_gusto.model.states import Failed, JobState, Ready, State, Waiting
from trio_gusto.storage.finding_messages import Find, Get
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import archive, months, session
from trio_gusto.storage.sqlite.archive import Archive, Copied
from trio_gusto.testing.storage_contract import Subject

ENDED = Find(99, states=frozenset({JobState.FAILED}))


async def move(subject: Subject) -> int:
    reply = await subject.storage.prune_apart(Prune(DECEMBER + 1000, 100))
    assert isinstance(reply, Pruned)
    return reply.count


async def move_while(
    subject: Subject, act: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> int:
    """Move old jobs, and ``act`` when all are copied, and none is deleted."""
    token = trio.lowlevel.current_trio_token()
    copy = Archive.copy

    def copy_and_act(self: Archive, connection: sqlite3.Connection, seqs: Sequence[int]) -> Copied:
        copied = copy(self, connection, seqs)
        monkeypatch.setattr(Archive, "copy", copy)
        trio.from_thread.run(act, trio_token=token)
        return copied

    monkeypatch.setattr(Archive, "copy", copy_and_act)
    return await move(subject)


async def test_a_job_that_runs_again_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        jobs = (await subject.storage.read(Get([one.id for one in requests]))).jobs

        async def act() -> None:
            states: Sequence[State] = (Ready(DECEMBER), Failed(7, "new"))
            for job, state in zip(jobs, states, strict=False):
                again = Commit(job.request.id, job.version, state, 0)
                await subject.expect(Committed, again)

        assert await move_while(subject, act, monkeypatch) == 4
        assert (await subject.get(requests[0].id)).state == Ready(DECEMBER)
        assert (await subject.get(requests[1].id)).state == Failed(7, "new")
        assert await found(subject, ENDED) == ids(requests[1:])
        assert await move(subject) == 1
        assert (await subject.get(requests[1].id)).state == Failed(7, "new")


async def test_a_job_for_which_another_waits_by_now_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as subject:
        requests = await fill(subject)

        async def act() -> None:
            child = subject.request(created_at=DECEMBER)
            await subject.insert(child, states=[Waiting((requests[0].id,))])

        assert await move_while(subject, act, monkeypatch) == 5
        assert rows(tmp_path / "jobs.db") == [(3,)]
        assert await found(subject, ENDED) == ids(requests)


async def test_what_another_process_has_moved_meanwhile_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as subject, opened(tmp_path, "another") as another:
        requests = await fill(subject)

        async def act() -> None:
            assert await move(another) == 6
            job = await another.get(requests[0].id)
            again = Commit(job.request.id, job.version, Ready(DECEMBER), 0)
            await another.expect(Committed, again)

        assert await move_while(subject, act, monkeypatch) == 0
        assert (await subject.get(requests[0].id)).state == Ready(DECEMBER)
        assert await found(subject, ENDED) == ids(requests[1:])


async def test_a_copy_that_waited_for_another_is_made_of_what_there_is_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would overwrite the other with an older state of the job."""
    waiting = threading.Event()
    connect = months.Months._connect

    def traced(self: months.Months, month: str, mode: str) -> sqlite3.Connection:
        connection = connect(self, month, mode)
        connection.set_trace_callback(notice)
        return connection

    def notice(statement: str) -> None:
        if statement == archive._LOCK:
            waiting.set()

    monkeypatch.setattr(session, "_ARCHIVE_WAIT", 30.0)
    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        assert await move(subject) == 6
        (old,) = (await subject.storage.read(Get([requests[2].id]))).jobs
        again = Commit(old.request.id, old.version, Ready(DECEMBER), 0)
        await subject.expect(Committed, again)
        back = Commit(old.request.id, old.version + 1, Failed(NOVEMBER, "once more"), 0)
        await subject.expect(Committed, back)
        monkeypatch.setattr(months.Months, "_connect", traced)
        counts: list[int] = []

        async def move_it() -> None:
            counts.append(await move(subject))

        with closing(sqlite3.connect(tmp_path / "jobs-2026-11.db")) as another:
            another.execute("BEGIN IMMEDIATE")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(move_it)
                await trio.to_thread.run_sync(waiting.wait, 30)
                newer = Commit(old.request.id, old.version + 2, Failed(NOVEMBER, "newest"), 0)
                await subject.expect(Committed, newer)
                another.execute("COMMIT")
        assert counts == [0]
        assert (await subject.get(requests[2].id)).state == Failed(NOVEMBER, "newest")
        assert rows(tmp_path / "jobs-2026-11.db", "SELECT seq FROM job") == [(4,)]
        assert await move(subject) == 1
        assert (await subject.get(requests[2].id)).state == Failed(NOVEMBER, "newest")


async def test_who_is_cancelled_leaves_at_once_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    copy = Archive.copy

    def copy_slowly(self: Archive, connection: sqlite3.Connection, seqs: Sequence[int]) -> Copied:
        copied = copy(self, connection, seqs)
        go_on.wait(30)
        return copied

    async with opened(tmp_path) as subject:
        requests = await fill(subject)
        monkeypatch.setattr(Archive, "copy", copy_slowly)
        with trio.move_on_after(0.05) as patience:
            await move(subject)
        assert patience.cancelled_caught
        assert not go_on.is_set()
        assert (await found(subject, ENDED)) == ids(requests)
        go_on.set()
        assert await move(subject) == 6
        assert (await found(subject, ENDED)) == ids(requests)

"""Jobs are counted by pieces, and what was counted once is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_gusto.model.states import Cancelled, JobState, Ready, Scheduled, State
from trio_gusto.storage.finding_messages import Tallied, Tally
from trio_gusto.storage.messages import Commit, Committed, Insert
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.counts import Counted, count_jobs
from trio_gusto.storage.sqlite.pieces import ENOUGH, SIZE, SLICE, Piece
from trio_gusto.testing.storage_contract.subject import NOW, Subject, completed

MANY = (ENOUGH + 1) * SIZE


@attrs.define
class File:
    """A storage, and the rows below it."""

    path: Path
    subject: Subject

    async def insert(self, count: int, state: State, **place: Any) -> None:
        requests = [self.subject.request(**place) for _ in range(count)]
        await self.subject.tell(Insert(requests, [state] * count))

    async def tally(self) -> Tallied:
        return await self.subject.storage.read(Tally())

    def ask(self, statement: str) -> Sequence[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    @property
    def kept(self) -> list[int]:
        return [number for (number,) in self.ask("SELECT number FROM piece ORDER BY 1")]

    @property
    def counted(self) -> list[str]:
        """Which pieces another count goes over."""
        asked: list[str] = []
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.set_trace_callback(asked.append)
            count_jobs(connection)
        return [statement for statement in asked if "seq >= " in statement]


@pytest.fixture(params=[False, True], ids=["in a thread", "inline"])
async def file(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[File]:
    path = tmp_path / "jobs.db"
    storage = SqliteStorage(path, inline=request.param, busy_timeout=0.01)
    await storage.attach("node-a")
    yield File(path, Subject(storage, "node-a"))
    await storage.detach("node-a")


async def test_what_was_counted_once_is_not_counted_again(file: File) -> None:
    await file.insert(MANY, Ready(NOW), queue="a")
    first = await file.tally()

    assert file.kept == list(range(ENOUGH + 1))
    assert len(file.counted) == 1, "the newest piece only"
    assert await file.tally() == first
    assert first.counts == {(JobState.READY, "a", ""): MANY}


async def test_of_few_jobs_nothing_is_kept(file: File) -> None:
    await file.insert(ENOUGH * SIZE - 1, Ready(NOW))

    await file.tally()

    assert file.kept == []


async def test_states_of_what_is_kept_are_told_apart(file: File) -> None:
    await file.insert(MANY, Ready(NOW), queue="a", tenant="t")
    await file.insert(1, Ready(NOW), queue="a", tenant="t")
    await file.tally()
    running = (await file.subject.claim(limit=3)).jobs
    await file.subject.complete(running[0])

    tallied = await file.tally()

    assert tallied.counts == {
        (JobState.READY, "a", "t"): MANY - 2,
        (JobState.PROCESSING, "a", "t"): 2,
        (JobState.COMPLETED, "a", "t"): 1,
    }
    assert len(file.counted) == 2, "the piece of the job that has ended, and the newest"


async def test_what_is_deleted_with_plain_sql_is_noticed(file: File) -> None:
    await file.insert(MANY, Cancelled(NOW, ""))
    await file.insert(1, Ready(NOW))
    await file.tally()

    file.ask(f"DELETE FROM job WHERE seq BETWEEN 5 AND {2 * SIZE + 1}")

    tallied = await file.tally()
    assert tallied.counts[JobState.CANCELLED, "default", ""] == MANY - 2 * SIZE + 3


async def test_pieces_of_which_nothing_is_left_are_forgotten(file: File) -> None:
    await file.insert(MANY, Cancelled(NOW, ""))
    await file.insert(1, Ready(NOW))
    await file.tally()

    file.ask("DELETE FROM job WHERE state > 3")

    assert (await file.tally()).counts == {(JobState.READY, "default", ""): 1}
    assert file.kept == []
    assert file.ask("SELECT * FROM piece_sum") == []


async def test_who_may_not_write_counts_again(file: File) -> None:
    await file.insert(MANY, Ready(NOW))
    with closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert sum((await file.tally()).counts.values()) == MANY
        other.execute("ROLLBACK")
    assert file.kept == []

    await file.tally()

    assert len(file.kept) == ENOUGH + 1


async def test_counts_that_another_process_keeps_are_used(file: File) -> None:
    await file.insert(MANY, Ready(NOW))
    other = SqliteStorage(file.path)
    await other.attach("node-b")
    wanted = await other.read(Tally())
    await other.detach("node-b")

    assert len(file.counted) == 1
    assert await file.tally() == wanted


def test_many_counts_are_written_a_part_at_a_time() -> None:
    counts = {(4, "q", str(tenant)): 1 for tenant in range(SLICE // 2)}
    pieces = [Piece(number, 0, 0, 0, counts) for number in range(5)]

    slices = list(Counted(Tallied({}, None), pieces).slices())

    assert [len(part) for part in slices] == [2, 2, 1]
    assert [piece for part in slices for piece in part] == pieces


async def test_a_piece_is_marked_by_all_that_no_attempt_has_done(file: File) -> None:
    """What an attempt does is seen in what is processing, and marks would cost each job something."""
    subject = file.subject
    request = await subject.enqueue()
    marks: list[int] = []

    async def marked(version: int, state: State) -> None:
        await subject.expect(Committed, Commit(request.id, version, state, 0))
        marks.append(file.ask("SELECT coalesce(sum(changes), 0) FROM piece_mark")[0][0])

    await marked(0, Cancelled(NOW, "not wanted"))
    await marked(1, Scheduled(NOW))
    await marked(2, Scheduled(NOW + 1))
    lease = await subject.claim_one(NOW + 1)
    await marked(lease.token, completed(lease))
    assert marks == [1, 2, 2, 3], (
        "the last but one changes nothing that is counted, and claims mark"
    )

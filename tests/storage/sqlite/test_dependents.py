"""Jobs whose wait may be over are told with the states of all that they wait for."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.job import Details
from trio_gusto.model.states import (
    Completed,
    Condition,
    Failed,
    JobState,
    Processing,
    State,
    Waiting,
)
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.messages import Commit, Committed, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW

DONE = Completed(NOW, NOW, NOW, "node", "7")


async def batch_of(subject: Subject, number: int, *states: State) -> JobId:
    batch_id = JobId(number.to_bytes(16, "big"))
    requests = [subject.request(details=Details(batch=batch_id)) for _ in states]
    batch = BatchRequest(batch_id, NOW)
    await subject.expect(Inserted, InsertBatch(batch, Insert(requests, states)))
    return batch_id


async def test_parents_of_all_kinds_are_counted_together(subject: Subject) -> None:
    first = await batch_of(subject, 1, DONE, DONE, Failed(NOW, ""))
    second = await batch_of(subject, 2, DONE)
    empty = await batch_of(subject, 3)
    jobs = [subject.request() for _ in range(3)]
    await subject.insert(*jobs, states=[DONE, DONE, Failed(NOW, "")])
    parents = [
        (first, second, *(job.id for job in jobs)),
        (first,),
        (empty,),
    ]
    waits = [subject.request() for _ in parents]
    states = [Waiting(each, Condition.FINISH) for each in parents]
    await subject.insert(*waits, states=states)
    found = (await subject.storage.read(Dependents(9))).jobs
    assert [one.job.request for one in found] == waits
    assert [one.job.history for one in found] == [()] * 3
    assert [one.parents for one in found] == [
        {JobState.COMPLETED: 5, JobState.FAILED: 2},
        {JobState.COMPLETED: 2, JobState.FAILED: 1},
        {},
    ]


async def test_while_nobody_waits_a_group_asks_once_and_no_more() -> None:
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        writer = Writer(connection)
        subject = Subject(SqliteStorage(":memory:", inline=True), "node")
        jobs = [subject.request() for _ in range(2)]
        leased = [Processing("node", NOW, NOW + 60)] * 2
        assert writer.apply([Insert(jobs, leased)]) == [Inserted()]
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        commits = [Commit(job.id, 0, DONE, 1) for job in jobs]
        assert writer.apply(commits) == [Committed()] * 2
        about_waiting = [statement for statement in asked if "dependency" in statement]
        assert about_waiting == ["SELECT EXISTS (SELECT 1 FROM dependency)"]


async def test_of_one_that_cannot_be_read_it_is_said_that_it_waits_on(
    subject: Subject, connection: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    parent, bad, sound = [subject.request() for _ in range(3)]
    waits = Waiting((parent.id,), Condition.FINISH)
    await subject.insert(parent, bad, sound, states=[DONE, waits, waits])
    connection.execute("UPDATE job SET reason = 'perhaps' WHERE id = ?", (bad.id,))
    found = (await subject.storage.read(Dependents(9))).jobs
    assert [one.job.request for one in found] == [sound]
    assert [record.getMessage() for record in caplog.records] == [
        f"job {to_uuid(bad.id)} waits on: what it waits for cannot be read "
        "(ValueError(\"'perhaps' is not a valid Condition\")); `trio-gusto audit` tells more"
    ]


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_behind_a_parent_whose_state_is_none_nobody_else_waits(
    subject: Subject, connection: sqlite3.Connection, limit: int
) -> None:
    """The question of all who wait was answered with an error; and what is no full page ends the pages."""
    batch_id = JobId(bytes(15) + b"\x01")
    bad, member = subject.request(), subject.request(details=Details(batch=batch_id))
    await subject.insert(bad, states=[DONE])
    opening = InsertBatch(BatchRequest(batch_id, NOW), Insert([member], [DONE]))
    await subject.expect(Inserted, opening)
    parents = [subject.request() for _ in range(3)]
    await subject.insert(*parents, states=[DONE] * 3)
    one, two, three = (parent.id for parent in parents)
    waits = [Waiting((each,), Condition.FINISH) for each in (bad.id, one, batch_id, two, three)]
    _, first, _, second, third = children = [subject.request() for _ in waits]
    await subject.insert(*children, states=waits)
    connection.execute("UPDATE job SET state = 77 WHERE id IN (?, ?)", (bad.id, member.id))
    found = (await subject.storage.read(Dependents(limit))).jobs
    assert [one.job.request for one in found] == [first, second, third][:limit]
    assert [one.parents for one in found] == [{JobState.COMPLETED: 1}] * len(found)

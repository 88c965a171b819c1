"""What a claim, a new job or a question is answered when it comes upon what nobody can read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from trio_gusto.model.errors import ArgumentError, StorageError, UnreadableRecord
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Ready
from trio_gusto.model.uniqueness import OnConflict
from trio_gusto.storage.batch_messages import Batches
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Committed
from trio_gusto.storage.report_messages import ReadLog
from trio_gusto.storage.schedule_messages import FindSchedules, PutSchedule
from trio_gusto.storage.sqlite import unreadable
from trio_gusto.storage.sqlite.batches import find_batches
from trio_gusto.storage.sqlite.connection import Location, open_writer
from trio_gusto.storage.sqlite.ready import oldest_ready
from trio_gusto.storage.sqlite.rows import LATEST
from trio_gusto.storage.sqlite.schedules import find_schedules
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.inserting import insertion
from trio_gusto.testing.storage_contract.scheduling import schedule
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, put_back

CLAIM = ClaimDue("node", NOW, NOW + LEASE, 9, 9)


def insert(writer: Writer, count: int) -> list[JobRequest]:
    requests = [
        JobRequest(uuid7(NOW * 1000, number), "say_hello", "[[],{}]", NOW, 3)
        for number in range(count)
    ]
    writer.apply([insertion(one) for one in requests])
    return requests


def claim(writer: Writer, claim: ClaimDue = CLAIM) -> ClaimReply:
    (reply,) = writer.apply([claim])
    assert isinstance(reply, ClaimReply)
    return reply


async def test_what_is_sound_is_claimed_around_what_is_not(connection: sqlite3.Connection) -> None:
    writer = Writer(connection)
    first, _, last = insert(writer, 3)
    connection.execute("UPDATE job SET details = '{' WHERE seq = 2")
    reply = claim(writer)
    assert [job.request for job in reply.jobs] == [first, last]
    assert not reply.more


async def test_bad_rows_that_are_found_later_are_for_the_next_claim(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable, "_PAGE", 1)
    writer = Writer(connection)
    *_, last = insert(writer, 3)
    connection.execute("UPDATE job SET details = '{' WHERE seq < 3")
    assert claim(writer) == ClaimReply([], more=True, next_due=None)
    assert [job.request for job in claim(writer).jobs] == [last]


async def test_a_claim_that_cannot_be_stored_is_told_so(connection: sqlite3.Connection) -> None:
    writer = Writer(connection)
    insert(writer, 1)
    (reply,) = writer.apply([attrs.evolve(CLAIM, node="n\udcff")])
    assert isinstance(reply, ArgumentError)
    assert str(reply).startswith("SQLite cannot keep this ClaimDue ('utf-8' codec can't encode")
    assert len(claim(writer).jobs) == 1


async def test_what_is_no_job_and_stops_a_claim_is_left_to_the_audit(
    connection: sqlite3.Connection,
) -> None:
    writer = Writer(connection)
    insert(writer, 1)
    connection.execute("INSERT INTO turn VALUES ('', 0, CAST(x'ff' AS TEXT), 9)")
    (reply,) = writer.apply([attrs.evolve(CLAIM, tenant_weights={})])
    assert type(reply) is StorageError
    assert str(reply) == (
        "something that a claim asks for cannot be read (Could not decode to UTF-8 column 'tenant' with text '\ufffd'), "
        "and it is no job that is due, so nothing was claimed; `trio-gusto audit` names it"
    )
    assert len(claim(writer).jobs) == 1


def test_what_is_wrong_with_what_stops_a_claim_is_told(tmp_path: Path) -> None:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.0)
    with closing(open_writer(location, wait=1.0)) as connection:
        insert(Writer(connection), 1)
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as file:
        file.execute("PRAGMA writable_schema = ON")
        file.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT, W', ') W')")
    with closing(open_writer(location, wait=1.0)) as connection:
        connection.execute("INSERT INTO turn VALUES ('', 0, '', 'later')")
        (reply,) = Writer(connection).apply([attrs.evolve(CLAIM, tenant_weights={})])
    assert type(reply) is StorageError
    assert str(reply).startswith("something that a claim asks for cannot be read (TypeError(")


async def test_who_meets_a_job_that_nobody_can_name_is_told_so(
    connection: sqlite3.Connection,
) -> None:
    writer = Writer(connection)
    details = Details(unique_key="one", on_conflict=OnConflict.RETURN_EXISTING)
    first, second = (
        JobRequest(uuid7(NOW * 1000, number), "say_hello", "[[],{}]", NOW, 3, details=details)
        for number in range(2)
    )
    writer.apply([insertion(first)])
    connection.execute("UPDATE job SET id = x'00'")
    (reply,) = writer.apply([insertion(second)])
    assert isinstance(reply, UnreadableRecord)
    met = UnreadableRecord("job", r"with the id b'\x00'", "its id is none")
    assert str(reply) == str(met)


async def test_a_batch_that_cannot_be_read_is_named(connection: sqlite3.Connection) -> None:
    batch = uuid7(NOW * 1000, 1)
    connection.execute(
        "INSERT INTO batch (id, created_at, tenant, tags) VALUES (?, 0, '', '[7]')", (batch,)
    )
    with pytest.raises(UnreadableRecord) as caught:
        find_batches(connection, Batches(9))
    assert (caught.value.kind, caught.value.key) == ("batch", str(to_uuid(batch)))
    assert caught.value.fault == "ValueError('these are no tags: [7]')"


NO_DATE = f"ValueError('{LATEST + 1} is no instant that has a date')"


@pytest.mark.parametrize("due_by", [None, NOW + 10**9])
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_schedules_that_cannot_be_read_are_told_of_and_hide_no_others(
    connection: sqlite3.Connection, limit: int, due_by: int | None
) -> None:
    writer = Writer(connection)
    kept = {name: schedule(name) for name in ("a", "b", "c", "d", "e")}
    for name, one in kept.items():
        assert writer.apply([PutSchedule(name, None, one)]) == [Committed()]
    connection.execute("UPDATE schedule SET request = '{' WHERE name = 'a'")
    connection.execute("UPDATE schedule SET last_at = ? WHERE name = 'c'", (LATEST + 1,))
    answer = find_schedules(connection, FindSchedules(limit, due_by=due_by))
    assert [one.schedule for one in answer.found] == [kept["b"], kept["d"], kept["e"]][:limit]
    told = [(one.kind, one.key, one.fault) for one in answer.unreadable]
    assert told[0][:2] == ("schedule", "'a'")
    assert told[0][2].startswith("JSONDecodeError(")
    assert told[1:] == [("schedule", "'c'", NO_DATE)][: limit - 1]


@pytest.mark.parametrize("column", ["since", "anchor", "next_at", "last_at"])
async def test_a_schedule_has_instants_that_have_a_date(
    connection: sqlite3.Connection, column: str
) -> None:
    one = schedule("a")
    Writer(connection).apply([PutSchedule("a", None, one)])
    connection.execute(f"UPDATE schedule SET {column} = ?", (LATEST + 1,))
    (told,) = find_schedules(connection, FindSchedules(9)).unreadable
    assert told.fault == NO_DATE


async def test_a_node_whose_name_is_none_is_not_looked_for(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await subject.enqueue()
    job = await subject.claim_one(node="other")
    connection.execute("UPDATE node SET node_name = CAST(x'ff' AS TEXT) WHERE node_name = 'other'")
    look = Stranded("node", NOW + 1, 9)
    assert (await subject.storage.read(look)).lost == []
    look.now = NOW + LEASE
    assert [one.request.id for one in (await subject.storage.read(look)).lost] == [job.request.id]


@pytest.mark.parametrize("lane", ["CAST(x'ff' AS TEXT)", "'worker a'"])
async def test_beside_a_leased_lane_that_cannot_be_read_others_are_claimed(
    connection: sqlite3.Connection, lane: str
) -> None:
    writer = Writer(connection)
    requests = [
        JobRequest(uuid7(NOW * 1000, n), "say_hello", "[]", NOW, 3, details=Details(worker=worker))
        for n, worker in enumerate("aab")
    ]
    writer.apply([insertion(one) for one in requests])
    assert [job.request for job in claim(writer, attrs.evolve(CLAIM, limit=1)).jobs] == requests[:1]
    connection.execute(f"UPDATE job SET lane = {lane} WHERE seq = 1")
    free = requests[2:] if "worker" in lane else requests[1:]
    assert [job.request for job in claim(writer, attrs.evolve(CLAIM, node="other")).jobs] == free


async def test_a_lost_job_is_told_with_its_last_attempt_if_that_can_be_read(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await subject.enqueue()
    for _ in range(2):
        again = put_back(await subject.claim_one(), Ready(NOW), AttemptOutcome.FAILED)
        await subject.expect(Committed, again)
    last = await subject.claim_one()
    look = Stranded("node", NOW + LEASE, 9)
    (lost,) = (await subject.storage.read(look)).lost
    assert [one.token for one in lost.history] == [last.token - 2]
    connection.execute("UPDATE attempt SET outcome = 'perhaps'")
    (lost,) = (await subject.storage.read(look)).lost
    assert lost.history == ()


async def test_a_ready_job_that_is_due_at_no_date_is_not_the_oldest(
    connection: sqlite3.Connection,
) -> None:
    insert(Writer(connection), 1)
    connection.execute("UPDATE job SET state = 2")
    assert oldest_ready(connection) == NOW
    connection.execute("UPDATE job SET due = ?", (LATEST + 1,))
    assert oldest_ready(connection) is None


async def test_who_asks_for_what_cannot_be_read_is_told_where_it_is(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    request = await subject.enqueue()
    said = "INSERT INTO job_log SELECT seq, 1, 0, 1, 1, ?, 'info', 'x' FROM job"
    connection.execute(said, (LATEST + 1,))
    with pytest.raises(StorageError) as caught:
        await subject.storage.read(ReadLog(request.id))
    assert str(caught.value).startswith(f":memory: has a record that cannot be read ({NO_DATE})")

"""Whose file it is, which version it has, and how it gets to the newest one."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from trio_gusto.model.batch import BatchRequest
from trio_gusto.model.errors import NotOurDatabase, SchemaTooNew, StorageError
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.job import AttemptRecord, Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Completed, Failed, JobState, Ready
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.messages import Commit, Committed, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.connection import MEMORY
from trio_gusto.storage.sqlite.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    VIEWS,
    check_version,
    migrate,
    read_script,
)
from trio_gusto.testing.storage_contract import Subject, batching, scheduling, staging
from trio_gusto.testing.storage_contract.subject import NOW, success


async def open_and_close(path: Path) -> None:
    storage = SqliteStorage(path)
    await storage.attach("node")
    await storage.detach("node")


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def make_version_one(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), [read_script("schema_1.sql")])
        connection.execute("CREATE VIEW jobs AS SELECT seq FROM job")  # as it was then, or nearly
        connection.execute("CREATE VIEW theirs AS SELECT id FROM jobs JOIN job USING (seq)")


async def test_a_new_file_says_that_it_is_ours_and_its_version(tmp_path: Path) -> None:
    await open_and_close(tmp_path / "jobs.db")
    assert ask(tmp_path / "jobs.db", "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert ask(tmp_path / "jobs.db", "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert ask(tmp_path / "jobs.db", "PRAGMA journal_mode") == [("wal",)]


def test_the_schema_of_version_one_never_changes(tmp_path: Path) -> None:
    """A change of it is a new version, with a script that leads there."""
    make_version_one(tmp_path / "jobs.db")
    names = ask(
        tmp_path / "jobs.db",
        "SELECT name FROM sqlite_schema WHERE sql NOT NULL AND type <> 'view' ORDER BY 1",
    )
    assert [name for (name,) in names] == [
        "attempt",
        "handler",
        "job",
        "job_ended",
        "job_expiring",
        "job_leased",
        "job_ready",
        "job_ref",
        "job_scheduled",
        "node",
    ]
    columns = ask(tmp_path / "jobs.db", "SELECT name FROM pragma_table_info('job')")
    assert " ".join(str(name) for (name,) in columns) == (
        "seq id args created_at due handler max_attempts timeout queue priority tenant state "
        "attempt version node claimed_at lease_until started_at ended_at result reason "
        "execute_after expire_on ref_id details"
    )


def schema_of(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """What there is of each table; indexes in their order, since SQLite prefers later ones."""
    found: dict[str, list[str]] = {}
    rows = connection.execute("SELECT type, tbl_name, sql FROM sqlite_schema WHERE sql NOT NULL")
    for kind, table, sql in rows:
        found.setdefault(f"{kind} of {table}", []).append(
            " ".join(re.sub(r"([,()])", r" \1 ", sql).split())
        )
    return found


def test_an_old_file_comes_to_what_a_new_one_gets_at_once() -> None:
    with (
        closing(sqlite3.connect(MEMORY, isolation_level=None)) as old,
        closing(sqlite3.connect(MEMORY, isolation_level=None)) as new,
    ):
        migrate(old, MEMORY, [read_script(MIGRATIONS[0])])
        migrate(old, MEMORY)
        migrate(new, MEMORY)
        whole = schema_of(new)
        assert schema_of(old) == whole
        assert {"table of job", "view of jobs", "trigger of job"} <= whole.keys()


async def test_a_file_of_version_one_keeps_its_jobs_and_takes_schedules(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    make_version_one(path)
    insert = (
        "INSERT INTO job (seq, id, args, created_at, due, handler, max_attempts, queue, priority, "
        "tenant, state, node, claimed_at, started_at, ended_at, details) "
        "VALUES (?, ?, '[[],{}]', ?1, ?1, 1, 3, 'default', 0, '', ?3, ?4, ?4, ?4, ?4, ?5)"
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO handler VALUES (1, 'say_hello', 'm', 'say_hello')")
        connection.execute("INSERT INTO node VALUES (1, 'old-node')")
        connection.execute(insert, (1, b"a" * 16, 2, None, '{"tags":["old"]}'))
        connection.execute(insert, (2, b"b" * 16, 4, 1, None))
    storage = SqliteStorage(path)
    await storage.attach("node")
    subject = Subject(storage, "node")
    ready, completed = await subject.get(JobId(b"a" * 16)), await subject.get(JobId(b"b" * 16))
    assert (ready.state, ready.request.details) == (Ready(1), Details(tags=("old",)))
    assert (completed.state, completed.request.details) == (Completed(1, 1, 1, "old-node"), None)
    assert (await subject.claim_one()).request == ready.request
    await scheduling.a_schedule_fires_together_with_its_jobs(subject)
    await storage.detach("node")
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]
    shown = ask(path, "SELECT schedule, fire_time, state FROM jobs ORDER BY seq")
    assert shown[:3] == [
        (None, None, "processing"),
        (None, None, "completed"),
        ("ledger", "2023-11-14T22:14:20.000Z", "skipped"),
    ]
    schedules = ask(path, "SELECT name, next_at, last_at, paused FROM schedules")
    assert schedules == [("ledger", "2023-11-14T22:18:20.000Z", "2023-11-14T22:17:20.000Z", 0)]


async def test_a_file_of_version_three_keeps_its_batches_and_takes_staged_jobs(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), [read_script(name) for name in MIGRATIONS[:3]])
        connection.execute("INSERT INTO batch VALUES (7, ?, 1, 'acme', '[]')", (b"b" * 16,))
    storage = SqliteStorage(path)
    await storage.attach("node")
    subject = Subject(storage, "node")
    (old,) = await batching.find(subject)
    assert (old.request.tenant, old.sequence) == ("acme", 7)
    await staging.stage(subject, old.request, 0, *batching.members(subject, old.request, 2))
    more = batching.storing(old.request, is_new=False, reopen=True, stage=staging.STAGE, staged=2)
    await subject.expect(Inserted, more)
    assert await batching.counts(subject, old.request) == {JobState.READY: 2}
    await storage.detach("node")
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_a_file_of_version_nine_keeps_its_named_workers(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), [read_script(name) for name in MIGRATIONS[:9]])
        connection.execute("INSERT INTO handler VALUES (1, 'f', '', '')")
        for number, (priority, due) in enumerate([(0, NOW), (0, NOW - 1), (1, NOW)]):
            connection.execute(
                "INSERT INTO job (id, args, created_at, due, handler, max_attempts, queue, priority, "
                "tenant, state, details, worker) "
                "VALUES (?, '[[],{}]', ?, ?, 1, 9, 'q', ?, '', 2, '{\"worker\":\"smtp\"}', 'smtp')",
                (bytes(15) + bytes([number]), NOW, due, priority),
            )
    storage = SqliteStorage(path)
    await storage.attach("node")
    subject = Subject(storage, "node")
    order: list[int] = []
    for _ in range(3):
        (claimed,) = (await subject.claim()).jobs
        order.append(claimed.request.id[-1])
        await subject.expect(Committed, success(claimed))
    assert order == [2, 1, 0]
    await storage.detach("node")


async def test_jobs_of_no_schedule_are_in_none_of_its_indexes(tmp_path: Path) -> None:
    await open_and_close(tmp_path / "jobs.db")
    texts = ask(
        tmp_path / "jobs.db",
        "SELECT sql FROM sqlite_schema WHERE name IN ('job_of_schedule', 'job_unfinished', 'job_held')",
    )
    assert len(texts) == 3
    assert all(re.search(r"WHERE \w+ IS NOT NULL", str(text)) for (text,) in texts)


async def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match="another program's"):
        await open_and_close(path)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ann, this is a letter and no database. " * 100)
    before = path.read_bytes()
    with pytest.raises(NotOurDatabase, match="no SQLite database"):
        await open_and_close(path)
    assert path.read_bytes() == before


async def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    await open_and_close(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew) as caught:
        await open_and_close(path)
    assert (caught.value.found, caught.value.supported) == (99, len(MIGRATIONS))


async def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="see that its directory exists"):
        await open_and_close(tmp_path / "nowhere" / "jobs.db")


def test_an_older_schema_moves_forward_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    old = "CREATE TABLE thing (a) STRICT;".replace(" STRICT", "")
    new = "ALTER TABLE thing ADD COLUMN b;\n-- a comment; with a semicolon\nUPDATE thing SET b = a;"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), [old])
        connection.execute("INSERT INTO thing VALUES (1)")
        migrate(connection, str(path), [old, new])
        migrate(connection, str(path), [old, new])
    assert ask(path, "SELECT a, b FROM thing") == [(1, 1)]
    assert ask(path, "PRAGMA user_version") == [(2,)]


def test_a_migration_that_fails_changes_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path), ["CREATE TABLE thing (a);"])
        broken = "ALTER TABLE thing ADD COLUMN b;\nINSERT INTO nowhere VALUES (1);"
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, str(path), ["CREATE TABLE thing (a);", broken])
        assert not connection.in_transaction
        columns = connection.execute("SELECT name FROM pragma_table_info('thing')").fetchall()
        assert columns == [("a",)]
        migrate(connection, str(path), ["", "ALTER TABLE thing ADD COLUMN b;"])
    assert ask(path, "PRAGMA user_version") == [(2,)]


def test_an_sqlite_that_is_too_old_is_named() -> None:
    with pytest.raises(StorageError, match=r"SQLite 3\.37\.2.*needs 3\.38"):
        check_version((3, 37, 2))


OPEN = """
import sys, trio
from trio_gusto.storage.sqlite import SqliteStorage

async def main(path, node):
    storage = SqliteStorage(path)
    await storage.attach(node)
    await storage.detach(node)

sys.stdin.read(1)
trio.run(main, *sys.argv[1:])
"""


def test_processes_that_make_the_file_at_the_same_time_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(path), f"node-{number}"], stdin=subprocess.PIPE
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.close()
    assert [process.wait(30) for process in processes] == [0] * 4
    assert ask(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


async def test_people_can_read_the_view(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db")
    await storage.attach("node-a")
    subject = Subject(storage, "node-a")
    await subject.enqueue(queue="mail")
    await subject.enqueue(execute_after=1_700_000_000_500_000)
    job = await subject.claim_one()
    await subject.complete(job)
    await storage.detach("node-a")
    columns = "name, state, queue, node, created_at, result"
    assert ask(tmp_path / "jobs.db", f"SELECT {columns} FROM jobs ORDER BY seq") == [
        ("say_hello", "completed", "mail", "node-a", "2023-11-14T22:13:20.000Z", '"done"'),
        ("say_hello", "scheduled", "default", None, "2023-11-14T22:13:20.000Z", None),
    ]


async def test_people_can_see_attempts_and_batches(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db")
    await storage.attach("node-a")
    subject = Subject(storage, "node-a")
    batch = BatchRequest(JobId(b"b" * 16), NOW, "acme", ("nightly",))
    request = subject.request(details=Details(batch=batch.id))
    await subject.tell(InsertBatch(batch, Insert([request], [Ready(NOW)])))
    claimed = await subject.claim_one()
    error = JobError("ValueError", "no such door", "")
    record = AttemptRecord(
        1, claimed.token, "node-a", NOW, NOW + 1, NOW + 2_000, AttemptOutcome.FAILED, error
    )
    await subject.tell(Commit(request.id, claimed.token, Failed(NOW + 2_000, "spent"), 1, record))
    await storage.detach("node-a")
    path = tmp_path / "jobs.db"
    assert ask(path, "SELECT * FROM attempts") == [
        (
            *(str(to_uuid(request.id)), "say_hello", 1, "node-a"),
            *("2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.000Z", "2023-11-14T22:13:20.002Z"),
            *("failed", "ValueError", "no such door"),
        )
    ]
    assert ask(path, "SELECT * FROM batches") == [
        (
            *(str(to_uuid(batch.id)), "2023-11-14T22:13:20.000Z", "acme", '["nightly"]'),
            *(1, 0, 0, 1, 0, 0, 0),
        )
    ]


def test_each_view_is_written_down_once() -> None:
    names = [*MIGRATIONS, *VIEWS]
    made = [
        name for text in map(read_script, names) for name in re.findall(r"CREATE VIEW (\w+)", text)
    ]
    assert made == ["jobs", "attempts", "schedules", "batches"]


def test_moving_forward_leaves_the_views_of_others_and_renews_ours(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    make_version_one(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, str(path))
        assert connection.execute("SELECT id, fire_time FROM jobs").fetchall() == []
        views = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY 1")
        assert [name for (name,) in views] == ["attempts", "batches", "jobs", "schedules", "theirs"]

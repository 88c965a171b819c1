"""The audit of a file: clean after whatever a real app has done, and every corruption is named."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from trio.testing import MockClock

from tests.features.test_quarantine import Town
from tests.storage.sqlite.audit_sentences import SENTENCES
from trio_gusto import Cancel, Gusto, JobFilter, JobQueue, Options, Snooze, call, current_job, fixed
from trio_gusto.model.audit import Finding, Invariant
from trio_gusto.model.errors import NotOurDatabase, SchemaTooNew, StorageError
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.auditing import Audit
from trio_gusto.testing import VirtualClock

DAY = 24 * 3600


class Shop:
    """An app that does a little of everything."""

    def __init__(self, path: Path) -> None:
        self.app = Gusto(
            SqliteStorage(path, inline=True, archive=True, synchronous="NORMAL"),
            clock=VirtualClock(),
            options=Options(concurrency=4, retention=timedelta(minutes=10)),
        )
        job = self.app.job
        self.good = job(name="good")(self._good)
        self.flaky = job(name="flaky", retry=fixed(1), max_attempts=3)(self._flaky)
        self.bad = job(name="bad", max_attempts=1)(self._bad)
        self.sleepy = job(name="sleepy")(self._sleepy)
        self.called_off = job(name="called off")(self._called_off)
        self.told = job(name="told")(self._told)

    async def _good(self, number: int) -> int:
        await trio.sleep(0.5)
        return number

    async def _flaky(self) -> None:
        if current_job().attempt < 3:
            raise ValueError("not yet")

    async def _bad(self) -> None:
        raise ValueError("never")

    async def _sleepy(self) -> None:
        if not self.woken:
            self.woken = True
            raise Snooze(5)

    woken = False

    async def _called_off(self) -> None:
        raise Cancel("enough")

    async def _told(self, number: int) -> None:
        pass

    async def live(self) -> None:
        async with self.app.running() as queue:
            await queue.schedule("tick", self.good, 0, trigger=timedelta(minutes=6))
            await queue.schedule("nightly", self.good, 1, trigger="0 2 * * *")
            await self.day(queue)
            await trio.sleep(1500)
            self.woken = False
            await self.day(queue)
            await self.leave_something(queue)

    async def day(self, queue: JobQueue) -> None:
        goods = [await queue.enqueue(self.good, number) for number in range(3)]
        await queue.continue_with(goods, self.good, 10)
        bad = await queue.enqueue(self.bad)
        await queue.continue_with(bad, self.good, 11)
        await queue.continue_with(bad, self.good, 12, on="failure")
        await queue.enqueue(self.flaky, execute_after=2)
        await queue.enqueue(self.sleepy)
        await queue.enqueue(self.called_off)
        await queue.enqueue(self.good, 13, callback=self.told)
        async with queue.batch() as batch:
            await batch.enqueue_many([call(self.good, number) for number in range(20, 23)])
        await queue.continue_with(batch, self.good, 14)
        for number in range(2):
            await queue.enqueue(self.good, number, concurrency_key="press", unique_key=f"{number}")
        await queue.pause(queue="slow")
        await queue.enqueue(self.good, 15, queue="slow", expire_on=60)
        off = await queue.enqueue(self.good, 16, execute_after=3600)
        await queue.cancel(off)
        await trio.sleep(100)
        await queue.resume(queue="slow")
        await queue.retry(JobFilter(states=["failed"]))
        await trio.sleep(100)

    async def leave_something(self, queue: JobQueue) -> None:
        later = await queue.enqueue(self.good, 30, execute_after=DAY, unique_key="one")
        await queue.continue_with(later, self.told, 31)
        await queue.enqueue(self.bad, execute_after=DAY, unique_key="two")
        for _ in range(2):
            await queue.enqueue(self.flaky, execute_after=DAY, concurrency_key="press")


@cache
def files_of_an_app() -> Mapping[str, bytes]:
    """What an app has left: by name, once in a process, since it takes seconds."""
    with TemporaryDirectory() as folder:
        shop = Shop(Path(folder) / "jobs.db")
        trio.run(shop.live, clock=MockClock(autojump_threshold=0))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lived")
    for name, content in files_of_an_app().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def database(lived: Path, tmp_path: Path) -> Path:
    """A copy of what an app has left."""
    shutil.copytree(lived, tmp_path / "copy")
    return tmp_path / "copy" / "jobs.db"


def audit(path: Path) -> tuple[Audit, list[Finding]]:
    look = Audit(path)
    return look, list(look.findings())


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_what_an_app_has_left_is_legal(database: Path) -> None:
    look, findings = audit(database)
    assert [finding.sentence for finding in findings] == []
    assert look.counts.findings == 0
    assert look.counts.jobs > 20
    assert look.counts.archived > 20
    assert look.counts.attempts > 40
    assert look.counts.batches >= 1
    assert look.counts.schedules == 2


def test_nothing_is_written(database: Path) -> None:
    before = {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()}
    audit(database)
    after = {path.name: path.read_bytes() for path in database.parent.iterdir() if path.is_file()}
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"jobs.db-wal", "jobs.db-shm"}


def test_a_worker_may_run_meanwhile(database: Path) -> None:
    other = Gusto(SqliteStorage(database))

    async def look_while_it_is_open() -> None:
        async with other.connected():
            assert audit(database)[1] == []

    trio.run(look_while_it_is_open)


def job(name: str, more: str = "TRUE") -> str:
    """The newest job of a handler."""
    return (
        "seq = (SELECT max(seq) FROM job JOIN handler USING (handler) "
        f"WHERE name = '{name}' AND {more})"
    )


COMPLETED = "state = 4 AND schedule IS NULL AND details IS NULL"
WAITING = job("told", "state = 0")
LEASE = "state = 3, attempt = 1, version = 2, node = 1, claimed_at = due, lease_until = due + 1"
LATER = job("good", "state = 1")
FLAKY = "seq = (SELECT max(seq) FROM attempt WHERE outcome = 'failed' AND number = 2)"
SNOOZED = "seq = (SELECT max(seq) FROM attempt WHERE outcome = 'snoozed')"
TICK = "id = (SELECT last_job_id FROM schedule WHERE name = 'tick')"
EXPIRED = "seq = (SELECT max(seq) FROM job WHERE state = 8)"
GIVEN_UP = "seq = (SELECT max(seq) FROM job WHERE reason = 'not all of its parents completed')"
CONTINUED = (
    "seq = (SELECT max(seq) FROM job WHERE state = 4 AND version = 3 AND attempt = 1 "
    "AND json_array_length(details, '$.parents') = 3)"
)

CORRUPTIONS: dict[str, tuple[Invariant, str]] = {
    "no such state": (
        Invariant.READABLE,
        f"UPDATE job SET state = 9 WHERE {job('good', COMPLETED)}",
    ),
    "no handler": (
        Invariant.READABLE,
        f"UPDATE job SET handler = 99 WHERE {job('good', COMPLETED)}",
    ),
    "broken details": (Invariant.READABLE, f"UPDATE job SET details = '[' WHERE {EXPIRED}"),
    "no such outcome": (Invariant.READABLE, f"UPDATE attempt SET outcome = 'gone' WHERE {FLAKY}"),
    "a schedule that is no JSON": (
        Invariant.READABLE,
        "UPDATE schedule SET request = '{' WHERE name = 'nightly'",
    ),
    "a batch that is gone": (
        Invariant.READABLE,
        "UPDATE job SET batch = 999 WHERE seq = (SELECT max(seq) FROM job WHERE batch IS NOT NULL)",
    ),
    "a lease on a ready job": (Invariant.STATE_DATA, f"UPDATE job SET node = 1 WHERE {LATER}"),
    "processing without a lease": (
        Invariant.STATE_DATA,
        f"UPDATE job SET {LEASE}, lease_until = NULL WHERE {LATER}",
    ),
    "completed without an end": (
        Invariant.STATE_DATA,
        f"UPDATE job SET ended_at = NULL WHERE {TICK}",
    ),
    "failed without an attempt": (
        Invariant.TRANSITIONS,
        f"UPDATE job SET state = 5 WHERE {EXPIRED}",
    ),
    "an end that its outcome does not lead to": (
        Invariant.TRANSITIONS,
        f"UPDATE attempt SET outcome = 'cancelled' WHERE {job('bad', 'state = 5')} AND token > 2",
    ),
    "scheduled again after it completed": (
        Invariant.TRANSITIONS,
        "UPDATE job SET state = 1, node = NULL, claimed_at = NULL, started_at = NULL, ended_at = NULL, "
        f"result = NULL, attempt = 0 WHERE {job('good', COMPLETED)}",
    ),
    "a version that went back": (Invariant.VERSIONS, f"UPDATE job SET version = 1 WHERE {FLAKY}"),
    "a token that was used before": (
        Invariant.VERSIONS,
        f"UPDATE attempt SET token = 3 WHERE {FLAKY} AND number = 2",
    ),
    "an attempt too many": (
        Invariant.ATTEMPTS,
        f"UPDATE job SET max_attempts = 2 WHERE {FLAKY}",
    ),
    "an attempt that was not counted": (
        Invariant.ATTEMPTS,
        f"UPDATE attempt SET number = 1 WHERE {FLAKY} AND number = 2",
    ),
    "an attempt that is spent and was given back": (
        Invariant.ATTEMPTS,
        f"UPDATE job SET attempt = 2 WHERE {SNOOZED}",
    ),
    "spent without a claim": (Invariant.ATTEMPTS, f"UPDATE job SET attempt = 1 WHERE {LATER}"),
    "ended before it began": (
        Invariant.TIMES,
        f"UPDATE job SET ended_at = started_at - 1 WHERE {job('good', COMPLETED)}",
    ),
    "another end than its last attempt": (
        Invariant.TIMES,
        f"UPDATE job SET ended_at = ended_at + 1 WHERE {job('called off')}",
    ),
    "claimed while it was running": (
        Invariant.ONE_AT_A_TIME,
        f"UPDATE attempt SET claimed_at = claimed_at - 5000000, started_at = started_at - 5000000 "
        f"WHERE {FLAKY} AND number = 2",
    ),
    "claimed too early": (
        Invariant.IN_TIME,
        "UPDATE attempt SET claimed_at = claimed_at - 1500000, started_at = started_at - 1500000 "
        f"WHERE seq = (SELECT seq FROM attempt WHERE {FLAKY} LIMIT 1) AND number = 1",
    ),
    "claimed too late": (
        Invariant.IN_TIME,
        f"UPDATE job SET expire_on = claimed_at WHERE {job('good', COMPLETED)}",
    ),
    "expired without a deadline": (
        Invariant.IN_TIME,
        f"UPDATE job SET expire_on = NULL WHERE {EXPIRED}",
    ),
    "expired too early": (
        Invariant.IN_TIME,
        f"UPDATE job SET ended_at = expire_on - 1 WHERE {EXPIRED}",
    ),
    "waits without a link": (Invariant.WAITS, "DELETE FROM dependency"),
    "waits for what is gone": (
        Invariant.WAITS,
        f"UPDATE job SET result = json_array('{'0' * 32}') WHERE {WAITING}",
    ),
    "a link of a job that waits for nobody": (
        Invariant.WAITS,
        f"INSERT INTO dependency SELECT 1, seq FROM job WHERE {job('flaky', 'state = 1')}",
    ),
    "released too early": (
        Invariant.CONTINUATIONS,
        f"UPDATE job SET claimed_at = claimed_at - 1000000 WHERE {CONTINUED}",
    ),
    "given up for nothing": (
        Invariant.CONTINUATIONS,
        "UPDATE job SET details = json_set(details, '$.parents', json_array((SELECT lower(hex(id)) "
        f"FROM job WHERE {job('good', COMPLETED)}))) WHERE {GIVEN_UP}",
    ),
    "a key that nobody sees": (Invariant.COPIES, f"UPDATE job SET unique_key = NULL WHERE {LATER}"),
    "a lane that nobody sees": (
        Invariant.COPIES,
        f"UPDATE job SET lane = NULL WHERE {job('flaky', 'state = 1')}",
    ),
    "a batch without one of its jobs": (
        Invariant.COPIES,
        "UPDATE job SET batch = NULL WHERE seq = (SELECT max(seq) FROM job WHERE batch IS NOT NULL)",
    ),
    "two with one key": (
        Invariant.UNIQUE_KEYS,
        "UPDATE job SET unique_key = 'one', details = json_set(details, '$.unique_key', 'one') "
        f"WHERE {job('bad', 'state = 1')}",
    ),
    "two at once in a lane": (
        Invariant.LANES,
        f"UPDATE job SET {LEASE}, node = iif(seq % 2, 1, 99) WHERE lane = 'key press' AND state = 1",
    ),
    "the job of another instant": (
        Invariant.FIRE_TIMES,
        "UPDATE job SET fire_time = fire_time - 1, "
        f"details = json_set(details, '$.fire_time', fire_time - 1) WHERE {TICK}",
    ),
    "an instant after the mark": (
        Invariant.FIRE_TIMES,
        "UPDATE schedule SET since = since - 360000000, next_at = next_at - 360000000, "
        "last_at = NULL, last_job_id = NULL WHERE name = 'tick'",
    ),
    "an instant that the trigger has not": (
        Invariant.FIRE_TIMES,
        "UPDATE schedule SET request = json_set(request, '$.trigger', json('{\"every\": [420000000, null]}')), "
        "paused = 1, next_at = NULL WHERE name = 'tick'",
    ),
    "a mark that was passed": (
        Invariant.MARKS,
        "UPDATE schedule SET next_at = next_at - 1 WHERE name = 'tick'",
    ),
    "paused, and fires": (Invariant.MARKS, "UPDATE schedule SET paused = 1 WHERE name = 'tick'"),
    "the last job of another instant": (
        Invariant.MARKS,
        "UPDATE schedule SET last_job_id = zeroblob(16) WHERE name = 'tick'",
    ),
    "a stage that is not whole": (
        Invariant.STAGES,
        "INSERT INTO stage (id, node, touched_at, count) VALUES (zeroblob(16), 'n', 0, 3)",
    ),
    "a count that is kept and wrong": (
        Invariant.COUNTS,
        "INSERT INTO piece_sum VALUES (4, 'default', '', 5)",
    ),
    "an attempt of no job": (
        Invariant.STRAYS,
        "INSERT INTO attempt VALUES (99999, 1, 1, 'n', 0, 0, 0, 'failed', NULL)",
    ),
    "a dossier of no job": (Invariant.STRAYS, "INSERT INTO dossier VALUES (99999, 1, '')"),
}


BEFORE = {
    Invariant.UNIQUE_KEYS: "DROP INDEX job_unique",  # or SQLite itself would refuse
    Invariant.LANES: "INSERT INTO node VALUES (99, 'another')",
}


def plain(sentence: str) -> str:
    """A sentence without what is another one each time."""
    sentence = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", sentence)
    sentence = re.sub(r"\d{4}-\d\d-\d\d [0-9:.]+ UTC", "THEN", sentence)
    sentence = re.sub(r"\(\w*Error\(.*?\)\)", "(why)", sentence)
    return re.sub(r"leased, to [^;]*;", "leased, to NODES;", sentence)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_found_and_named(database: Path, name: str) -> None:
    invariant, statement = CORRUPTIONS[name]
    if invariant in BEFORE:
        change(database, BEFORE[invariant])
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount > 0
    look, findings = audit(database)
    assert {finding.invariant for finding in findings} == {invariant}, findings
    assert {plain(finding.sentence) for finding in findings} == {SENTENCES[name]}
    assert look.counts.findings == len(findings)
    jobs = [finding.job_id for finding in findings if finding.job_id is not None]
    assert len(jobs) == len(set(jobs))


def test_every_invariant_has_a_corruption() -> None:
    met = {invariant for invariant, _ in CORRUPTIONS.values()} | {Invariant.ARCHIVE}
    assert met == set(Invariant)


ARCHIVED: dict[str, tuple[Invariant, str]] = {
    "a live job": (
        Invariant.STATE_DATA,
        "UPDATE job SET state = 2 WHERE seq = (SELECT max(seq) FROM job WHERE state = 4)",
    ),
    "a job of another month": (
        Invariant.ARCHIVE,
        "UPDATE job SET created_at = created_at - 4000000000000 "
        "WHERE seq = (SELECT max(seq) FROM job WHERE details IS NULL)",
    ),
    "an attempt too many": (Invariant.ATTEMPTS, f"UPDATE job SET max_attempts = 2 WHERE {FLAKY}"),
    "a dossier of no job": (Invariant.STRAYS, "INSERT INTO dossier VALUES (99999, 1, '')"),
}


@pytest.mark.parametrize("name", ARCHIVED)
def test_a_corruption_of_the_archive_is_found(database: Path, name: str) -> None:
    invariant, statement = ARCHIVED[name]
    (month,) = database.parent.glob("jobs-*.db")
    change(month, statement)
    _, findings = audit(database)
    assert {finding.invariant for finding in findings} == {invariant}, findings
    assert {plain(finding.sentence) for finding in findings} == {SENTENCES[name]}


def test_a_month_that_an_older_version_has_made_is_legal(database: Path) -> None:
    (month,) = database.parent.glob("jobs-*.db")
    change(month, "DROP TABLE dossier")
    change(month, "PRAGMA user_version = 1")
    look, findings = audit(database)
    assert not findings
    assert look.counts.archived > 0


async def test_a_job_in_quarantine_is_legal(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "jobs.db"
    town = Town(SqliteStorage(path, inline=True))
    async with town.app.connected() as queue:
        ref = await queue.enqueue(town.work)
        await town.lose(3)
        assert (await ref.job()).reason.startswith("quarantined")
    look, findings = audit(path)
    assert not findings
    assert look.counts.attempts == 3


def test_a_month_that_is_searched_elsewhere_or_cannot_be_read_is_found(database: Path) -> None:
    change(database, "UPDATE archive SET last_seq = last_seq - 1")
    _, (finding,) = audit(database)
    assert finding.invariant is Invariant.ARCHIVE
    (month,) = database.parent.glob("jobs-*.db")
    month.write_bytes(b"no database" * 100)
    _, (finding,) = audit(database)
    assert finding.invariant is Invariant.ARCHIVE
    assert finding.subject == f"the archive of {month.stem[5:]}"


def test_what_is_not_ours_is_refused(tmp_path: Path, database: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE job (seq)")
    with pytest.raises(NotOurDatabase):
        audit(path)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(NotOurDatabase):
        audit(path)
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageError, match="is empty"):
        audit(tmp_path / "empty.db")
    change(database, "PRAGMA user_version = 99")
    with pytest.raises(SchemaTooNew):
        audit(database)
    change(database, "PRAGMA user_version = 7")
    with pytest.raises(StorageError, match="schema version 7"):
        audit(database)

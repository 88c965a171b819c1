"""Rows with garbage in them: each hurts itself only, and whoever asks for it is told."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import attrs
import pytest
import trio

from trio_gusto import (
    Gusto,
    GustoError,
    JobFilter,
    JobQueue,
    JobState,
    Options,
    UnreadableRecord,
    fixed,
)
from trio_gusto.storage.sqlite import SqliteStorage, unreadable
from trio_gusto.storage.sqlite.auditing import Audit
from trio_gusto.storage.sqlite.schema import WHOLE, read_script, run_script

GARBAGE = {
    "INTEGER": ("'text'", "9223372036854775807", "77", "x'00'", "NULL"),
    "TEXT": ("'{{'", "'[1]'", "'{\"tags\": 5}'", "x'00'", "CAST(x'ff' AS TEXT)", "NULL"),
    "BLOB": ("CAST({key} AS BLOB)", "'text' || {key}"),
    "REAL": ("'text'", "x'00'"),
}
"""By the type of a column, as SQL; ``{key}`` tells the rows apart."""

KEYS = {"job": "seq", "attempt": "token", "schedule": "name", "batch": "number"}
OTHERS = {
    "progress": "seq",
    "job_log": "seq",
    "dossier": "seq",
    "handler": "handler",
    "node": "node",
    "dependency": "child",
}

BAD = 100
"""Jobs with this number, or a higher one, are those that are made bad."""


_AT_WORK = f"args = '[{BAD + 5}]'"
_COLUMNS = (
    "SELECT name, type FROM pragma_table_info(?1) WHERE NOT (pk AND type = 'INTEGER' "
    "AND 1 = (SELECT count(*) FROM pragma_table_info(?1) WHERE pk))"
)
"""All but those that number the rows, which can hold nothing else."""

_IDS = "SELECT id FROM job WHERE typeof(id) = 'blob' AND length(id) = 16"


def app_over(path: Path) -> Gusto:
    app = Gusto(SqliteStorage(path, inline=True), options=Options(concurrency=2))
    app.job(name="work")(work)
    app.job(name="odd")(odd)
    app.job(name="break", retry=fixed(0), max_attempts=2)(break_down)
    return app


async def work(number: int) -> int:
    NOTES.note(number)
    return number


async def odd(number: int) -> int:
    return number


async def break_down(number: int) -> int:
    raise ValueError(number)


async def fill(queue: JobQueue) -> None:
    """Jobs in every state, some of them with everything that a job can have."""
    rich = {"tags": ["a"], "metadata": {"a": 1}, "created_by": "me", "worker": "w"}
    await queue.enqueue(odd, BAD)
    await queue.enqueue(break_down, BAD + 1)
    await queue.work_until_idle()
    await queue.enqueue(odd, BAD + 2, unique_key="k", **rich)  # type: ignore[call-overload]
    await queue.enqueue(odd, BAD + 3)
    await queue.enqueue(odd, BAD + 4, execute_after=0.01, expire_on=timedelta(hours=1))
    await queue.enqueue(odd, BAD + 5)
    parent = await queue.enqueue(work, 1)
    await queue.continue_with(parent, odd, BAD + 6)
    async with queue.batch(tags=["b"]) as batch:
        batch.enqueue(odd, BAD + 7)
    await queue.enqueue(work, 2, worker="w")
    await queue.enqueue(work, 3, tags=["c"])
    await queue.continue_with(await queue.enqueue(work, 4), work, 5)
    await queue.schedule("bad", odd, BAD + 8, trigger=timedelta(seconds=1))
    await queue.schedule("good", work, 6, trigger=timedelta(seconds=1))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "jobs.db"

    async def main() -> None:
        async with app_over(path).connected() as queue:
            await fill(queue)

    trio.run(main)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = DELETE")
        (now,) = file.execute("SELECT max(created_at) FROM job").fetchone()
        # One was at work on a node that has vanished, and has said something.
        file.execute("INSERT INTO node (node, node_name) VALUES (50, 'gone')")
        file.execute(
            "UPDATE job SET state = 3, attempt = 1, version = 5, node = 50, claimed_at = ?1, "
            f"lease_until = ?1 + 1 WHERE {_AT_WORK}",
            (now,),
        )
        for said in (
            f"progress SELECT seq, 5, 'x' FROM job WHERE {_AT_WORK}",
            f"job_log SELECT seq, 1, 0, 5, 1, claimed_at, 'INFO', 'x' FROM job WHERE {_AT_WORK}",
            f"dossier SELECT seq, 5, 'x' FROM job WHERE {_AT_WORK}",
        ):
            file.execute(f"INSERT INTO {said}")
        file.execute("UPDATE schedule SET next_at = ?", (now,))
    return path


@attrs.frozen
class Spoiled:
    table: str
    column: str
    garbage: str

    def __str__(self) -> str:
        return f"{self.table}.{self.column}={self.garbage}"

    def spoil(self, path: Path) -> None:
        """Write it in spite of the types of the table, as a bad disk does."""
        where = {
            "job": f"job.args >= '[{BAD}' AND job.args < '[{BAD + 9}'",
            "schedule": "name = 'bad'",
            "handler": "name = 'odd'",
            "node": "node_name = 'gone'",
        }.get(self.table, "TRUE")
        key = {**KEYS, **OTHERS}[self.table]
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            file.execute("PRAGMA writable_schema = ON")
            file.execute(
                "UPDATE sqlite_schema SET sql = replace(replace(replace(sql, ') STRICT, W', ') W'), "
                "') STRICT', ')'), ' NOT NULL', '') WHERE name = ?",
                (self.table,),
            )
        with closing(sqlite3.connect(path, isolation_level=None)) as file:
            garbage = self.garbage.replace("{key}", key)
            file.execute(
                f"UPDATE OR IGNORE {self.table} SET {self.column} = {garbage} WHERE {where}"
            )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "spoiled" not in metafunc.fixturenames:
        return
    found: list[Spoiled] = []
    with closing(sqlite3.connect(":memory:")) as file:
        run_script(file, read_script(WHOLE))
        for table in (*KEYS, *OTHERS):
            for column, kind in file.execute(_COLUMNS, (table,)):
                found += [Spoiled(table, column, garbage) for garbage in GARBAGE[kind]]
    metafunc.parametrize("spoiled", found, ids=map(str, found))


@pytest.fixture
def path(template: Path, tmp_path: Path) -> Path:
    shutil.copy(template, tmp_path / "jobs.db")
    return tmp_path / "jobs.db"


async def ask_everything(queue: JobQueue, path: Path) -> None:
    """Whatever a caller can ask; what cannot be read is told with an error of ours."""
    with closing(sqlite3.connect(path)) as file:
        ids = [UUID(bytes=row[0]) for row in file.execute(_IDS).fetchall()]
    asked: list[Callable[[], Awaitable[object]]] = [
        lambda: queue.find(limit=1000),
        lambda: queue.find(JobFilter(tags_any=["a"])),
        lambda: queue.find(JobFilter(workers=["w"])),
        queue.stats,
        queue.schedules,
        queue.batches,
        queue.paused,
        lambda: queue.get_schedule("bad"),
        lambda: queue.schedule("bad", odd, 1, trigger=timedelta(seconds=1)),
        lambda: queue.enqueue(odd, BAD, unique_key="k", on_conflict="return_existing"),
        lambda: queue.retry(JobFilter(states=[JobState.FAILED])),
    ]
    for job_id in ids:
        one = (queue.get, queue.attempts, queue.logs, queue.explain, queue.estimate, queue.cancel)
        asked += [partial(ask, job_id) for ask in one]
    for ask in asked:
        try:
            await ask()
        except GustoError:
            pass


class Notes:
    """What the handlers that are sound were called with."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._news = trio.Event()

    def note(self, number: int) -> None:
        self._seen.add(number)
        self._news.set()

    async def until_seen(self, *numbers: int) -> None:
        while not self._seen.issuperset(numbers):
            self._news = trio.Event()
            await self._news.wait()


NOTES = Notes()


@asynccontextmanager
async def running(path: Path, *numbers: int, new: int) -> AsyncGenerator[JobQueue]:
    """A worker that has run these, and one that was enqueued just now."""
    with trio.fail_after(20):
        async with app_over(path).running() as queue:
            await queue.enqueue(work, new)
            await NOTES.until_seen(*numbers, new)
            yield queue


async def test_garbage_in_a_row_hurts_that_row_only(path: Path, spoiled: Spoiled) -> None:
    spoiled.spoil(path)
    NOTES.__init__()  # type: ignore[misc]
    sound = [1, 2, 3, 4, 6] if spoiled.table == "dependency" else [1, 2, 3, 4, 5, 6]
    async with running(path, *sound, new=50):
        pass
    async with running(path, new=51) as queue:
        await ask_everything(queue, path)


async def test_a_job_that_cannot_be_read_is_failed_and_told_of(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Put right, it can be retried by hand, and an audit finds nothing wrong with its life."""
    args = f"[{BAD + 3}]"
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE job SET details = '{{' WHERE args = ?", (args,))
        (job_id,) = file.execute("SELECT id FROM job WHERE args = ?", (args,)).fetchone()
    NOTES.__init__()  # type: ignore[misc]
    with trio.fail_after(20):
        async with app_over(path).running() as queue:
            await NOTES.until_seen(1, 2, 3, 4, 5)
            with pytest.raises(UnreadableRecord, match="trio-gusto audit") as caught:
                await queue.get(UUID(bytes=job_id))
            assert (caught.value.kind, caught.value.key) == ("job", str(UUID(bytes=job_id)))
            fault = caught.value.fault
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told == [
        f"job {UUID(bytes=job_id)} (odd) is failed for good: its record cannot be read ({fault}); "
        "`trio-gusto audit` tells more"
    ]
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("UPDATE job SET details = NULL WHERE args = ?", (args,))
    assert not [found for found in Audit(path).findings() if str(UUID(bytes=job_id)) in str(found)]
    async with app_over(path).connected() as queue:
        job = await queue.get(UUID(bytes=job_id))
        assert job is not None
        assert (job.state, job.reason) == (JobState.FAILED, "its record cannot be read")
        (attempt,) = await queue.attempts(job)
        assert attempt.error is not None
        assert attempt.error.message == (
            f"the record of this job cannot be read ({fault}), so no worker could run it; see what "
            "`trio-gusto audit` says of it, put the row right, and retry the job by hand then"
        )
        assert await queue.retry(job)
        await queue.work_until_idle()
        assert await queue.ref(job.id).result() == BAD + 3


async def test_a_bad_row_behind_many_that_are_sound_is_found(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unreadable, "_PAGE", 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        last = "SELECT seq FROM job WHERE state = 2 AND lane IS NULL ORDER BY due DESC, seq DESC"
        (ready,) = file.execute(f"SELECT count(*) FROM ({last})").fetchone()
        assert ready > 4, "it is not on the first pages"
        file.execute(f"UPDATE job SET details = '{{{{' WHERE seq = ({last} LIMIT 1)")
    NOTES.__init__()  # type: ignore[misc]
    async with running(path, new=50):
        pass


@pytest.mark.parametrize("column", ["queue", "tenant", "reason"])
async def test_a_pause_that_cannot_be_read_stops_no_claims(path: Path, column: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("INSERT INTO pause (queue, reason, since) VALUES ('elsewhere', '', 0)")
        file.execute(f"UPDATE pause SET {column} = CAST(x'ff' AS TEXT)")
    NOTES.__init__()  # type: ignore[misc]
    async with running(path, 1, 2, 3, 4, 5, new=50):
        pass

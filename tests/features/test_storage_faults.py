"""A storage that fails is said so to whoever asked; the worker goes on, and loses no outcome."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Gusto,
    GustoError,
    JobState,
    MemoryStorage,
    NotOurDatabase,
    Options,
    SchemaTooNew,
    StorageBusy,
    StorageError,
    StorageFull,
    StorageReadOnly,
    call,
)
from trio_gusto.storage.lease_messages import Renew, Stranded
from trio_gusto.storage.messages import Commit, Complete, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock

# --- files that cannot be used --------------------------------------------------------------------


async def refused(path: Path, kind: type[StorageError], word: str) -> StorageError:
    """What opening the file raises, for a consumer as for a producer; the file stays as it was."""
    before = path.read_bytes() if path.is_file() else None
    app = Gusto(SqliteStorage(path))
    with pytest.raises(kind, match=word) as caught:
        async with app.connected():
            pass
    with pytest.raises(kind, match=word):
        async with app.running():
            pass
    assert (path.read_bytes() if path.is_file() else None) == before
    assert str(path) in str(caught.value) or kind is SchemaTooNew
    return caught.value


async def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 500)
    await refused(path, NotOurDatabase, "no SQLite database")


async def test_another_program_s_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as shop:
        shop.execute("CREATE TABLE orders (number INTEGER)")
        shop.commit()
    await refused(path, NotOurDatabase, "another program's")


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with Gusto(SqliteStorage(path)).connected():
        pass
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("PRAGMA user_version = 99")
        newer.commit()
        newer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    error = await refused(path, SchemaTooNew, "upgrade trio-gusto")
    assert isinstance(error, SchemaTooNew)
    assert error.found == 99


async def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    await refused(tmp_path / "nowhere" / "jobs.db", StorageError, "directory exists")
    assert not (tmp_path / "nowhere").exists()


async def test_an_app_whose_file_could_not_be_opened_may_be_started_again(tmp_path: Path) -> None:
    app = Gusto(SqliteStorage(tmp_path / "later" / "jobs.db"))
    with pytest.raises(StorageError):
        async with app.running():
            pass
    (tmp_path / "later").mkdir()
    async with app.running() as queue:
        assert (await queue.find()).items == ()


# --- files that fail while they are used ----------------------------------------------------------


class Trouble:
    """Makes one file fail in several ways, for as long as a block runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.storage = SqliteStorage(path, busy_timeout=0.1)

    @contextmanager
    def of_kind(self, kind: type[StorageError]) -> Generator[None]:
        if kind is StorageBusy:
            with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                yield
                other.execute("ROLLBACK")
        elif kind is StorageFull:
            with self._pragma("max_page_count = 10", "max_page_count = 1000000"):
                yield
        else:
            with self._pragma("query_only = 1", "query_only = 0"):
                yield

    @contextmanager
    def _pragma(self, before: str, after: str) -> Generator[None]:
        session = self.storage._session
        assert session is not None
        session.writer.connection.execute(f"PRAGMA {before}")
        yield
        session.writer.connection.execute(f"PRAGMA {after}")


@pytest.mark.parametrize("kind", [StorageBusy, StorageFull, StorageReadOnly])
async def test_nothing_is_half_stored_and_the_worker_goes_on(
    tmp_path: Path, kind: type[StorageError]
) -> None:
    trouble = Trouble(tmp_path / "jobs.db")
    app = Gusto(trouble.storage, options=Options(concurrency=2))
    entered, release = threading.Event(), threading.Event()
    ran: list[str] = []

    @app.job(name="in_flight")
    def in_flight() -> str:
        ran.append("in flight")
        entered.set()
        release.wait(10)
        return "brought home" * 10_000

    @app.job
    async def small(text: str) -> str:
        return text

    with trio.fail_after(20):
        async with app.running() as queue:
            ref = await queue.enqueue(in_flight)
            await trio.to_thread.run_sync(entered.wait, 10)
            with trouble.of_kind(kind):
                with pytest.raises(kind):
                    await queue.enqueue_many([call(small, "x" * 10_000) for _ in range(50)])
                release.set()  # its outcome cannot be recorded now
                await trio.sleep(0.2)
                assert [job.id for job in (await queue.find()).items] == [ref.id]
                assert await ref.status() is JobState.PROCESSING
            assert await ref.result() == "brought home" * 10_000
            assert await (await queue.enqueue(small, "after")).result() == "after"
    assert ran == ["in flight"]


async def test_a_file_that_grows_no_more_gives_back_what_it_has(tmp_path: Path) -> None:
    """Reading goes on while nothing can be written."""
    trouble = Trouble(tmp_path / "jobs.db")
    app = Gusto(trouble.storage)

    @app.job
    async def small(text: str) -> str:
        return text

    async with app.connected() as queue:
        ref = await queue.enqueue(small, "before")
        with trouble.of_kind(StorageFull):
            assert (await ref.job()).args == ("before",)
            assert (await queue.stats()).by_state == {JobState.READY: 1}


# --- any storage ----------------------------------------------------------------------------------


async def test_an_outage_of_minutes_loses_no_outcome(autojump_clock: MockClock) -> None:
    down = False
    storage = FaultyStorage(MemoryStorage(), lambda _asked: Fault() if down else None)
    app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=3, lease=3600))
    ran: list[int] = []

    @app.job
    async def work(number: int) -> int:
        ran.append(number)
        await trio.sleep(1)
        return number

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(work, number) for number in range(6)])
        await trio.sleep(0.5)
        down = True
        await trio.sleep(300)
        with pytest.raises(StorageBusy):
            await queue.enqueue(work, 7)
        with pytest.raises(StorageBusy):
            await queue.stats()
        down = False
        assert [await ref.result(timeout=60) for ref in refs] == list(range(6))
    assert sorted(ran) == list(range(6))


@pytest.mark.parametrize("message", [Renew, Stranded, Complete])
async def test_a_storage_that_fails_now_and_then_is_lived_with(
    autojump_clock: MockClock, message: type
) -> None:
    meant: list[Asked] = []

    def every_other(asked: Asked) -> Fault | None:
        if not any(isinstance(one, message) for one in asked.messages):
            return None
        meant.append(asked)
        return Fault() if len(meant) % 2 else None

    storage = FaultyStorage(MemoryStorage(), every_other)
    app = Gusto(storage, clock=VirtualClock(), options=Options(lease=30))

    @app.job
    async def work() -> str:
        await trio.sleep(100)
        return "done"

    async with app.running() as queue:
        refs = [await queue.enqueue(work) for _ in range(4)]
        assert [await ref.result(timeout=900) for ref in refs] == ["done"] * 4
        for ref in refs:
            assert [one.outcome for one in await queue.attempts(ref)] == ["succeeded"]
    assert storage.happened


async def test_a_stop_during_an_outage_takes_no_longer_than_its_deadlines(
    autojump_clock: MockClock,
) -> None:
    down = False
    storage = FaultyStorage(MemoryStorage(), lambda _asked: Fault() if down else None)
    app = Gusto(storage, clock=VirtualClock(), options=Options(drain_timeout=10))

    @app.job
    async def work() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        await trio.sleep(1)
        down = True
        began = trio.current_time()
    assert trio.current_time() - began < 10 + 3 * 5 + 1
    down = False
    async with app.running() as queue:
        await trio.sleep(1)
        words = [attempt.outcome for attempt in await queue.attempts(queue.ref(ref.id))]
        assert words[0] == "lost"
        assert len(words) == 2


async def test_a_defect_of_the_storage_reaches_the_caller_and_hangs_nobody(
    autojump_clock: MockClock,
) -> None:
    class Broken(MemoryStorage):
        times = 1

        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            if self.times and any(isinstance(write, Commit | Complete) for write in writes):
                self.times -= 1
                raise ZeroDivisionError("a defect")
            return await super().apply(writes)

    app = Gusto(Broken(), clock=VirtualClock())

    @app.job
    async def work() -> str:
        return "done"

    async with app.connected() as queue:
        ref = await queue.enqueue(work)
        with pytest.raises(StorageError, match="ZeroDivisionError"):
            await ref.cancel()
        assert await ref.status() is JobState.READY
        assert await ref.cancel()
        ref = await queue.enqueue(work)
    async with app.running() as queue:
        assert await queue.ref(ref.id).result() == "done"

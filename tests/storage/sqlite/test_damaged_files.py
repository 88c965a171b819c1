"""Files that somebody has damaged: named in a clear error, not made worse, and nobody hangs or dies of them."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from trio_gusto import Gusto, JobQueue, NotOurDatabase, Options, StorageError
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.auditing import Audit

PAGE = 4096
GARBAGE = b"\xa5" * PAGE
MANY = 60
FRAME = PAGE + 24
"""Bytes of a page in the log, which begins with 32 of its own."""


@attrs.frozen
class Files:
    """A file with jobs, closed; and how it and its log were while it was in use."""

    closed: bytes
    open: bytes
    log: bytes
    used: int
    """Bytes of the log that say something."""


def app_over(path: Path) -> Gusto:
    app = Gusto(SqliteStorage(path), options=Options(concurrency=2))
    app.job(name="work")(work)
    return app


async def work(number: int, text: str) -> int:
    return number


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    home = tmp_path_factory.mktemp("files")
    path = home / "jobs.db"

    async def main() -> int:
        async with app_over(path).connected() as queue:
            for number in range(MANY):
                await queue.enqueue(work, number, "x" * 3000)
            shutil.copy(path, home / "open")
            shutil.copy(f"{path}-wal", home / "log")
            (frames,) = struct.unpack_from("=I", Path(f"{path}-shm").read_bytes(), 16)
            return int(frames)

    used = 32 + FRAME * trio.run(main)
    return Files(path.read_bytes(), (home / "open").read_bytes(), (home / "log").read_bytes(), used)


def over(content: bytes, at: int, instead: bytes) -> bytes:
    return content[:at] + instead + content[at + len(instead) :]


def middle(files: Files) -> int:
    return PAGE * (len(files.closed) // PAGE // 2)


Damage = Callable[[Files], bytes]

DAMAGES: dict[str, tuple[Damage, type[StorageError]]] = {
    "its header": (lambda files: over(files.closed, 0, GARBAGE[:100]), NotOurDatabase),
    "the size of its pages": (lambda files: over(files.closed, 16, b"\x12\x34"), NotOurDatabase),
    "its first page": (lambda files: over(files.closed, 100, GARBAGE[:3000]), StorageError),
    "its middle": (lambda files: over(files.closed, middle(files), GARBAGE * 4), StorageError),
    "all but its first page": (
        lambda files: files.closed[:PAGE] + GARBAGE * (len(files.closed) // PAGE - 1),
        StorageError,
    ),
    "half of it gone": (lambda files: files.closed[: middle(files)], StorageError),
    "half a page gone": (lambda files: files.closed[: middle(files) + 77], StorageError),
    "all but its header gone": (lambda files: files.closed[:100], StorageError),
}

damaged = pytest.mark.parametrize(
    ("damage", "kind"), DAMAGES.values(), ids=[name.replace(" ", "-") for name in DAMAGES]
)


async def use(queue: JobQueue) -> None:
    """Ask for all jobs, and for one more."""
    await queue.find(limit=1000)
    await queue.stats()
    await queue.enqueue(work, -1, "")


@damaged
async def test_a_producer_is_told_and_the_file_stays_as_it_is(
    files: Files, tmp_path: Path, damage: Damage, kind: type[StorageError]
) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(damage(files))
    with trio.fail_after(20), pytest.raises(StorageError, match="restore a backup") as caught:
        async with app_over(path).connected() as queue:
            await use(queue)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)
    assert path.read_bytes() == damage(files)


@damaged
async def test_a_worker_neither_hangs_nor_dies_of_it(
    files: Files, tmp_path: Path, damage: Damage, kind: type[StorageError]
) -> None:
    """It may run what can be read; who asks for what cannot is told, and it stops when it is told to."""
    path = tmp_path / "jobs.db"
    path.write_bytes(damage(files))

    async def run() -> None:
        async with app_over(path).running() as queue:
            with pytest.raises(StorageError, match="restore a backup"):
                await use(queue)
            await use(queue)

    with trio.fail_after(20), pytest.raises(StorageError, match="restore a backup") as caught:
        await run()
    assert str(path) in str(caught.value)


@damaged
def test_an_audit_names_it_and_leave_it_alone(
    files: Files, tmp_path: Path, damage: Damage, kind: type[StorageError]
) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(damage(files))
    with pytest.raises(StorageError, match="restore a backup") as caught:
        list(Audit(path).findings())
    assert str(path) in str(caught.value)
    assert path.read_bytes() == damage(files)


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """SQLite knows no difference."""
    path = tmp_path / "jobs.db"
    path.touch()
    assert trio.run(numbers, path) == []


# --- the log --------------------------------------------------------------------------------------


async def numbers(path: Path) -> list[object]:
    """The numbers of the jobs, in the order in which they were enqueued; one may be added."""
    async with app_over(path).connected() as queue:
        jobs = (await queue.find(limit=1000)).items
        await queue.enqueue(work, -1, "")
    return [job.args[0] for job in reversed(jobs)]


def test_a_log_that_is_whole_is_believed(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(files.open)
    Path(f"{path}-wal").write_bytes(files.log)
    assert trio.run(numbers, path) == [*range(MANY)]


@pytest.mark.parametrize("how", ["garbage", "cut off"])
def test_a_log_is_believed_up_to_where_it_is_damaged(
    files: Files, tmp_path: Path, how: str
) -> None:
    """What was committed behind is gone, without a word: SQLite takes the damage for the end of the log."""
    path, at = tmp_path / "jobs.db", 32 + FRAME * ((files.used // FRAME) * 2 // 3) + 100
    path.write_bytes(files.open)
    log = over(files.log, at, GARBAGE) if how == "garbage" else files.log[:at]
    Path(f"{path}-wal").write_bytes(log)
    found = trio.run(numbers, path)
    assert 0 < len(found) < MANY
    assert found == [*range(len(found))], "the oldest, without a gap"
    assert [*Audit(path).findings()] == []


def test_a_log_of_garbage_is_none(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(files.closed)
    Path(f"{path}-wal").write_bytes(GARBAGE * 50)
    assert trio.run(numbers, path) == [*range(MANY)]


# --- while it is in use ---------------------------------------------------------------------------


async def test_a_worker_whose_file_is_damaged_under_it_lives_until_it_is_stopped(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.db"
    app = app_over(path)
    async with app.connected() as queue:
        for number in range(MANY):
            await queue.enqueue(work, number, "x" * 3000, execute_after=3600)
    with trio.fail_after(60):
        async with app.running() as queue:
            content = path.read_bytes()
            with path.open("r+b") as file:
                file.seek(PAGE)
                file.write(GARBAGE * (len(content) // PAGE - 1))
            with pytest.raises(StorageError, match="restore a backup"):
                await queue.find(limit=1000)
            with pytest.raises(StorageError):
                await queue.enqueue(work, -1, "x" * 100_000)

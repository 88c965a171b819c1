"""A process is killed while it moves jobs to the archive, and each is still in one place."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_gusto.model.states import Failed, Ready
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW

ROOT = Path(__file__).parents[2]
JOBS, SLICE = 300, 50

MOVER = """
import os, signal, sys
import trio
from trio_gusto.storage.retention_messages import Prune
from trio_gusto.storage.sqlite import SqliteStorage, archive, months, retention, writes

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

path, point, before = sys.argv[1], sys.argv[2], int(sys.argv[3])
limit, way = int(sys.argv[4]), sys.argv[5]
EVERY = "SELECT seq, version FROM job"
copied, copy = archive.Archive.copy, archive._COPY

if point == "month made":
    archive.Archive._copy = lambda self, month, jobs: self._months.opened(month).__enter__() and die()
elif point == "copying":
    archive._COPY = (*copy[:5], "SELECT die(), ?")
    real = months.Months._connect
    def connect(self, month, mode):
        connection = real(self, month, mode)
        connection.create_function("die", 0, die)
        return connection
    months.Months._connect = connect
elif point == "copied":
    archive.Archive.copy = lambda *given: (copied(*given), die())
elif point == "deleted":
    retention.forget_empty = die
elif point in ("committed", "never copied"):
    if point == "never copied":
        archive.Archive.copy = lambda self, connection, seqs: {
            "2023-11": [job for job in connection.execute(EVERY).fetchall() if job[0] in seqs]
        }
    for name in ("apply", "delete_copied"):
        real = getattr(writes.Writer, name)
        setattr(writes.Writer, name, lambda *given, real=real: (real(*given), die()))

async def main():
    storage = SqliteStorage(path, archive=True)
    await storage.attach("mover")
    print("ready", flush=True)
    more = True
    while more:
        prune = Prune(before, limit)
        if way == "apart":
            reply = await storage.prune_apart(prune)
        else:
            (reply,) = await storage.apply([prune])
        more = reply.more

trio.run(main)
"""


def made(home: Path) -> Counter[bytes]:
    """Jobs of two months, and a newer one that is ready."""

    async def main() -> Counter[bytes]:
        storage = SqliteStorage(home / "jobs.db", archive=True)
        await storage.attach("maker")
        subject = Subject(storage, "maker")
        old = [subject.request(created_at=NOW + (n % 2) * 30 * 86_400_000_000) for n in range(JOBS)]
        await subject.insert(*old, states=[Failed(NOW, "")] * JOBS)
        newest = subject.request()
        await subject.insert(newest, states=[Ready(NOW)])
        await storage.detach("maker")
        return Counter(request.id for request in [*old, newest])

    return trio.run(main)


def mover(home: Path, point: str, way: str) -> subprocess.Popen[str]:
    path, before = str(home / "jobs.db"), str(NOW + 1)
    return subprocess.Popen(
        [sys.executable, "-c", MOVER, path, point, before, str(SLICE), way],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def shown(home: Path) -> Counter[bytes]:
    """What a reader finds, page by page."""

    async def main() -> Counter[bytes]:
        storage = SqliteStorage(home / "jobs.db", archive=True)
        await storage.attach("reader")
        found: list[bytes] = []
        before = None
        while page := (await storage.read(Find(70, before))).jobs:
            found += [job.request.id for job in page]
            before = page[-1].sequence
        await storage.detach("reader")
        return Counter(found)

    return trio.run(main)


def finish(home: Path) -> None:
    """The next process moves what is left."""

    async def main() -> None:
        storage = SqliteStorage(home / "jobs.db", archive=True)
        await storage.attach("next")
        more = True
        while more:
            (reply,) = await storage.apply([Prune(NOW + 1, SLICE)])
            assert isinstance(reply, Pruned)
            more = reply.more
        await storage.detach("next")

    trio.run(main)


def kept(home: Path) -> dict[str, int]:
    counts: dict[str, Any] = {}
    for path in home.glob("*.db"):
        with closing(sqlite3.connect(path)) as connection:
            ((counts[path.name],),) = connection.execute("SELECT count(*) FROM job").fetchall()
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return counts


AFTER = {"jobs.db": 1, "jobs-2023-11.db": JOBS // 2, "jobs-2023-12.db": JOBS // 2}


WAYS = pytest.mark.parametrize("way", ["in a group", "apart"])


@WAYS
@pytest.mark.parametrize("point", ["month made", "copying", "copied", "deleted", "committed"])
def test_at_each_point_every_job_is_found_once_and_the_next_round_ends_the_move(
    tmp_path: Path, point: str, way: str
) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, point, way)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert shown(tmp_path) == wanted
    finish(tmp_path)
    assert shown(tmp_path) == wanted
    assert kept(tmp_path) == AFTER


@pytest.mark.parametrize("seed", range(6))
def test_at_any_point_too(tmp_path: Path, seed: int) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, "none", "apart" if seed % 2 else "in a group")
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).random() * 0.15)  # noqa: TID251 - any moment will do
    process.kill()
    process.communicate(timeout=60)
    assert shown(tmp_path) == wanted
    finish(tmp_path)
    assert shown(tmp_path) == wanted
    assert kept(tmp_path) == AFTER


@WAYS
def test_a_move_that_deletes_what_it_has_not_copied_is_caught(tmp_path: Path, way: str) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, "never copied", way)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert shown(tmp_path) != wanted

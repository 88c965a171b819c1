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
from trio_gusto.storage.messages import Find
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
move, copy = archive.Archive.move, archive._COPY

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
    archive.Archive.move = lambda *given: (move(*given), die())
elif point == "deleted":
    retention.forget_empty = die
elif point in ("committed", "never copied"):
    if point == "never copied":
        archive.Archive.move = lambda self, connection, seqs: list(seqs)
    real_apply = writes.Writer.apply
    writes.Writer.apply = lambda self, group: (real_apply(self, group), die())

async def main():
    storage = SqliteStorage(path, archive=True)
    await storage.attach("mover")
    print("ready", flush=True)
    more = True
    while more:
        (reply,) = await storage.apply([Prune(before, int(sys.argv[4]))])
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


def mover(home: Path, point: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MOVER, str(home / "jobs.db"), point, str(NOW + 1), str(SLICE)],
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


@pytest.mark.parametrize("point", ["month made", "copying", "copied", "deleted", "committed"])
def test_at_each_point_every_job_is_found_once_and_the_next_round_ends_the_move(
    tmp_path: Path, point: str
) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, point)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert shown(tmp_path) == wanted
    finish(tmp_path)
    assert shown(tmp_path) == wanted
    assert kept(tmp_path) == AFTER


@pytest.mark.parametrize("seed", range(6))
def test_at_any_point_too(tmp_path: Path, seed: int) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, "none")
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(random.Random(seed).random() * 0.15)  # noqa: TID251 - any moment will do
    process.kill()
    process.communicate(timeout=60)
    assert shown(tmp_path) == wanted
    finish(tmp_path)
    assert shown(tmp_path) == wanted
    assert kept(tmp_path) == AFTER


def test_a_move_that_deletes_what_it_has_not_copied_is_caught(tmp_path: Path) -> None:
    wanted = made(tmp_path)
    process = mover(tmp_path, "never copied")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert shown(tmp_path) != wanted

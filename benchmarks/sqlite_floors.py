"""What SQLite alone can do: the floors of everything that is durable. No Trio, no product.

All of it with WAL, ``synchronous=FULL`` and the partial index of ready jobs, in the statements that
were the fastest of those compared.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
PRAGMA wal_autocheckpoint=10000;
PRAGMA cache_size=-65536;
CREATE TABLE IF NOT EXISTS job(
  id INTEGER PRIMARY KEY, queue INTEGER, priority INTEGER, state INTEGER, execute_after INTEGER,
  kind TEXT, args TEXT, attempts INTEGER, created_at INTEGER, lease INTEGER, finished_at INTEGER,
  expire_on INTEGER);
CREATE INDEX IF NOT EXISTS job_ready ON job(queue, priority, id) WHERE state=0;
"""
# One row as a job writes it; the kind and the arguments have the length of a small real job's.
ROW = (1, 0, 0, None, "benchmarks.no_op", '{"number":12345}', 0, 1_700_000_000_000_000)
PLACES = "(?,?,?,?,?,?,?,?)"
INSERT = "INSERT INTO job(queue,priority,state,execute_after,kind,args,attempts,created_at) VALUES "
SELECT = (
    "SELECT id,kind,args,attempts,priority FROM job WHERE state=0 AND queue=1 "
    "ORDER BY priority,id LIMIT ?"
)
CLAIM = "UPDATE job SET state=1, attempts=attempts+1, lease=? WHERE id=?"
MOST = 1000
"""Rows of one statement; SQLite has a limit of values."""


def open_table(path: Path) -> sqlite3.Connection:
    """A database with one empty table, ready for jobs."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.executescript(SCHEMA)
    return connection


def insert(connection: sqlite3.Connection, count: int) -> None:
    """``count`` ready jobs in one durable transaction."""
    connection.execute("BEGIN IMMEDIATE")
    _insert(connection, count)
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, count: int) -> None:
    for first in range(0, count, MOST):
        rows = min(MOST, count - first)
        connection.execute(INSERT + ",".join([PLACES] * rows), ROW * rows)


def claim(connection: sqlite3.Connection, count: int) -> Sequence[int]:
    """The first ``count`` ready jobs become claimed, in one durable transaction."""
    connection.execute("BEGIN IMMEDIATE")
    rows = connection.execute(SELECT, (count,)).fetchall()
    rows.sort(key=lambda row: (row[4], row[0]))
    ids = [row[0] for row in rows]
    connection.executemany(CLAIM, [(1, job) for job in ids])
    connection.execute("COMMIT")
    return ids


def complete(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """The jobs become finished, in one durable transaction."""
    places = ",".join("?" * len(ids))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"UPDATE job SET state=2, finished_at=1 WHERE id IN ({places})", ids)
    connection.execute("COMMIT")


def jobs_per_second(path: Path, jobs: int, group: int = 100, backlog: int = 0) -> float:
    """Limit S3 (with ``group`` 100): insert, claim and complete, three transactions for a group.

    With a ``backlog`` the table holds so many ready jobs from the start.
    """
    connection = open_table(path)
    for _ in range(backlog // 1000):
        insert(connection, 1000)
    began = perf_counter()
    for _ in range(jobs // group):
        insert(connection, group)
        complete(connection, claim(connection, group))
    rate = jobs // group * group / (perf_counter() - began)
    connection.close()
    return rate


def inserts_per_second(path: Path, jobs: int, group: int) -> float:
    """Limit I: nothing but durable inserts, ``group`` rows in a transaction."""
    connection = open_table(path)
    began = perf_counter()
    for _ in range(jobs // group):
        insert(connection, group)
    rate = jobs // group * group / (perf_counter() - began)
    connection.close()
    return rate


# --- many at once ---------------------------------------------------------------------------------


def add_schedules(connection: sqlite3.Connection, count: int) -> None:
    """A table of ``count`` schedules, each due at 0."""
    connection.execute("CREATE TABLE schedule(name TEXT PRIMARY KEY, next_at INTEGER)")
    connection.execute("CREATE INDEX schedule_due ON schedule(next_at)")
    connection.execute("BEGIN IMMEDIATE")
    rows = [(f"schedule-{number}",) for number in range(count)]
    connection.executemany("INSERT INTO schedule VALUES (?, 0)", rows)
    connection.execute("COMMIT")


def fire(connection: sqlite3.Connection, count: int) -> None:
    """Every schedule moves on and makes a job, and the jobs run: three durable transactions."""
    connection.execute("BEGIN IMMEDIATE")
    due = connection.execute("SELECT name FROM schedule WHERE next_at <= 0").fetchall()
    connection.executemany("UPDATE schedule SET next_at=3600 WHERE name=?", due)
    _insert(connection, count)
    connection.execute("COMMIT")
    complete(connection, claim(connection, count))


def add_waiting(connection: sqlite3.Connection, count: int) -> None:
    """``count`` jobs that are not ready."""
    insert(connection, count)
    connection.execute("UPDATE job SET state=4 WHERE state=0")


def release(connection: sqlite3.Connection, _count: int) -> None:
    """All that waits becomes ready, in one durable transaction."""
    connection.execute("UPDATE job SET state=0 WHERE state=4")


def end_ready(connection: sqlite3.Connection, _count: int) -> None:
    """All that is ready ends, in one durable transaction."""
    connection.execute("UPDATE job SET state=2, finished_at=1 WHERE state=0")

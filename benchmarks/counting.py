"""How long it takes to count a big table, through `JobQueue.stats` and with plain SQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from time import perf_counter

import trio

from trio_gusto import Gusto
from trio_gusto.storage.sqlite import SqliteStorage

from .big_tables import make_many_finished, make_many_ready
from .scale import Scale

_ALL = "SELECT state, queue, tenant, count(*) FROM job GROUP BY state, queue, tenant"

TIMES = 5
"""Counts of which the quickest counts: the first of all keeps what later ones need not count."""

FINISHED, READY = "counted-finished", "counted-ready"


def make_finished(scale: Scale) -> None:
    """A table of completed jobs."""
    make_many_finished(scale, FINISHED)


def make_ready(scale: Scale) -> None:
    """A table of ready jobs."""
    make_many_ready(scale, READY)


def stats_of_finished(scale: Scale) -> float:
    """Milliseconds of `JobQueue.stats`."""
    return trio.run(_stats, scale.kept_database(FINISHED))


def stats_of_ready(scale: Scale) -> float:
    """Milliseconds of `JobQueue.stats`."""
    return trio.run(_stats, scale.kept_database(READY))


def recount_of_finished(scale: Scale) -> float:
    """Milliseconds of going over all rows."""
    return _recount(scale.kept_database(FINISHED))


def recount_of_ready(scale: Scale) -> float:
    """Milliseconds of going over all rows."""
    return _recount(scale.kept_database(READY))


async def _stats(path: Path) -> float:
    took: list[float] = []
    async with Gusto(SqliteStorage(path)).connected() as queue:
        for _ in range(TIMES):
            began = perf_counter()
            await queue.stats()
            took.append(perf_counter() - began)
    return min(took) * 1000


def _recount(path: Path) -> float:
    with closing(sqlite3.connect(path)) as connection:
        began = perf_counter()
        connection.execute(_ALL).fetchall()
        return (perf_counter() - began) * 1000

"""Earlier runs, read off the end of an index: so many rows at most, however many there are."""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3

from ...model.lanes import lane_of_worker
from ..run_messages import PastRuns, RunsFound


def _durations(jobs: str, order: str) -> str:
    return (
        "SELECT ended_at - started_at FROM ("
        f"SELECT seq, state, handler, lane, started_at, ended_at FROM job WHERE {jobs} "
        f"ORDER BY {order} LIMIT :look"
        ") WHERE state = 4 AND iif(lane GLOB 'worker *', lane, NULL) IS :lane "
        "AND handler IN (SELECT handler FROM handler WHERE name = :name) "
        f"ORDER BY {order} LIMIT :limit"
    )


OF_ALL = _durations("state > 3", "ended_at DESC, seq DESC")
OF_SCHEDULE = _durations("schedule IS NOT NULL AND schedule = :schedule", "seq DESC")


def past_runs(connection: sqlite3.Connection, query: PastRuns) -> RunsFound:
    """Those that are asked for."""
    values = {
        "look": query.look,
        "lane": None if query.worker is None else lane_of_worker(query.worker),
        "name": query.name,
        "limit": query.limit,
        "schedule": query.schedule,
    }
    rows = connection.execute(OF_ALL if query.schedule is None else OF_SCHEDULE, values)
    return RunsFound(tuple(duration for (duration,) in rows if isinstance(duration, int)))

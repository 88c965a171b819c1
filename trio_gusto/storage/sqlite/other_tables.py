"""What stands beside jobs and their attempts, and cannot be read: batches, stages, reports, buckets, counts …"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

from ...model.audit import Finding, Invariant, named
from .columns import shown, unfit
from .json_columns import (
    arguments_text_fault,
    counts_fault,
    details_text_fault,
    rate_limit_fault,
    tags_fault,
)

_OF_JOB = (
    "'{} of ' || coalesce((SELECT 'job ' || named(id) FROM job WHERE job.seq = {}.seq), "
    "'a job that is not there')"
)

SUBJECTS: Mapping[str, str] = {
    "handler": "'handler ' || handler",
    "node": "'node ' || node",
    "progress": _OF_JOB.format("the progress", "progress"),
    "job_log": _OF_JOB.format("a line in the log", "job_log"),
    "dossier": _OF_JOB.format("a dossier", "dossier"),
    "batch": "'batch ' || named(id)",
    "stage": "'stage ' || number",
    "staged": "'job ' || position || ' of stage ' || stage",
    "archive": "'the row of archive for ' || quote(month)",
    "pause": "'pause ' || number",
    "pause_heard": "'the row of pause_heard for node ' || node",
    "lane_head": "'the head of lane ' || quote(lane) || ' in queue ' || quote(queue)",
    "turn_time": "'the turn in scope ' || quote(scope)",
    "turn": "'the turn of tenant ' || quote(tenant) || ' in scope ' || quote(scope)",
    "piece": "'piece ' || number",
    "piece_sum": "'the row of piece_sum for queue ' || quote(queue)",
    "piece_mark": "'the mark in slot ' || slot",
    "bucket": "'bucket ' || quote(name)",
}
"""Of each table, an expression that names a row. The first five are in a month of the archive, too."""

OF_MONTH = ("handler", "node", "progress", "job_log", "dossier")

COUNTED = ("piece", "piece_sum", "piece_mark")
"""Of what is wrong here, nobody can make counts."""

_JSON: Mapping[str, Sequence[tuple[str, Callable[..., str | None]]]] = {
    "batch": [("tags", tags_fault)],
    "staged": [("args", arguments_text_fault), ("details", details_text_fault)],
    "piece": [("counts", counts_fault)],
    "bucket": [("rate_limit", rate_limit_fault)],
}
"""Columns of JSON, and who says what is wrong with them."""


def unreadable(connection: sqlite3.Connection, table: str) -> Iterator[Finding]:
    """The rows of one of these tables with a value that cannot be what its column means."""
    connection.create_function("named", 1, named)
    subject = SUBJECTS[table]
    for row, value in unfit(connection, table, subject):
        yield _finding(shown(row), f"its {value}")
    for columns, fault_of in _JSON.get(table, ()):
        for row, *values in connection.execute(f"SELECT {subject}, {columns} FROM {table}"):
            fault = fault_of(*values)
            if fault is not None:
                yield _finding(shown(row), fault)


def _finding(subject: str, found: str) -> Finding:
    return Finding(subject, None, Invariant.READABLE, found, "all that is stored can be read")

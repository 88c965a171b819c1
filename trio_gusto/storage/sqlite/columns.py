"""Which values the columns of each table may have, as far as a column says so by itself.

The types are SQLite's matter, since all tables are strict; here are the ranges of numbers and instants,
the sizes of ids, and the rows that numbers name. What is JSON is tried in `json_columns`.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import attrs

from ...model.audit import FIRST_INSTANT
from ...model.triggers import LAST_INSTANT
from .reading import with_surrogates


@attrs.frozen
class Kind:
    """What a value must be: a condition of SQL in which ``{}`` is the column, and a noun."""

    condition: str
    noun: str


BEFORE_ALL = -(2**63)
"""A sequence before all others, also before those that are none."""

ID = Kind("length({}) = 16", "id of 16 bytes")
INSTANT = Kind(f"{{}} BETWEEN {FIRST_INSTANT} AND {LAST_INSTANT}", "instant of the years 1 to 9999")
COUNT = Kind("{} >= 0", "number from 0 on")
NUMBER = Kind("{} >= 1", "number from 1 on")
PRIORITY = Kind("{} BETWEEN -2147483648 AND 2147483647", "number of 32 bits")
TEXT = Kind("is_text(CAST({} AS BLOB))", "text in UTF-8")
NAME = Kind("{0} <> '' AND is_text(CAST({0} AS BLOB))", "text in UTF-8 of one character at least")
FLAG = Kind("{} IN (0, 1)", "0 or 1")
STATE = Kind("{} BETWEEN 0 AND 8", "state")
HANDLER = Kind("{} IN (SELECT handler FROM handler)", "handler in the table handler")
NODE = Kind("{} IN (SELECT node FROM node)", "node in the table node")
STAGE = Kind("{} IN (SELECT number FROM stage)", "number in the table stage")

COLUMNS: Mapping[str, Mapping[str, Kind]] = {
    "handler": {"name": NAME, "job_type": TEXT, "method_name": TEXT},
    "node": {"node_name": NAME},
    "job": {
        "seq": NUMBER,
        "id": ID,
        "state": STATE,
        "handler": HANDLER,
        "created_at": INSTANT,
        "due": INSTANT,
        "max_attempts": NUMBER,
        "timeout": NUMBER,
        "queue": NAME,
        "priority": PRIORITY,
        "attempt": COUNT,
        "version": COUNT,
        "node": NODE,
        "claimed_at": INSTANT,
        "lease_until": INSTANT,
        "started_at": INSTANT,
        "ended_at": INSTANT,
        "execute_after": INSTANT,
        "expire_on": INSTANT,
        "fire_time": INSTANT,
        "tenant": TEXT,
        "reason": TEXT,
        "ref_id": TEXT,
        "schedule": TEXT,
    },
    "attempt": {
        "token": COUNT,
        "number": NUMBER,
        "node": NAME,
        "claimed_at": INSTANT,
        "started_at": INSTANT,
        "ended_at": INSTANT,
        "outcome": TEXT,
    },
    "schedule": {
        "name": NAME,
        "version": COUNT,
        "next_at": INSTANT,
        "since": INSTANT,
        "anchor": INSTANT,
        "last_at": INSTANT,
        "last_job_id": ID,
        "paused": FLAG,
    },
    "batch": {"id": ID, "created_at": INSTANT, "tenant": TEXT},
    "stage": {"id": ID, "node": NAME, "touched_at": INSTANT, "count": Kind("{} >= -1", "count")},
    "staged": {
        "stage": STAGE,
        "position": COUNT,
        "state": STATE,
        "due": INSTANT,
        "id": ID,
        "handler": HANDLER,
        "created_at": INSTANT,
        "max_attempts": NUMBER,
        "timeout": NUMBER,
        "execute_after": INSTANT,
        "expire_on": INSTANT,
        "queue": NAME,
        "priority": PRIORITY,
        "fire_time": INSTANT,
        "tenant": TEXT,
        "ref_id": TEXT,
        "schedule": TEXT,
        "unique_key": TEXT,
        "lane": TEXT,
    },
    "archive": {
        "month": Kind(
            "{0} GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]' AND substr({0}, 6) BETWEEN '01' AND '12'",
            "month",
        ),
        "last_seq": Kind("{} >= first_seq", "sequence from first_seq on"),
    },
    "pause": {"since": INSTANT, "queue": TEXT, "tenant": TEXT, "reason": TEXT},
    "pause_heard": {"node": NODE, "number": COUNT},
    "progress": {
        "percent": Kind("{} BETWEEN 0 AND 100", "number from 0 to 100"),
        "message": TEXT,
    },
    "job_log": {
        "number": NUMBER,
        "begins": COUNT,
        "token": NUMBER,
        "told": NUMBER,
        "at": INSTANT,
        "level": NAME,
        "message": TEXT,
    },
    "dossier": {"token": NUMBER, "text": TEXT},
    "lane_head": {"queue": TEXT, "lane": NAME, "due": INSTANT},
    "turn_time": {"scope": TEXT, "priority": PRIORITY, "now": COUNT},
    "turn": {"scope": TEXT, "tenant": TEXT, "priority": PRIORITY, "pass": COUNT},
    "piece": {"mark": COUNT, "processing": COUNT},
    "piece_sum": {
        "state": Kind("{} BETWEEN -1 AND 8", "state"),
        "queue": TEXT,
        "tenant": TEXT,
        "count": NUMBER,
    },
    "piece_mark": {"slot": Kind("{} BETWEEN 0 AND 4095", "slot"), "changes": COUNT},
    "bucket": {"name": NAME, "since": INSTANT, "starts": NUMBER, "last": INSTANT},
}


def unfit(
    connection: sqlite3.Connection,
    table: str,
    keys: str,
    where: str = "TRUE",
    values: Sequence[object] = (),
) -> Iterator[tuple[Any, ...]]:
    """The rows with a value that their columns cannot have: their ``keys``, and which value, in words."""
    connection.create_function("is_text", 1, _is_text)
    wrong = _wrong(table)
    question = f"SELECT {keys}, {wrong} FROM {table} WHERE {where} AND {wrong} IS NOT NULL"
    for *key, value in connection.execute(question, values):
        yield (*key, shown(value))


def read_leniently(connection: sqlite3.Connection) -> None:
    """From now on, texts that are no UTF-8 are read with surrogates for what is none, not refused."""
    connection.text_factory = with_surrogates


def shown(text: str) -> str:
    """Such a text as one that can be written anywhere."""
    return text.encode(errors="backslashreplace").decode()


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


@cache
def _wrong(table: str) -> str:
    """An expression: the first value of a row that its column cannot have, in words, or NULL."""
    cases = [
        f"WHEN {column} IS NOT NULL AND NOT ({kind.condition.format(column)}) THEN "
        f"'{column} is ' || substr(quote({column}), 1, 80) || ', which is no {kind.noun}'"
        for column, kind in COLUMNS[table].items()
    ]
    return f"CASE {' '.join(cases)} END"

"""Searching for jobs, newest first, without reading more of the table than there is to find.

Jobs are told apart by state first, because each state but that of success has an index of its own:
few jobs are found among many. Within a state the criteria are applied, newest first.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
import orjson

from ...model.states import JobState
from ..finding_messages import Find
from .ready import LANE_READY
from .rows import NUMBERS

_IN_BATCH = "batch IS NOT NULL AND batch = (SELECT number FROM batch WHERE id = :batch)"

_OF_BATCH = "details ->> '$.batch' = lower(hex(:batch))"
"""The same in a file of the archive, which keeps no batches."""

_BEFORE = "seq < :before"

_SORTED = {NUMBERS[state] for state in (JobState.SCHEDULED, JobState.READY, JobState.PROCESSING)}
"""States whose index has another order than that of insertion."""

_READY = NUMBERS[JobState.READY]
_ANY_READY = [[f"state = {_READY}", "lane IS NULL"], [LANE_READY]]
"""Ready jobs stand in two indexes, by whether they are in a lane."""


def _json(values: Iterable[object]) -> str:
    return orjson.dumps(list(values)).decode()


def _object(values: Mapping[str, object]) -> str:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()


def _same(value: Any) -> Any:
    return value


def _among(column: str, field: str) -> str:
    return f"{column} IN (SELECT value FROM json_each(:{field}))"


@attrs.frozen
class _Criterion:
    """How one field of `Find` is asked for; its value is bound by the field's name."""

    field: str
    condition: str
    bind: Callable[[Any], object] = _same


CRITERIA = (
    _Criterion("before", _BEFORE),
    _Criterion("batch", _IN_BATCH),
    _Criterion("schedule_name", "schedule IS NOT NULL AND schedule = :schedule_name"),
    _Criterion(
        "names",
        f"handler IN (SELECT handler FROM handler WHERE {_among('name', 'names')})",
        _json,
    ),
    _Criterion("queues", _among("queue", "queues"), _json),
    _Criterion("tenants", _among("tenant", "tenants"), _json),
    _Criterion("workers", _among("details ->> '$.worker'", "workers"), _json),
    _Criterion("rate_keys", _among("details ->> '$.rate_key'", "rate_keys"), _json),
    _Criterion(
        "concurrency_keys",
        _among("details ->> '$.concurrency_key'", "concurrency_keys"),
        _json,
    ),
    _Criterion(
        "tags_any",
        "EXISTS (SELECT 1 FROM json_each(details, '$.tags') AS had "
        f"WHERE {_among('had.value', 'tags_any')})",
        _json,
    ),
    _Criterion(
        "tags_all",
        "NOT EXISTS (SELECT value FROM json_each(:tags_all) "
        "EXCEPT SELECT value FROM json_each(details, '$.tags'))",
        _json,
    ),
    _Criterion("created_by", "details ->> '$.created_by' = :created_by"),
    _Criterion("user_id", "details ->> '$.user_id' = :user_id"),
    # Texts of JSON with sorted keys: equal values are equal texts. ``true`` and ``1``, ``1`` and
    # ``1.0`` are told apart by their types.
    _Criterion(
        "metadata",
        "NOT EXISTS (SELECT key, type, value FROM json_each(:metadata) "
        "EXCEPT SELECT key, type, value FROM json_each(details, '$.metadata'))",
        _object,
    ),
    _Criterion(
        "parent",
        "EXISTS (SELECT 1 FROM json_each(details, '$.parents') AS had WHERE had.value = :parent)",
        bytes.hex,
    ),
    _Criterion("created_after", "created_at >= :created_after"),
    _Criterion("created_before", "created_at < :created_before"),
)
"""All of `Find` but its ``limit`` and ``states``."""

_NOT_GIVEN = (None, frozenset[str](), dict[str, object]())


def find_rows(connection: sqlite3.Connection, find: Find, *, in_archive: bool) -> list[int]:
    """The sequences of the jobs found, newest first."""
    given = [
        (criterion, value)
        for criterion in CRITERIA
        if (value := getattr(find, criterion.field)) not in _NOT_GIVEN
    ]
    conditions = [criterion.condition for criterion, _ in given]
    if in_archive:
        conditions = [_OF_BATCH if one == _IN_BATCH else one for one in conditions]
    values: dict[str, object] = {
        criterion.field: criterion.bind(value) for criterion, value in given
    }
    values["limit"] = find.limit
    states = (
        [] if len(find.states) == len(NUMBERS) else sorted(NUMBERS[state] for state in find.states)
    )
    pieces = [
        _piece(of_state, conditions, is_sorted=state in _SORTED)
        for state in states
        for of_state in (_ANY_READY if state == _READY and not in_archive else [_state(state)])
    ] or [_piece([], conditions)]
    rows = connection.execute(pieces[0] if len(pieces) == 1 else _merged(pieces), values)
    return [seq for (seq,) in rows]


def _piece(of_state: list[str], conditions: list[str], *, is_sorted: bool = False) -> str:
    """The newest jobs of one state, or of all; states are literal, so that indexes can be used."""
    where = " AND ".join([*of_state, *conditions]) or "TRUE"
    if is_sorted or _IN_BATCH in conditions:
        # What is found is sorted; or SQLite would walk the whole table in the order of ``seq``.
        where, seq = where.replace(_BEFORE, f"+{_BEFORE}"), "+seq"
    else:
        seq = "seq"
    return f"SELECT seq FROM job WHERE {where} ORDER BY {seq} DESC LIMIT :limit"


def _state(number: int) -> list[str]:
    # The condition of the index must be there too: SQLite does not conclude it.
    unsuccessful = ["state > 4"] if number > NUMBERS[JobState.COMPLETED] else []
    return [f"state = {number}", *unsuccessful]


def _merged(pieces: list[str]) -> str:
    whole = " UNION ALL ".join(f"SELECT seq FROM ({piece})" for piece in pieces)
    return f"{whole} ORDER BY seq DESC LIMIT :limit"

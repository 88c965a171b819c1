"""Batches: opened, counted, looked for, and forgotten with the last of their jobs."""

from __future__ import annotations

import sqlite3

import orjson

from ...model.batch import BatchRequest, StoredBatch
from ...model.errors import BatchError, UnreadableRecord
from ...model.ids import to_uuid
from ...model.states import JobState
from ..batch_messages import Batches, BatchesFound, InsertBatch
from ..rows import tags_of
from .reading import fetched, shown_id
from .rows import UNREADABLE, WORDS, Row, id_of, require_instants

_NUMBER = "SELECT number FROM batch WHERE id = ?"
_OPEN = "INSERT INTO batch (id, created_at, tenant, tags) VALUES (?, ?, ?, ?)"
_IS_LIVE = "SELECT EXISTS (SELECT 1 FROM job WHERE batch = ? AND batch IS NOT NULL AND state < 4)"
_FIND = (
    "SELECT number, id, created_at, tenant, tags FROM batch WHERE (?1 IS NULL OR number < ?1) "
    "AND (?2 IS NULL OR tenant = ?2) AND (?3 IS NULL OR id = ?3) ORDER BY number DESC LIMIT ?4"
)
_COUNTS = "SELECT state, count(*) FROM job WHERE batch = ? AND batch IS NOT NULL GROUP BY state"
_FORGET = (
    "DELETE FROM batch WHERE created_at < ? "
    "AND NOT EXISTS (SELECT 1 FROM job WHERE batch = number AND batch IS NOT NULL) "
    "AND NOT EXISTS (SELECT 1 FROM dependency WHERE parent = -number)"
)


def refusal_of(connection: sqlite3.Connection, write: InsertBatch) -> BatchError | None:
    """Why this batch cannot be opened; without a reason it is open."""
    batch = write.batch
    row = connection.execute(_NUMBER, (batch.id,)).fetchone()
    if write.is_new:
        if row is not None:
            return BatchError.exists(to_uuid(batch.id))
        tags = orjson.dumps(batch.tags).decode()
        connection.execute(_OPEN, (batch.id, batch.created_at, batch.tenant, tags))
        return None
    if row is None:
        return BatchError.unknown(to_uuid(batch.id))
    if not write.reopen and not connection.execute(_IS_LIVE, row).fetchone()[0]:
        return BatchError.finished(to_uuid(batch.id))
    return None


def find_batches(connection: sqlite3.Connection, query: Batches) -> BatchesFound:
    """Batches, newest first."""
    values = (query.before, query.tenant, query.batch_id, query.limit)
    return BatchesFound([_batch(connection, row) for row in fetched(connection, _FIND, values)])


def _batch(connection: sqlite3.Connection, row: Row) -> StoredBatch:
    number, id_, created_at, tenant, tags = row
    try:
        require_instants(created_at)
        tenant.encode()
        request = BatchRequest(id_of(id_), created_at, tenant, tags_of(orjson.loads(tags)))
        return StoredBatch(request, number, counts_of(connection, number))
    except UNREADABLE as error:
        raise UnreadableRecord("batch", shown_id(id_), repr(error)) from error


def counts_of(connection: sqlite3.Connection, number: int) -> dict[JobState, int]:
    """The jobs of a batch by state: read from one index, so it cannot differ from them."""
    return {WORDS[state]: count for state, count in numbers_of(connection, number).items()}


def numbers_of(connection: sqlite3.Connection, number: int) -> dict[int, int]:
    """The same by the numbers of states, also of those that are none."""
    return dict(connection.execute(_COUNTS, (number,)).fetchall())


def forget_empty(connection: sqlite3.Connection, before: int) -> None:
    """Forget old batches of which no job is left, and for which nobody waits."""
    connection.execute(_FORGET, (before,))

"""Inserts that meet live jobs with the same unique key.

The index ``job_unique`` refuses a second live job with a key, however many processes insert at once.
So an insert is tried first, and who holds the key is looked up only when it was refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from ...model.errors import DuplicateJob, GustoError, UnreadableRecord
from ...model.ids import JobId, to_uuid
from ...model.job import StoredJob
from ...model.uniqueness import Admission, admission, keys_of, stored_requests, taken
from ..batch_messages import InsertBatch
from ..messages import Commit, Committed, Conflict, Insert, Inserted
from .errors import Refused
from .reading import fetched, job_to_move, shown_id
from .rows import WHOLE_JOB

_HOLDER = f"{WHOLE_JOB} WHERE unique_key = ? AND unique_key IS NOT NULL AND state < 4"
_HOLDERS_ID = "SELECT id FROM job WHERE unique_key = ? AND unique_key IS NOT NULL AND state < 4"
_STAGED_KEYS = (
    "SELECT staged.id, unique_key FROM staged JOIN stage ON stage = number "
    "WHERE stage.id = ? AND unique_key IS NOT NULL AND state < 4 ORDER BY position"
)
_VERSION = "SELECT version FROM job WHERE id = ?"
_OTHER = (
    "SELECT holder.unique_key, holder.id FROM job JOIN job AS holder USING (unique_key) "
    "WHERE job.id = ? AND holder.id != job.id "
    "AND holder.unique_key IS NOT NULL AND holder.state < 4"
)


def admission_of(connection: sqlite3.Connection, insert: Insert) -> Admission | DuplicateJob:
    """What becomes of new jobs.

    Raises:
        Refused: one of them meets a job that nobody can name.
    """

    def holder(key: str) -> StoredJob | None:
        try:
            rows = fetched(connection, _HOLDER, (key,))
        except UnicodeError:
            return None
        for row in rows:
            if len(row[12]) != 16:
                raise Refused(UnreadableRecord("job", shown_id(row[12]), "its id is none"))
            return job_to_move(row)
        return None

    return admission(insert.requests, insert.states, holder)


def insert_unique(
    connection: sqlite3.Connection,
    answer: Admission,
    insert: Insert,
    store: Callable[[Insert], None],
    settle: Callable[[Commit], Committed | Conflict | GustoError],
) -> Inserted:
    """Store the jobs that are to be stored, each after the one that makes room for it.

    Raises:
        sqlite3.IntegrityError, UnknownParent: as `insert_jobs`; some may be stored.
    """
    replaced: list[JobId] = []
    awaited: list[JobId] = []
    requests, states = stored_requests(insert.requests, insert.states, answer)
    by = {replacement.by: replacement for replacement in answer.replacements}
    for request, state in zip(requests, states, strict=True):
        replacement = by.get(request.id)
        if replacement is not None:
            (version,) = connection.execute(_VERSION, (replacement.job,)).fetchone()
            settlement = replacement.settlement
            reply = settle(Commit(replacement.job, version, settlement.state, settlement.attempt))
            assert isinstance(reply, Committed)
            replaced.append(replacement.job)
            awaited += reply.awaited
        store(Insert((request,), (state,)))
    return Inserted(answer.existing, tuple(replaced), tuple(awaited))


def taken_key(connection: sqlite3.Connection, write: InsertBatch) -> DuplicateJob | None:
    """The refusal of a batch one of whose jobs cannot have its key."""
    keys = keys_of(write.jobs.requests, write.jobs.states)
    if write.stage is not None:
        staged = connection.execute(_STAGED_KEYS, (write.stage,)).fetchall()
        keys = [*((JobId(job_id), key) for job_id, key in staged), *keys]

    def holder(key: str) -> JobId | None:
        row = connection.execute(_HOLDERS_ID, (key,)).fetchone()
        return None if row is None else JobId(row[0])

    return taken(keys, holder)


def another_holder(connection: sqlite3.Connection, commit: Commit) -> DuplicateJob | None:
    """The refusal of a job that cannot be live again, because another one has its key."""
    row = connection.execute(_OTHER, (commit.job_id,)).fetchone()
    if row is None or commit.state.word.is_ended:
        return None
    return DuplicateJob("unique_key", row[0], to_uuid(JobId(row[1])))

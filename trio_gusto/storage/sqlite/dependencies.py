"""Who waits for whom.

A waiting job has its parents and its condition in its own row, where other states have their result
and reason; the table ``dependency`` is there to look them up by parent, and is empty while nothing
waits. So a group that ends jobs asks once whether there is anything in it, and mostly that is all.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence

import orjson

from ...model.dependencies import Dependent
from ...model.ids import JobId
from ...model.states import State, Waiting
from ..dependency_messages import DependentJobs, Dependents
from .batches import numbers_of
from .errors import UnknownParent
from .reading import fetched, job_to_move, shown_id
from .rows import UNREADABLE, WHOLE_JOB, WORDS, Row, id_of, state_of

logger = logging.getLogger("trio_gusto")

_ADD = (
    "INSERT INTO dependency (parent, child) SELECT seq, ?1 FROM job "
    "WHERE id = ?2 AND seq < ?1 ON CONFLICT DO NOTHING"
)
# A batch is the negative of its number.
_ADD_BATCH = (
    "INSERT INTO dependency (parent, child) SELECT -number, ?1 FROM batch WHERE id = ?2 "
    "ON CONFLICT DO NOTHING"
)
_ADD_CALLBACK = (
    "INSERT INTO dependency (parent, child) SELECT callback.seq, job.seq "
    "FROM job, job AS callback WHERE job.id = ? AND callback.id = ?"
)
_AWAITED = (
    "SELECT json_group_array(hex(id)) FROM (SELECT id FROM job WHERE seq IN "
    "(SELECT parent FROM dependency WHERE parent IN (SELECT value FROM json_each(?1))) "
    "UNION ALL SELECT id FROM batch WHERE number IN "
    "(SELECT batch FROM job WHERE seq IN (SELECT value FROM json_each(?1)) "
    "AND EXISTS (SELECT 1 FROM dependency WHERE parent = -batch)))"
)

# Parents mostly end in their order, so one that is live is found at once from the end.
_NONE_LIVE = (
    "NOT EXISTS (SELECT 1 FROM (SELECT parent FROM dependency AS mine WHERE mine.child = waits.child "
    "ORDER BY mine.parent DESC) AS its JOIN job AS live ON live.seq = its.parent "
    "WHERE live.state < 4 LIMIT 1) "
    "AND NOT EXISTS (SELECT 1 FROM dependency AS mine JOIN job AS live ON live.batch = -mine.parent "
    "WHERE mine.child = waits.child AND mine.parent < 0 "
    "AND live.batch IS NOT NULL AND live.state < 4)"
)
_DECIDABLE = (
    "SELECT waits.child FROM dependency AS waits "
    "JOIN job AS ended ON ended.seq = waits.parent JOIN job AS waiting ON waiting.seq = waits.child "
    "WHERE ended.state > 3 AND waits.child > ?1 AND {} "
    f"AND ((ended.state > 4 AND waiting.reason = 'success') OR {_NONE_LIVE}) "
    "UNION SELECT waits.child FROM dependency AS waits "
    "JOIN job AS waiting ON waiting.seq = waits.child "
    "WHERE waits.parent < 0 AND waits.child > ?1 AND {} AND ((waiting.reason = 'success' "
    "AND EXISTS (SELECT 1 FROM job AS ended WHERE ended.batch = -waits.parent "
    f"AND ended.batch IS NOT NULL AND ended.state > 4)) OR {_NONE_LIVE}) "
    "ORDER BY 1 LIMIT ?2"
)
_OF_ANY = _DECIDABLE.format("TRUE", "TRUE")
_OF_THESE = _DECIDABLE.format(*["waits.parent IN (SELECT value FROM json_each(?3))"] * 2)
_ENDED = (
    "SELECT seq FROM job WHERE id = ?1 AND state > 3 UNION ALL "
    "SELECT -number FROM batch WHERE id = ?1"
)
_BATCHES = (
    "SELECT child, parent FROM dependency "
    "WHERE parent < 0 AND child IN (SELECT value FROM json_each(?))"
)
_COUNTS = (
    "SELECT child, state, count(*) FROM dependency JOIN job ON seq = parent "
    "WHERE child IN (SELECT value FROM json_each(?)) GROUP BY child, state"
)
_CHILDREN = f"{WHOLE_JOB} WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"


class Dependencies:
    """The table, as the writing connection uses it.

    ``bring_back`` puts a job into the main file that is in the archive only, and says whether it was there.
    """

    def __init__(self, connection: sqlite3.Connection, bring_back: Callable[[JobId], bool]) -> None:
        self._connection = connection
        self._bring_back = bring_back
        self._is_empty: bool | None = None
        """``None``: not asked yet in this transaction."""

    def begin(self) -> None:
        """A transaction begins, and others may have written since the last."""
        self._is_empty = None

    def enter(self, first: int, states: Sequence[State]) -> None:
        """Jobs were stored in rows from ``first`` on, and some may have to wait.

        Raises:
            UnknownParent: one of them waits for a job that is not stored before it.
        """
        for child, state in enumerate(states, first):
            if type(state) is not Waiting:
                continue
            self._is_empty = False
            for parent in dict.fromkeys(state.parents):
                if self._add(child, parent) or (
                    self._bring_back(parent) and self._add(child, parent)
                ):
                    continue
                raise UnknownParent(parent)

    def _add(self, child: int, parent: JobId) -> bool:
        """Whether the parent is a job or a batch that is stored before the job in row ``child``."""
        return any(
            self._connection.execute(add, (child, parent)).rowcount for add in (_ADD, _ADD_BATCH)
        )

    def await_callback(self, child: JobId, callback: JobId) -> None:
        """A job has to wait for its callback, which is stored after it; both are."""
        self._is_empty = False
        self._connection.execute(_ADD_CALLBACK, (child, callback))

    def leave(self, child: int) -> None:
        """A job that waited does so no more."""
        self._connection.execute("DELETE FROM dependency WHERE child = ?", (child,))

    def awaited(self, ended: Sequence[int]) -> tuple[JobId, ...]:
        """Those of the jobs in these rows for which others wait."""
        if self._is_empty is None:
            (anything,) = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM dependency)"
            ).fetchone()
            self._is_empty = not anything
        if self._is_empty:
            return ()
        rows = orjson.dumps(ended).decode()
        (ids,) = self._connection.execute(_AWAITED, (rows,)).fetchone()
        return tuple([JobId(bytes.fromhex(id_)) for id_ in orjson.loads(ids)])


def dependents(connection: sqlite3.Connection, query: Dependents) -> DependentJobs:
    """Waiting jobs whose wait may be over."""
    statement, more = _OF_ANY, list[object]()
    if query.parents is not None:
        asked = [
            seq for parent in query.parents for (seq,) in connection.execute(_ENDED, (parent,))
        ]
        statement, more = _OF_THESE, [orjson.dumps(asked).decode()]
    found: list[Dependent] = []
    after, is_more = query.after, True
    while is_more:  # once, unless some cannot be read
        wanted = query.limit - len(found)
        children = [seq for (seq,) in connection.execute(statement, [after, wanted, *more])]
        found += _with_parents(connection, children)
        is_more = len(children) == wanted and len(found) < query.limit
        after = children[-1] if children else after
    return DependentJobs(found)


def _with_parents(connection: sqlite3.Connection, children: Sequence[int]) -> Iterator[Dependent]:
    """These jobs, and the states of what they wait for; without those of which that cannot be read."""
    these = (orjson.dumps(children).decode(),)
    counts: dict[int, dict[int, int]] = {}
    for child, state, count in connection.execute(_COUNTS, these).fetchall():
        counts.setdefault(child, {})[state] = count
    _count_batches(connection, these, counts)
    for row in fetched(connection, _CHILDREN, these):
        dependent = _judged(row, counts[row[0]])
        if dependent is not None:
            yield dependent


def _judged(row: Row, counts: Mapping[int, int]) -> Dependent | None:
    """``None`` if it cannot be read what it waits for, or how that ended; else it moves on, whatever else is wrong."""
    try:
        id_of(row[12])
        state_of(row[3:12])
        parents = {WORDS[state]: count for state, count in counts.items()}
    except UNREADABLE as error:
        logger.warning(
            "job %s waits on: what it waits for cannot be read (%r); `trio-gusto audit` tells more",
            *(shown_id(row[12]), error),
        )
        return None
    return Dependent(job_to_move(row), parents)


def _count_batches(
    connection: sqlite3.Connection, these: Sequence[str], counts: dict[int, dict[int, int]]
) -> None:
    """Add the jobs of batches that are waited for; each batch is counted once."""
    batches: dict[int, dict[int, int]] = {}
    for child, parent in connection.execute(_BATCHES, these).fetchall():
        if parent not in batches:
            batches[parent] = numbers_of(connection, -parent)
        its = counts.setdefault(child, {})
        for state, count in batches[parent].items():
            its[state] = its.get(state, 0) + count

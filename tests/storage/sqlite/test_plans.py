"""The questions that are asked all the time are answered from an index, however large the table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from trio_gusto.model.ids import JobId
from trio_gusto.model.states import JobState
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.finding_messages import Find, Get, Tally
from trio_gusto.storage.lease_messages import CancelRequests, Stranded
from trio_gusto.storage.messages import Query
from trio_gusto.storage.pause_messages import Pauses
from trio_gusto.storage.schedule_messages import FindSchedules
from trio_gusto.storage.sqlite import (
    ageing,
    claiming,
    dependencies,
    fusing,
    heads,
    ready,
    retention,
    runs,
    schedules,
    selection,
    settling,
    walking,
)
from trio_gusto.storage.sqlite.connection import MEMORY
from trio_gusto.storage.sqlite.queries import answer
from trio_gusto.storage.sqlite.schema import migrate


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(MEMORY, isolation_level=None)) as connection:
        migrate(connection, MEMORY)
        yield connection


HOT = {
    "claim": (claiming._TOP, "job_ready"),
    "claim but some": (claiming._TOP_NOT_SKIPPED, "job_ready"),
    "claim from several queues": (claiming._TOP_OF_QUEUES, "job_ready"),
    "oldest ready": (ready._OLDEST[0], "job_ready"),
    "oldest ready in lanes": (ready._OLDEST[1], "job_lane_ready"),
    "queues with work": (ready.READY_QUEUES, "job_ready"),
    "is there work in these queues": (claiming._ANYTHING_IN, "job_ready"),
    "what else is there to claim": (fusing._WHAT_ELSE, "job_ready"),
    "is there work in a lane": (claiming._STANDING, "job_of_lane"),
    "is there work left in a lane": (claiming._HELD, "job_of_lane"),
    "leases in lanes": (selection._LEASED, "COVERING INDEX job_leased (state=? AND lane>?"),
    "queues with work in a lane": (ready.LANE_QUEUES, "job_lane_ready"),
    "first piece of a walk": (walking._IN_TURN[2][0], "job_lane_ready (queue=? AND priority<?"),
    "next piece of a walk": (
        walking._IN_TURN[0][0],
        "job_lane_ready (queue=? AND priority=? AND due=? AND rowid>?",
    ),
    "heads of lanes": (heads._IN_ORDER, "lane_head_order (queue=? AND (rank,due,seq)>(?,?,?)"),
    "what is behind in a lane": (heads._BEHIND_IN_ORDER, "job_of_lane"),
    "heads to be lowered": (heads._NOTE_DUE, "job_lane_scheduled"),
    "claim beside lanes and pauses": (selection._IN_NO_LANE, "job_ready"),
    "priorities in use": (ready.READY_PRIORITIES, "job_ready"),
    "priorities in use in lanes": (ready.LANE_PRIORITIES, "job_lane_ready"),
    "first of a priority": (ageing._FIRST, "job_ready (queue=? AND priority=? AND due<?"),
    "first scheduled": (claiming._FIRST_SCHEDULED, "job_scheduled"),
    "promotion": (claiming._PROMOTE, "job_scheduled"),
    "lease": (claiming._LEASE, "INTEGER PRIMARY KEY"),
    "completion": (settling._complete(4, 4), "INTEGER PRIMARY KEY"),
    "held leases": (settling._HELD, "job_leased"),
    "prune": (retention._OLD, "job_ended"),
    "jobs of a schedule that have not ended": (schedules._UNFINISHED, "job_unfinished"),
    "jobs that are held": (schedules._HELD, "job_held"),
    "jobs that hold one": (schedules._BEHIND, "job_unfinished"),
    "earlier runs": (runs.OF_ALL, "job_ended"),
    "earlier runs of a schedule": (runs.OF_SCHEDULE, "job_of_schedule"),
    "who is awaited": (dependencies._AWAITED, "INTEGER PRIMARY KEY"),
}


QUESTIONS: dict[str, Query] = {
    "how many there are": Tally(),
    "who is stranded": Stranded("node", 1, 10),
    "what runs": Find(10, states=frozenset({JobState.PROCESSING})),
    "whose wait may be over": Dependents(10),
    "whose wait for these may be over": Dependents(10, parents=[JobId(bytes(16))]),
    "which cancellations": CancelRequests("node"),
    "who has not heard of pauses": Pauses(1),
    "which job has this id": Get([JobId(bytes(16))]),
    "which job has this ref_id": Get(ref_id="order-1"),
    "which jobs has this schedule": Find(10, schedule_name="ledger"),
    "which schedules are due": FindSchedules(10, due_by=1),
    **{
        f"which are {state}": Find(10, states=frozenset({state}))
        for state in JobState
        if state is not JobState.COMPLETED
    },
    "which went wrong, from here on": Find(
        10, before=5, states=frozenset({JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED})
    ),
    "which are to come, from here on": Find(
        10, before=5, states=frozenset({JobState.SCHEDULED, JobState.READY})
    ),
    "which of this batch failed": Find(
        10, batch=JobId(bytes(16)), states=frozenset({JobState.FAILED})
    ),
}

WALKS: dict[str, Query] = {
    "the newest": Find(10),
    "the next page": Find(10, before=5),
    "the newest that are completed": Find(10, states=frozenset({JobState.COMPLETED})),
    "those of a tenant": Find(10, tenants=frozenset({"acme"}), tags_all=frozenset({"red"})),
}
"""Found by walking through the table from its newest end, until there are enough."""


@pytest.mark.parametrize("question", WALKS)
def test_nothing_is_sorted_to_find(question: str, connection: sqlite3.Connection) -> None:
    steps = steps_of(WALKS[question], connection)
    assert "USE TEMP B-TREE FOR ORDER BY" not in steps


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED])
def test_a_page_of_those_that_went_wrong_is_read_off_their_index(
    state: JobState, connection: sqlite3.Connection
) -> None:
    steps = steps_of(Find(10, before=5, states=frozenset({state})), connection)
    (found,) = [step for step in steps if "job_unsuccessful" in step]
    assert "(state=? AND rowid<?)" in found
    assert not any("TEMP B-TREE" in step for step in steps)


def steps_of(query: Query, connection: sqlite3.Connection) -> list[str]:
    """How SQLite goes about all that is asked for a query."""
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    answer(connection, query, lambda node: False)
    connection.set_trace_callback(None)
    return [
        row[3]
        for statement in asked
        if statement not in ("BEGIN", "COMMIT")
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    ]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_whole_table_is_never_read_to_tell(
    question: str, connection: sqlite3.Connection
) -> None:
    assert "SCAN job" not in steps_of(QUESTIONS[question], connection)


@pytest.mark.parametrize("name", HOT)
def test_an_index_is_used_for(name: str, connection: sqlite3.Connection) -> None:
    statement, index = HOT[name]
    values = [None] * 64
    steps: list[str] = []
    while not steps:
        try:
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
            steps = [row[3] for row in rows]
        except sqlite3.ProgrammingError:
            values.pop()
    on_jobs = [
        step for step in steps if any(word in step.split() for word in ("job", "best", "lane_head"))
    ]
    assert on_jobs
    assert not any(step in ("SCAN job", "SCAN best", "SCAN lane_head") for step in steps), steps
    assert any(index in step for step in on_jobs), steps

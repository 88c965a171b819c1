"""Jobs in many states are counted right, and no piece is counted twice while what is kept of it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import (
    Cancelled,
    Completed,
    Failed,
    JobState,
    Processing,
    Ready,
    Scheduled,
    State,
    Waiting,
)
from trio_gusto.storage.finding_messages import Tallied
from trio_gusto.storage.messages import Commit, Committed, Insert, Inserted
from trio_gusto.storage.sqlite import counts, pieces
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.counts import Counted, count_jobs
from trio_gusto.storage.sqlite.pieces import ENOUGH, Piece, keep
from trio_gusto.storage.sqlite.rows import WORDS
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract.subject import NOW

STATES: Sequence[State] = (
    Waiting(),
    Ready(NOW),
    Ready(NOW),
    Scheduled(NOW + 1),
    Processing("node", NOW, NOW + 60),
    Completed(NOW, NOW, NOW, "node", "7"),
    Failed(NOW, ""),
)
WITH_LANE = Details(worker="smtp")


@pytest.fixture
def writer() -> Iterator[Writer]:
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        yield Writer(connection)


def job_id(number: int) -> JobId:
    return uuid7(NOW * 1000, number)


def insert(writer: Writer, first: int, states: Sequence[State], **options: Any) -> None:
    requests = [
        JobRequest(job_id(number), "greet", "[]", NOW, 3, **options)
        for number, _ in enumerate(states, first)
    ]
    assert writer.apply([Insert(requests, states)]) == [Inserted()]


def exactly(connection: sqlite3.Connection) -> Mapping[tuple[JobState, str, str], int]:
    statement = "SELECT state, queue, tenant, count(*) FROM job GROUP BY 1, 2, 3"
    return {
        (WORDS[state], queue, tenant): count
        for state, queue, tenant, count in connection.execute(statement)
    }


def count(connection: sqlite3.Connection) -> tuple[Counted, list[str]]:
    """What is found, and the questions that were asked for it."""
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    found = count_jobs(connection)
    connection.set_trace_callback(None)
    return found, asked


def pieces_counted(asked: Sequence[str]) -> int:
    return sum("seq >= " in statement for statement in asked)


@pytest.fixture
def pieces_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "SHIFT", 2)


@pytest.mark.usefixtures("pieces_of_four")
@pytest.mark.parametrize("most", range(len(STATES)))
def test_states_are_told_apart_where_their_pieces_were_counted_before(
    writer: Writer, most: int
) -> None:
    connection = writer.connection
    many = [*STATES, *[STATES[most]] * 7]
    insert(writer, 0, many, queue="a")
    insert(writer, 20, many, queue="a", details=WITH_LANE)
    insert(writer, 40, many, queue="b", tenant="t")
    insert(writer, 60, STATES, queue="a")
    for _ in range(2):
        found, _ = count(connection)
        assert found.tallied.counts == exactly(connection)
        keep(connection, found.pieces)
    found, asked = count(connection)
    assert found.tallied.counts == exactly(connection)
    assert found.pieces == []
    assert pieces_counted(asked) == 1, "the newest, which is growing"


@pytest.mark.usefixtures("pieces_of_four")
def test_a_piece_that_has_changed_is_counted_once_more_and_then_kept(writer: Writer) -> None:
    connection = writer.connection
    insert(writer, 0, [Ready(NOW)] * 12)
    keep(connection, count(connection)[0].pieces)
    for number in (4, 5):
        commit = Commit(job_id(number), 0, Cancelled(NOW, ""), 0)
        assert writer.apply([commit]) == [Committed()]
        found, asked = count(connection)
        assert found.tallied.counts == exactly(connection)
        assert pieces_counted(asked) == 2
        keep(connection, found.pieces)
        found, asked = count(connection)
        assert found.tallied.counts == exactly(connection)
        assert pieces_counted(asked) == 1


@pytest.mark.usefixtures("pieces_of_four")
def test_of_what_is_gone_nothing_is_kept(writer: Writer) -> None:
    connection = writer.connection
    insert(writer, 0, [Failed(NOW, "")] * 12)
    keep(connection, count(connection)[0].pieces)
    assert connection.execute("SELECT number FROM piece").fetchall() == [(0,), (1,), (2,)]
    connection.execute("DELETE FROM job WHERE seq < 8")
    found, _ = count(connection)
    gone = [Piece(number, 0, 0, 0, {}) for number in (0, 1)]
    assert [piece for piece in found.pieces if not piece.counts] == gone
    connection.execute("DELETE FROM job")
    found, _ = count(connection)
    assert found.tallied == Tallied({}, None)
    assert found.pieces == [*gone, Piece(2, 0, 0, 0, {})]
    keep(connection, found.pieces)
    assert connection.execute("SELECT * FROM piece").fetchall() == []
    assert connection.execute("SELECT * FROM piece_sum").fetchall() == []


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([1] * (ENOUGH - 1), []),
        ([2, 1, 2, 1], [2, 2]),
        ([1, 1, 1, 1, 1], [3, 2]),
        ([3, 4, 2, 2], [1, 1, 2]),
    ],
)
def test_it_is_written_in_parts_of_so_many_counts(
    sizes: Sequence[int], parts: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "SLICE", 3)
    made = [
        Piece(number, 0, 0, 0, {(4, "q", str(tenant)): 1 for tenant in range(size)})
        for number, size in enumerate(sizes)
    ]
    slices = list(Counted(Tallied({}, None), made).slices())
    assert [len(part) for part in slices] == parts


FEW, MANY, MORE = 3, 1200, 1300


@pytest.mark.parametrize(
    ("rows", "most", "limits"),
    [
        ({1: 1, 2: FEW, 3: 2}, 2, [1000] * 5),
        ({0: MANY, 3: FEW}, 0, [1000] * 5),
        ({1: MANY, 2: MORE, 3: FEW}, 2, [1000] * 5 + [4000] * 2),
        ({0: MORE, 2: MANY}, 0, [1000] * 5 + [4000] * 2),
    ],
    ids=["few", "many of one", "more than of another", "more of the first"],
)
def test_the_most_frequent_state_is_found_without_counting_all_of_it(
    writer: Writer, rows: Mapping[int, int], most: int, limits: Sequence[int]
) -> None:
    connection = writer.connection
    insert(writer, 0, [Ready(NOW)])
    for state, many in rows.items():
        connection.execute(
            "WITH RECURSIVE upto(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM upto WHERE n < ?1) "
            "INSERT INTO job (id, args, created_at, due, handler, max_attempts, queue, priority, "
            "tenant, state) SELECT randomblob(16), '[]', 0, 0, 1, 3, 'a', 0, '', ?2 FROM upto",
            (many, state),
        )
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    assert counts._most_frequent(connection) == most
    assert [int(statement.split()[-1].strip(")")) for statement in asked] == limits

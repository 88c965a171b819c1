"""Ready jobs in lanes come in claim order, in few questions, and what is closed is stepped over."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from trio_gusto.model.job import Details, JobRequest
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite import walking
from trio_gusto.storage.sqlite.ready import QUEUE, SEQ, Candidate
from trio_gusto.storage.sqlite.walking import walk, walk_lines
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "FIRST", 4)
    monkeypatch.setattr(walking, "MOST", 8)
    monkeypatch.setattr(walking, "FEW", 1)


def claim(limit: int = 99, depth: int = 1) -> ClaimDue:
    return ClaimDue("node", NOW + 9, NOW + LEASE, limit, limit, depth=depth)


async def enqueue(subject: Subject, workers: str, **changes: Any) -> Sequence[JobRequest]:
    """A job for each of these workers, whose names are letters."""
    requests = [subject.request(details=Details(worker=name), **changes) for name in workers]
    await subject.insert(*requests)
    return requests


def lanes(workers: str) -> set[str]:
    return {f"worker {name}" for name in workers}


def seqs(lines: Collection[Sequence[Candidate]]) -> list[list[int]]:
    return [[candidate[SEQ] for candidate in line] for line in lines]


class Asked:
    """What a connection was asked since this was made: by pieces, and by heads of lanes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._statements: list[str] = []
        connection.set_trace_callback(self._statements.append)

    @property
    def pieces(self) -> int:
        return sum("job_lane_ready" in statement for statement in self._statements)

    @property
    def is_by_heads(self) -> bool:
        return any("lane_head" in statement for statement in self._statements)


async def test_many_jobs_in_lanes_come_in_claim_order_piece_by_piece(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue(subject, "abcdefg", priority=1)
    await enqueue(subject, "hijklmnop", priority=5, created_at=NOW + 3)
    await enqueue(subject, "qrstuv", priority=5, created_at=NOW + 2)
    await enqueue(subject, "wx", priority=3)
    found = [*walk(connection, claim(1), "default", None, set())]
    first, last = [17, 18, 19, 20, 21, 22], list(range(8, 17))
    wanted = [*first, *last, 23, 24, *range(1, 8)]
    assert [candidate[SEQ] for candidate in found] == wanted
    (other,) = await enqueue(subject, "y", queue="mail")
    (found_there,) = walk(connection, claim(), "mail", None, set())
    assert found_there[QUEUE] == other.queue


async def test_at_one_priority_nothing_else_is_found_and_nothing_stepped_over(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue(subject, "a", priority=9)
    await enqueue(subject, "aaaaaaab", priority=5)
    await enqueue(subject, "c", priority=1)
    asked = Asked(connection)
    found = [*walk(connection, claim(), "default", None, lanes("a"), 5)]
    assert [candidate[SEQ] for candidate in found] == [9]
    assert not asked.is_by_heads


async def test_jobs_in_a_row_that_are_alike_come_together(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue(subject, "aab")
    await enqueue(subject, "a", max_attempts=9)
    await enqueue(subject, "bb")
    lines = [*walk_lines(connection, claim(depth=3), "default", None, set())]
    assert seqs(lines) == [[1, 2], [3], [4], [5, 6]]


async def test_what_is_in_a_lane_that_closes_meanwhile_is_left_out(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue(subject, "aabab")
    closed = set[str]()
    found: list[int] = []
    for candidate in walk(connection, claim(), "default", None, closed):
        found.append(candidate[SEQ])
        closed |= lanes("a")
    assert found == [1, 3, 5]
    assert seqs([*walk_lines(connection, claim(), "default", None, lanes("b"))]) == [[1, 2], [4]]


# --- how it goes on -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "closed", "by_heads"),
    [
        ("abcde", "", False),
        ("abxxe", "x", False),
        ("axxxe", "x", True),  # but one of the first ones is closed
        ("xxxxe", "x", True),
        ("xxax", "x", True),
        ("xxx", "x", False),  # there are no more
        ("aabbe", "", False),
        ("aaaae", "", False),
        ("aaxxe", "x", False),
        ("xxaae", "x", False),
    ],
)
async def test_where_few_of_the_first_lanes_are_open_it_goes_on_by_their_heads(
    subject: Subject, connection: sqlite3.Connection, workers: str, closed: str, by_heads: bool
) -> None:
    await enqueue(subject, workers)
    asked = Asked(connection)
    found = [*walk(connection, claim(), "default", None, lanes(closed))]
    wanted = [number for number, name in enumerate(workers, 1) if name not in closed]
    assert [candidate[SEQ] for candidate in found] == wanted
    assert asked.is_by_heads == by_heads


async def test_only_the_end_of_a_large_piece_tells_how_to_go_on(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    for workers, by_heads in (("xxxxabcd", False), ("abcdxxxx", True)):
        await enqueue(subject, f"{workers}efgh", queue=workers)
        closed = set[str]()
        asked = Asked(connection)
        lines = walk_lines(connection, claim(8, depth=2), workers, None, closed)
        next(lines)
        closed |= lanes("x")
        assert len([*lines]) > 3
        assert asked.is_by_heads == by_heads


# --- how much is looked at ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "depth", "closed", "pieces"),
    [
        (7, 1, "", 1 + 3),
        (7, 2, "", 1),
        (7, 3, "", 1),
        (7, 2, "z", 1 + 3),
        (2, 2, "", 1 + 3),  # never less than the first few
    ],
)
async def test_what_may_stand_in_line_is_looked_at_at_once(
    subject: Subject,
    connection: sqlite3.Connection,
    limit: int,
    depth: int,
    closed: str,
    pieces: int,
) -> None:
    await enqueue(subject, "abcdef")
    asked = Asked(connection)
    found = [*walk(connection, claim(limit, depth), "default", None, lanes(closed))]
    assert (len(found), asked.pieces) == (6, pieces)


@pytest.mark.parametrize(("limit", "pieces"), [(5, 6), (10, 5), (99, 5)])
async def test_the_next_pieces_are_as_large_as_what_is_wanted_yet(
    subject: Subject, connection: sqlite3.Connection, limit: int, pieces: int
) -> None:
    await enqueue(subject, "abcdefghijklm")
    asked = Asked(connection)
    found = [*walk(connection, claim(limit), "default", None, set())]
    assert len(found) == 13
    assert asked.pieces == pieces

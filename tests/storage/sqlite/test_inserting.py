"""Many jobs are stored in few statements, each of them as if it were stored alone."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.storage.sqlite.moving import opened, rows
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Condition, Processing, Ready, State, Waiting
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.sqlite.inserting import NewJob, insert_jobs, new_jobs
from trio_gusto.storage.sqlite.names import Names
from trio_gusto.storage.sqlite.queries import get_jobs
from trio_gusto.testing.storage_contract.subject import LEASE, NOW

LEASED = Processing("other", NOW + 5, NOW + LEASE)


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    async with opened(tmp_path, archived=False):
        pass
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        yield connection


def job(number: int, **changes: Any) -> NewJob:
    """The one with this number, due at an instant of its own."""
    made = JobRequest(uuid7(NOW * 1000, number), "hello", f"[{number}]", NOW + number, 3)
    return attrs.evolve(made, **changes), Ready(NOW + 100 + number)


def alike() -> Sequence[NewJob]:
    return [job(number, queue="a", priority=7, tenant="x", timeout=9) for number in range(3)]


def all_different() -> Sequence[NewJob]:
    return [
        job(0, name="bye"),
        job(1, max_attempts=1),
        job(2, timeout=9, job_type="Greeter"),
        job(3, queue="b", method_name="hello"),
        job(4, priority=5),
        job(5, tenant="x"),
    ]


def with_more_to_them() -> Sequence[NewJob]:
    return [
        job(0, expire_on=NOW + 900),
        job(1, execute_after=NOW + 2),
        job(2, details=Details(tags=("red",))),
    ]


def mixed() -> Sequence[NewJob]:
    more = [job(number, details=Details(ref_id=str(number))) for number in (11, 12)]
    return [*alike()[:2], more[0], job(9), more[1]]


KINDS = pytest.mark.parametrize(
    ("make", "count"), [(alike, 2), (all_different, 2), (with_more_to_them, 2), (mixed, 4)]
)


@KINDS
@pytest.mark.parametrize("lease", [None, LEASED], ids=["ready", "claimed"])
async def test_jobs_are_kept_as_they_were_given(
    connection: sqlite3.Connection,
    make: Callable[[], Sequence[NewJob]],
    count: int,
    lease: Processing | None,
) -> None:
    jobs = make()
    names = Names(connection)
    insert_jobs(connection, names, [job(99)])
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert insert_jobs(connection, names, jobs, lease) == len(jobs) + 1
    assert sum("INTO job " in statement for statement in statements) == count
    found = get_jobs(connection, Get([request.id for request, _ in jobs]))
    assert [one.request for one in found] == [request for request, _ in jobs]
    assert [one.sequence for one in found] == list(range(2, len(jobs) + 2))
    spent = 0 if lease is None else 1
    assert {(one.attempt, one.version) for one in found} == {(spent, spent)}
    assert [one.state for one in found] == [lease or state for _, state in jobs]
    due = connection.execute("SELECT due FROM job WHERE seq > 1 ORDER BY seq").fetchall()
    assert [at for (at,) in due] == [state.due for _, state in jobs if isinstance(state, Ready)]


async def test_nothing_to_store_is_stored_in_no_statement(connection: sqlite3.Connection) -> None:
    assert insert_jobs(connection, Names(connection), []) == 0


def test_the_jobs_of_several_messages_stay_in_order() -> None:
    first, second, third = (job(number) for number in range(3))
    inserts = [
        Insert([first[0], second[0]], [first[1], second[1]]),
        Insert([], []),
        Insert([third[0]], [third[1]]),
    ]
    assert new_jobs(inserts) == [first, second, third]


async def test_jobs_in_lanes_are_known_by_their_heads(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        in_lanes = [subject.request(details=Details(worker=name)) for name in ("a", "b", "c")]
        tagged = subject.request(details=Details(tags=("red",)))
        requests = [subject.request(), *in_lanes[:2], tagged, subject.request(), in_lanes[2]]
        await subject.insert(*requests)
    heads = rows(tmp_path / "jobs.db", "SELECT lane, seq FROM lane_head ORDER BY lane")
    assert heads == [("worker a", 2), ("worker b", 3), ("worker c", 6)]


async def test_jobs_that_wait_are_linked_to_what_they_wait_for(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        first, second = subject.request(), subject.request()
        lonely, waiting, following = (
            subject.request(details=Details(parents=parents))
            for parents in ((), (first.id, second.id), (second.id,))
        )
        states: list[State] = [
            Ready(NOW),
            Ready(NOW),
            Waiting((), Condition.FINISH),
            Waiting((first.id, second.id), Condition.FINISH),
            Waiting((second.id,), Condition.FINISH),
        ]
        await subject.insert(first, second, lonely, waiting, following, states=states)
    links = rows(tmp_path / "jobs.db", "SELECT child, parent FROM dependency ORDER BY 1, 2")
    assert links == [(4, 1), (4, 2), (5, 2)]

"""What is wrong with no message is done without protection, and the writer remembers that it wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.ids import uuid7
from trio_gusto.model.job import JobRequest
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Completions, Inserted, Write
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract.inserting import insertion
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, successes

CLAIM = ClaimDue("node", NOW, NOW + LEASE, 9, 9)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(open_writer(Location(MEMORY, "NORMAL", 1.0), wait=1.0)) as connection:
        yield connection


def request(number: int) -> JobRequest:
    return JobRequest(uuid7(NOW * 1000, number), "say_hello", "[[],{}]", NOW, 3)


def test_only_a_group_in_which_something_is_refused_is_done_step_by_step(
    connection: sqlite3.Connection,
) -> None:
    writer, asked = Writer(connection), list[str]()
    connection.set_trace_callback(asked.append)
    assert writer.apply([insertion(request(1)), insertion(request(2))]) == [Inserted()] * 2
    assert not any(statement.startswith("SAVEPOINT") for statement in asked)
    assert sum(statement.startswith("INSERT INTO job ") for statement in asked) == 1
    new, known = writer.apply([insertion(request(3)), insertion(request(1))])
    assert (new, type(known)) == (Inserted(), DuplicateJob)
    assert any(statement.startswith("SAVEPOINT") for statement in asked)


def test_it_remembers_that_it_wrote_and_finding_nothing_is_no_writing(
    connection: sqlite3.Connection,
) -> None:
    writer = Writer(connection)
    assert writer.wrote is False
    assert writer.apply([CLAIM, CLAIM]) == [ClaimReply([], False, None)] * 2
    assert writer.wrote is False
    writer.apply([insertion(request(1))])
    assert writer.wrote is True


def test_where_inserts_and_successes_alternate_each_has_its_reply(
    connection: sqlite3.Connection,
) -> None:
    writer = Writer(connection)
    _, claimed = writer.apply([insertion(request(0), request(1), request(2)), CLAIM])
    assert isinstance(claimed, ClaimReply)
    before, first, second = claimed.jobs
    pair: list[Write] = [insertion(request(5)), successes(before)]
    assert writer.apply(pair) == [Inserted(), Completions()]
    group: list[Write] = [
        insertion(request(3)),
        successes(first),
        insertion(request(4)),
        successes(second),
    ]
    assert writer.apply(group) == [Inserted(), Completions(), Inserted(), Completions()]

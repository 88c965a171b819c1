"""Handlers, nodes and batches have numbers, which are asked for once, and again after a rollback."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import opened
from trio_gusto.model.ids import uuid7
from trio_gusto.storage.sqlite.names import Names

ONE, OTHER = ("one", "jobs", "run"), ("one", "jobs", "run_again")


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[sqlite3.Connection]:
    async with opened(tmp_path, archived=False):
        pass
    with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM node")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")


async def test_a_handler_has_a_number_and_is_found_by_it(connection: sqlite3.Connection) -> None:
    names, others = Names(connection), Names(connection)
    one, other = names.handler_number(ONE), others.handler_number(OTHER)
    assert one != other
    assert (names.handler(one), names.handler(other)) == (ONE, OTHER)
    later = others.handler_number(("later", "", ""))
    assert names.handler(later) == ("later", "", "")
    assert [names.handler_number(each) for each in (ONE, OTHER)] == [one, other]


async def test_a_node_has_a_number(connection: sqlite3.Connection) -> None:
    one, other = Names(connection).node_number("one"), Names(connection).node_number("other")
    assert one != other
    assert Names(connection).node_number("one") == one
    found = connection.execute("SELECT node, node_name FROM node").fetchall()
    assert found == [(one, "one"), (other, "other")]


async def test_what_was_asked_for_once_is_remembered(connection: sqlite3.Connection) -> None:
    batches = [uuid7(1, number) for number in range(2)]
    for number, batch in enumerate(batches):
        connection.execute("INSERT INTO batch VALUES (?, ?, 0, '', '')", (7 + number, batch))
    names = Names(connection)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)

    def ask() -> tuple[object, ...]:
        """What is found, and in how many statements."""
        statements.clear()
        handler = names.handler_number(ONE)
        found = (handler, names.handler(handler), names.node_number("one"))
        return *found, names.batch_number(batches[1]), len(statements)

    handler, *_ = first = ask()
    assert first == (handler, ONE, first[2], 8, 6)
    assert ask() == (*first[:-1], 0)
    names.forget()
    assert ask() == first
    assert [names.batch_number(batch) for batch in batches] == [7, 8]


async def test_a_number_that_was_rolled_back_is_given_to_somebody_else(
    connection: sqlite3.Connection,
) -> None:
    names = Names(connection)
    rolled_back = names.handler_number(ONE), names.node_number("one")
    assert names.handler(rolled_back[0]) == ONE
    connection.execute("ROLLBACK")
    names.forget()
    connection.execute("BEGIN")
    again = names.handler_number(OTHER), names.node_number("other")
    assert again == rolled_back
    assert names.handler(again[0]) == OTHER

"""While nodes wait for a change, their storage looks for others' commits; when none waits, it looks no more."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.storage.finding_messages import Tallied
from trio_gusto.storage.sqlite.connection import MEMORY, Location
from trio_gusto.storage.sqlite.counts import Counted
from trio_gusto.storage.sqlite.pieces import ENOUGH, Piece
from trio_gusto.storage.sqlite.session import Session
from trio_gusto.storage.sqlite.writes import Writer

both = pytest.mark.parametrize("inline", [False, True], ids=["in a thread", "inline"])


@pytest.fixture(params=[False, True], ids=["in a thread", "inline"])
async def session(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Session]:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.0)
    session = Session(location, inline=request.param, interval=3600)
    await session.open()
    for node in ("one", "two"):
        session.bells.hang(node)
    yield session
    await session.close()


async def test_it_looks_for_as_many_as_wait(session: Session) -> None:
    wanted_by = []
    async with trio.open_nursery() as nursery:
        for node in ("one", "two"):
            nursery.start_soon(session.changed, node)
            await wait_all_tasks_blocked()
            wanted_by.append(session.watch.wanted_by)
        session.bells.ring()
    wanted_by.append(session.watch.wanted_by)
    assert wanted_by == [1, 2, 0]


async def test_for_one_who_waits_no_more_it_does_not_look_any_more(session: Session) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.changed, "one")
        async with trio.open_nursery() as given_up:
            given_up.start_soon(session.changed, "two")
            await wait_all_tasks_blocked()
            given_up.cancel_scope.cancel()
        left = session.watch.wanted_by
        nursery.cancel_scope.cancel()
    assert (left, session.watch.wanted_by) == (1, 0)


async def test_between_two_writes_it_does_what_its_watch_wants(tmp_path: Path) -> None:
    session = Session(Location(str(tmp_path / "jobs.db"), "NORMAL", 1.0), inline=True, interval=60)
    assert session._between(True) is None  # it is not open yet
    await session.open()
    assert session._between(True) is None
    session.watch.wanted_by = 1
    assert session._between(True) == pytest.approx(60)
    session.watch.wanted_by = 0
    for idle, wait in ((True, None), (False, pytest.approx(1))):
        session.writer.wrote = True
        assert session._between(idle) == wait, (
            "the log is moved when nobody has written for a while"
        )
    await session.close()


@both
async def test_without_a_file_each_node_has_a_bell_of_its_own(inline: bool) -> None:
    session = Session(Location(MEMORY, "NORMAL", 1.0), inline=inline, interval=3600)
    await session.open()
    for node in ("one", "two"):
        session.bells.hang(node)
    session.bells.ring()
    with trio.fail_after(5):
        await session.changed("one")
        await session.changed("two")
    with trio.move_on_after(0) as scope:
        await session.changed("one")
    assert scope.cancelled_caught
    await session.close()


def pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


async def test_its_threads_are_known_by_their_names_and_wait_for_locks(tmp_path: Path) -> None:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.5, archive=True)
    session = Session(location, inline=False, interval=3600)
    await session.open()
    threads = [session.writing, session._reading, session._copying]
    names = [(await each.run(threading.current_thread)).name for each in threads]
    assert names == ["gusto-sqlite-writer", "gusto-sqlite-reader", "gusto-sqlite-archive"]
    assert (
        await session.writing.run(lambda: pragma(session.writer.connection, "busy_timeout")) == 1500
    )
    assert session._months is not None
    with session._months.opened("2026-11") as month:
        assert pragma(month, "busy_timeout") == 250
    await session.close()


async def test_the_event_loop_is_held_up_by_locks_for_a_moment_only(tmp_path: Path) -> None:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.5)
    session = Session(location, inline=True, interval=3600)
    await session.open()
    assert pragma(session.writer.connection, "busy_timeout") == 20
    await session.close()


async def test_what_was_counted_is_not_kept_any_more_when_it_closes(tmp_path: Path) -> None:
    location = Location(str(tmp_path / "jobs.db"), "NORMAL", 1.0)
    session = Session(location, inline=True, interval=3600)
    await session.open()
    kept: list[int] = []

    class Keeping:
        def keep_counts(self, pieces: Sequence[Piece]) -> None:
            kept.extend(piece.number for piece in pieces)

    counted = Counted(Tallied({}, None), [Piece(n, 0, 0, 0, {}) for n in range(ENOUGH)])
    opened, session._writer = session._writer, cast(Writer, Keeping())
    await session._keep(counted)
    assert kept == [*range(ENOUGH)]
    session._writer = opened
    await session.close()
    session._writer = cast(Writer, Keeping())
    await session._keep(counted)
    assert kept == [*range(ENOUGH)]

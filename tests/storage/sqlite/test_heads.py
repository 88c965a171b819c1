"""By their heads, lanes are stepped through in claim order; heads that are out of date are put right."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.storage.sqlite.moving import opened, rows
from trio_gusto.model.job import Details
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite.heads import Heads
from trio_gusto.testing.storage_contract.subject import LEASE, NOW

HEADS = "SELECT lane, due, seq FROM lane_head ORDER BY lane"
FIRST = [-(2**63)] * 3


async def fill(path: Path, lanes: Iterable[str], room: int = 1) -> None:
    """Jobs of the default queue in these lanes, one behind the other; their sequences count from 1."""
    async with opened(path, archived=False) as subject:
        details = [Details(concurrency_key=lane, concurrency_limit=room) for lane in lanes]
        await subject.insert(*(subject.request(details=each) for each in details))


@contextmanager
def writing(path: Path) -> Generator[sqlite3.Connection]:
    with closing(sqlite3.connect(path / "jobs.db", isolation_level=None)) as connection:
        yield connection


def heads(connection: sqlite3.Connection, limit: int = 9, depth: int = 1) -> Heads:
    claim = ClaimDue("node", NOW, NOW + LEASE, limit, limit, depth=depth)
    return Heads(connection, claim, "default", None)


def walked(
    path: Path,
    after: Sequence[int] = FIRST,
    closed: Collection[str] = (),
    *,
    limit: int = 9,
    depth: int = 1,
) -> list[int]:
    """The sequences of all candidates."""
    with writing(path) as connection:
        found = heads(connection, limit, depth).candidates([*after], closed)
        return [candidate[2] for candidate in found]


def outdate(path: Path, lane: str) -> None:
    """Have a lane seem to begin before all others."""
    with writing(path) as connection:
        connection.execute("UPDATE lane_head SET due = 7, seq = 0 WHERE lane = ?", (f"key {lane}",))


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_a_lane_that_begins_later_than_its_head_says_comes_once(
    tmp_path: Path, limit: int
) -> None:
    await fill(tmp_path, "abc")
    outdate(tmp_path, "c")
    assert walked(tmp_path, limit=limit) == [1, 2, 3]


@pytest.mark.parametrize(("depth", "wanted"), [(1, [1, 2]), (2, [1, 2, 3, 4])])
async def test_of_a_lane_for_one_at_a_time_others_are_looked_up_for_those_who_take_some_in_a_row(
    tmp_path: Path, depth: int, wanted: list[int]
) -> None:
    await fill(tmp_path, "abab")
    assert walked(tmp_path, depth=depth) == wanted


async def test_a_lane_for_many_at_once_is_gone_through_in_few_steps(tmp_path: Path) -> None:
    await fill(tmp_path, "a" * 12, room=12)
    statements: list[str] = []
    with writing(tmp_path) as connection:
        connection.set_trace_callback(statements.append)
        found = [candidate[2] for candidate in heads(connection).candidates(FIRST, ())]
    assert found == list(range(1, 13))
    assert len(statements) == 4  # the head, eight behind it, the rest, and that there are no more


async def test_behind_a_job_for_one_at_a_time_one_for_some_is_looked_up_too(tmp_path: Path) -> None:
    async with opened(tmp_path, archived=False) as subject:
        for room in (1, 3, 1, 3):
            await subject.enqueue(details=Details(concurrency_key="a", concurrency_limit=room))
        await subject.enqueue(details=Details(concurrency_key="b"))
    assert walked(tmp_path) == [1, 2, 3, 4, 5]


async def test_behind_a_job_for_one_at_a_time_what_has_expired_hides_no_other(
    tmp_path: Path,
) -> None:
    alone, among_some = (Details(concurrency_key="a", concurrency_limit=room) for room in (1, 3))
    async with opened(tmp_path, archived=False) as subject:
        await subject.enqueue(details=alone)
        await subject.enqueue(details=alone, expire_on=NOW)
        await subject.enqueue(details=among_some)
        await subject.enqueue(details=among_some)
    assert walked(tmp_path) == [1, 3, 4]


async def test_what_was_come_to_before_does_not_come_again(tmp_path: Path) -> None:
    await fill(tmp_path, "aab", room=2)
    assert walked(tmp_path, [0, NOW, 1]) == [2, 3]
    assert walked(tmp_path, [0, NOW, 2]) == [3]
    assert walked(tmp_path, [0, NOW, 3]) == []


async def test_a_lane_that_is_closed_meanwhile_is_left_out_and_those_behind_it_are_not(
    tmp_path: Path,
) -> None:
    await fill(tmp_path, "abc")
    closed: set[str] = set()
    found: list[int] = []
    with writing(tmp_path) as connection:
        for candidate in heads(connection).candidates(FIRST, closed):
            found.append(candidate[2])
            closed.add("key b")
    assert found == [1, 3]


async def test_lanes_that_are_closed_from_the_first_cost_nothing(tmp_path: Path) -> None:
    await fill(tmp_path, "ab")
    outdate(tmp_path, "b")
    assert walked(tmp_path, closed=["key b"], limit=1) == [1]
    assert rows(tmp_path / "jobs.db", HEADS) == [("key a", NOW, 1), ("key b", 7, 0)]


async def test_a_head_that_is_out_of_date_is_raised_to_where_its_lane_begins(
    tmp_path: Path,
) -> None:
    await fill(tmp_path, "abc")
    outdate(tmp_path, "c")
    assert walked(tmp_path, limit=2) == [1, 2, 3]
    right = [("key a", NOW, 1), ("key b", NOW, 2), ("key c", NOW, 3)]
    assert rows(tmp_path / "jobs.db", HEADS) == right


async def test_a_head_that_is_out_of_date_among_what_is_looked_at_stays(tmp_path: Path) -> None:
    await fill(tmp_path, "abc")
    outdate(tmp_path, "b")
    assert walked(tmp_path) == [1, 2, 3]
    left = [("key a", NOW, 1), ("key b", 7, 0), ("key c", NOW, 3)]
    assert rows(tmp_path / "jobs.db", HEADS) == left


@pytest.mark.parametrize(("limit", "looked_at"), [(1, 1), (5, 5), (100, 64)])
async def test_heads_are_looked_at_as_far_as_jobs_are_wanted_but_not_too_many_at_once(
    tmp_path: Path, limit: int, looked_at: int
) -> None:
    await fill(tmp_path, [str(number) for number in range(1, looked_at + 2)])
    outdate(tmp_path, str(looked_at))
    with writing(tmp_path) as connection:
        assert next(heads(connection, limit).candidates(FIRST, ()))[2] == 1
        raised = connection.execute(f"{HEADS.partition('ORDER')[0]} WHERE due = 7").fetchall()
    assert raised == []  # behind all that was looked at, which it is not among more


async def test_the_head_of_a_lane_in_which_nothing_is_ready_is_dropped(tmp_path: Path) -> None:
    await fill(tmp_path, "abc")
    with writing(tmp_path) as connection:
        connection.execute("DELETE FROM job WHERE lane = 'key b'")
    assert walked(tmp_path) == [1, 3]
    left = [("key a", NOW, 1), ("key c", NOW, 3)]
    assert rows(tmp_path / "jobs.db", HEADS) == left

"""The ready jobs of tenants are found in order, and none is looked for where plain order shows it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import pytest

from trio_gusto.model.job import JobRequest
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.storage.sqlite import tenants
from trio_gusto.storage.sqlite.ready import SEQ, Row
from trio_gusto.storage.sqlite.tenants import ByTenant, Stream, make_index
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW

P = "somebody who is paused"
CLAIM = ClaimDue("node", NOW, NOW + LEASE, 99, 99)


@pytest.fixture
def connection(connection: sqlite3.Connection) -> sqlite3.Connection:
    make_index(connection)
    return connection


class Asked:
    """What a connection was asked since this was made."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._statements: list[str] = []
        connection.set_trace_callback(self._statements.append)

    def __len__(self) -> int:
        return len(self._statements)


async def enqueue(subject: Subject, *tenants: str, **changes: Any) -> list[JobRequest]:
    requests = [subject.request(tenant=tenant, **changes) for tenant in tenants]
    await subject.insert(*requests)
    return requests


async def enqueue_with_pause(subject: Subject, *tenants: str, **changes: Any) -> list[JobRequest]:
    await subject.tell(PutPause(None, P, "", NOW))
    return await enqueue(subject, *tenants, **changes)


def seqs(rows: Sequence[Row]) -> list[int]:
    return [row[SEQ] for row in rows]


def first_of(by_tenant: ByTenant, limit: int, *queues: str) -> list[int]:
    return seqs([*by_tenant.in_order(queues or ("default",), limit)])


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how many of the first jobs are looked at first."""
    return lambda piece: monkeypatch.setattr(tenants, "PIECE", piece)


# --- one tenant -----------------------------------------------------------------------------------


def stream(connection: sqlite3.Connection, size: int, tenant: str = "a") -> Stream:
    (found,) = ByTenant(connection, CLAIM).streams("default", 0, [tenant], size - 2)
    return found


@pytest.mark.parametrize("count", range(9))
async def test_the_jobs_of_a_tenant_come_in_order_however_few_are_read_at_a_time(
    subject: Subject, connection: sqlite3.Connection, count: int
) -> None:
    await enqueue(subject, *"a" * count, "b")
    found = stream(connection, 2)
    assert seqs([*islice(found, 20)]) == list(range(1, count + 1))
    assert found.first() is None


async def test_a_tenant_whose_jobs_are_all_known_is_not_asked_for_more(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue(subject, "a", "b")
    few, none = stream(connection, 2), stream(connection, 2, "c")
    asked = Asked(connection)
    assert (len([*few]), len([*none])) == (1, 0)
    assert len(asked) == 0


@pytest.mark.parametrize(("count", "questions"), [(3, 1), (4, 2)])
async def test_a_tenant_who_has_no_more_is_not_asked_again(
    subject: Subject, connection: sqlite3.Connection, count: int, questions: int
) -> None:
    await enqueue(subject, *"a" * count)
    found = stream(connection, 2)
    asked = Asked(connection)
    assert len([*found]) == count
    assert found.first() is None
    assert len(asked) == questions


# --- all but those who are paused -----------------------------------------------------------------


async def test_behind_many_jobs_of_a_paused_tenant_those_of_others_come_in_order(
    subject: Subject, connection: sqlite3.Connection, look: Callable[[int], None]
) -> None:
    look(2)
    await enqueue_with_pause(subject, *[P] * 9, *"abacb", P, priority=5)
    await enqueue(subject, P, *"cab")
    await enqueue(subject, "a", queue="mail", priority=9)
    wanted = [10, 11, 12, 13, 14, 17, 18, 19]
    for limit in range(9):
        assert first_of(ByTenant(connection, CLAIM), limit) == wanted[:limit]


async def test_where_only_some_of_the_first_are_paused_their_turn_is_not_missed(
    subject: Subject, connection: sqlite3.Connection, look: Callable[[int], None]
) -> None:
    look(2)
    await enqueue_with_pause(subject, "a", *[P] * 9, "b", "a")
    for limit, wanted in ((1, [1]), (2, [1, 11]), (3, [1, 11, 12]), (4, [1, 11, 12])):
        assert first_of(ByTenant(connection, CLAIM), limit) == wanted


@pytest.mark.parametrize("ahead", [0, 9])
async def test_what_was_taken_for_another_share_does_not_come_again(
    subject: Subject, connection: sqlite3.Connection, look: Callable[[int], None], ahead: int
) -> None:
    look(2)
    await enqueue_with_pause(subject, *[P] * ahead, *"aabbab")
    by_tenant = ByTenant(connection, CLAIM)
    jobs = [ahead + number for number in range(1, 7)]
    assert first_of(by_tenant, 4) == jobs[:4]
    by_tenant.taken.update(jobs[:4])
    assert first_of(by_tenant, 1) == jobs[4:5]
    assert first_of(by_tenant, 2) == jobs[4:]


@pytest.mark.parametrize("ahead", [0, 9])
async def test_what_was_taken_out_of_another_queue_is_no_reason_to_find_more(
    subject: Subject, connection: sqlite3.Connection, look: Callable[[int], None], ahead: int
) -> None:
    look(2)
    await enqueue_with_pause(subject, *[P] * ahead, *"abab")
    await enqueue(subject, "a", "a", queue="mail")
    by_tenant = ByTenant(connection, CLAIM)
    by_tenant.taken.update(first_of(by_tenant, 2, "mail"))
    assert first_of(by_tenant, 2) == [ahead + 1, ahead + 2]


async def test_the_first_of_several_queues_come_in_one_order(
    subject: Subject, connection: sqlite3.Connection
) -> None:
    await enqueue_with_pause(subject, P, "a")
    await enqueue(subject, "b", queue="mail", priority=5)
    await enqueue(subject, "b")
    await enqueue(subject, P, "a", queue="mail")
    assert first_of(ByTenant(connection, CLAIM), 9, "default", "mail") == [3, 2, 4, 6]


# --- how much of it is looked at ------------------------------------------------------------------

IN_PLAIN_ORDER = 2
"""Questions, where the jobs are found that stand first anyway: whether there are any, and which."""

BY_HEADS = 4
"""Questions, where nobody stands among the first: that, the priorities, who has some, and their first ones."""


@pytest.mark.parametrize(
    ("waiting", "limit", "questions"),
    [
        ("aa", 2, IN_PLAIN_ORDER),
        ("a", 2, IN_PLAIN_ORDER),
        ("", 2, IN_PLAIN_ORDER),
        ("p", 2, IN_PLAIN_ORDER),
        ("pa", 2, IN_PLAIN_ORDER),
        ("apppa", 2, IN_PLAIN_ORDER),
        ("appppa", 2, IN_PLAIN_ORDER),
        ("apppppaa", 2, IN_PLAIN_ORDER - 1 + BY_HEADS),
        ("pp", 2, BY_HEADS - 1),
        ("ppa", 2, BY_HEADS),
    ],
)
async def test_those_who_stand_first_are_looked_for_first(
    subject: Subject,
    connection: sqlite3.Connection,
    look: Callable[[int], None],
    waiting: str,
    limit: int,
    questions: int,
) -> None:
    look(2)
    await enqueue_with_pause(subject, *(P if who == "p" else who for who in waiting))
    by_tenant = ByTenant(connection, CLAIM)
    asked = Asked(connection)
    wanted = [number for number, who in enumerate(waiting, 1) if who != "p"]
    assert first_of(by_tenant, limit) == wanted[:limit]
    assert len(asked) == questions


async def test_where_there_are_enough_of_one_priority_no_lower_one_is_looked_at(
    subject: Subject, connection: sqlite3.Connection, look: Callable[[int], None]
) -> None:
    look(2)
    await enqueue_with_pause(subject, P, P, "a", "b", priority=5)
    await enqueue(subject, "a", "b")
    by_tenant = ByTenant(connection, CLAIM)
    asked = Asked(connection)
    assert first_of(by_tenant, 2) == [3, 4]
    assert len(asked) == BY_HEADS

"""Claims in the usual order, which most are, ask for no more than they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from trio_gusto.model.rates import RateLimit
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage, claiming
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, ids


def in_memory() -> Storage:
    return MemoryStorage()


def in_sqlite() -> Storage:
    return SqliteStorage(":memory:", inline=True)


@pytest.mark.parametrize("make", [in_memory, in_sqlite])
async def test_of_a_queue_that_is_named_twice_no_job_is_taken_twice(make: Any) -> None:
    subject = Subject(make(), "node")
    await subject.open()
    jobs = [subject.request(queue=queue) for queue in ("a", "a", "a", "a", "b")]
    await subject.insert(*jobs)
    reply = await subject.claim(limit=5, queues=[("a", 1), ("b", 1), ("a", 1)])
    assert sorted(ids(reply.jobs)) == sorted(ids(jobs))
    await subject.close()


@pytest.mark.parametrize("queues", [None, [("a", 1), ("b", 2)]], ids=["all", "some"])
async def test_without_lanes_pauses_and_rules_nothing_has_to_be_chosen(
    queues: Sequence[tuple[str, int]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(claiming, "Selection")
    subject = Subject(in_sqlite(), "node")
    await subject.open()
    jobs = [await subject.enqueue(queue=queue) for queue in ("a", "b")]
    assert ids((await subject.claim(queues=queues)).jobs) == ids(jobs)
    await subject.close()


SLOW, SOON, LATE = {"slow": RateLimit(1, per=60)}, NOW + 60 * SECOND, NOW + 90 * SECOND


@pytest.mark.parametrize("make", [in_memory, in_sqlite])
@pytest.mark.parametrize(
    ("how", "more", "next_due"),
    [
        ({"limit": 1}, False, LATE),
        ({"limit": 0}, True, LATE),
        ({"limit": 1, "queue_rates": SLOW}, False, SOON),
        ({"limit": 0, "queue_rates": SLOW}, True, LATE),
        ({"queue_rates": SLOW, "queues": [("slow", 1)]}, False, SOON),
        ({"queue_rates": SLOW, "queues": [("quick", 1)]}, False, LATE),
    ],
)
async def test_who_finds_nothing_is_told_when_to_come_again(
    make: Any, how: Mapping[str, Any], more: bool, next_due: int
) -> None:
    """At the rate of a queue that he serves, too: a job may come that has to wait for it."""
    subject = Subject(make(), "node")
    await subject.open()
    await subject.enqueue(queue="slow")
    assert len((await subject.claim(queue_rates=SLOW)).jobs) == 1
    await subject.enqueue(execute_after=LATE)
    reply = await subject.claim(**how)
    assert (reply.jobs, reply.more, reply.next_due) == ([], more, next_due)
    await subject.close()

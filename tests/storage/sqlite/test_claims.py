"""Of many jobs of every kind SQLite claims those that memory claims, in whatever order they are wanted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.storage.sqlite.moving import rows
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rates import RateLimit, of_queue
from trio_gusto.model.states import Ready
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import ClaimReply, Committed
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.storage.sqlite import SqliteStorage, walking
from trio_gusto.storage.storage import Storage
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, ids, put_back, success

IN_TWO_QUEUES = [("b", 2), ("a", 1)]
RATES = {"a": RateLimit(2, per=1), "c": RateLimit(1, per=3)}

WAYS: Mapping[str, Mapping[str, Any]] = {
    "in order": {},
    "queue by queue": {"queues": IN_TWO_QUEUES},
    "but for some handlers": {"skip_names": ["say_goodbye"]},
    "in a row": {"depth": 3},
    "in a row, queue by queue": {"depth": 2, "queues": IN_TWO_QUEUES},
    "but for some lanes": {"closed_lanes": ["worker:smtp", "key:acme"]},
    "ageing": {"ageing": 2 * SECOND},
    "ageing, queue by queue": {"ageing": 2 * SECOND, "queues": IN_TWO_QUEUES},
    "ageing, but for some handlers": {"ageing": SECOND, "skip_names": ["say_hello"], "depth": 2},
    "in turn": {"tenant_weights": {"x": 2}},
    "in turn, queue by queue": {"tenant_weights": {"y": 3}, "queues": IN_TWO_QUEUES},
    "in turn, but for some handlers": {"tenant_weights": {}, "skip_names": ["say_goodbye"]},
    "at a rate": {"queue_rates": RATES},
    "at a rate, queue by queue": {"queue_rates": RATES, "queues": IN_TWO_QUEUES},
    "at a rate, ageing": {"queue_rates": RATES, "ageing": SECOND},
    "at a rate, in turn": {"queue_rates": RATES, "tenant_weights": {"z": 2}},
}

PAUSES: Mapping[str, list[tuple[str | None, str | None]]] = {
    "none": [],
    "of a queue": [("a", None)],
    "of tenants": [(None, "x"), ("b", "y")],
}

DETAILS: list[Mapping[str, Any]] = [
    {},
    {},
    {"metadata": {"rate_key": "none of its own"}},
    {"worker": "smtp"},
    {"worker": "smtp", "metadata": {"rate_key": "none of its own"}},
    {"concurrency_key": "acme", "concurrency_limit": 3},
    {"concurrency_key": "acme"},
    {"rate_key": "api", "rate_limit": RateLimit(1, per=2, burst=2)},
    {"rate_key": "api", "rate_limit": RateLimit(3, per=2), "worker": "printer"},
]


def some_jobs(subject: Subject, draw: Random, count: int) -> list[JobRequest]:
    """Some of them come in a row, and differ in nothing."""
    requests: list[JobRequest] = []
    while len(requests) < count:
        details = draw.choice(DETAILS)
        drawn: dict[str, Any] = {
            "name": draw.choice(["say_hello", "say_hello", "say_goodbye"]),
            "queue": draw.choice("aabc"),
            "priority": draw.choice([0, 0, 0, 1, 5]),
            "tenant": draw.choice(["", "x", "x", "x", "y", "z"]),
            "created_at": NOW + draw.randrange(3),
            "execute_after": draw.choice([None, None, None, NOW + 2 * SECOND]),
            "expire_on": draw.choice([None, None, None, NOW + 5 * SECOND]),
            "max_attempts": draw.choice([1, 2, 9]),
        }
        its = Details(**details) if details else None
        many = draw.choice([1, 1, 3])
        requests += [subject.request(details=its, **drawn) for _ in range(many)]
    return requests


async def claimed(
    storage: Storage, pauses: list[tuple[str | None, str | None]], way: Mapping[str, Any]
) -> list[ClaimReply]:
    """What claim after claim takes, while some of it ends, some begins again and new jobs come."""
    subject, draw = Subject(storage, "node"), Random(1)
    await storage.attach("node")
    await storage.attach("another")
    for queue, tenant in pauses:
        await subject.expect(Committed, PutPause(queue, tenant, "", NOW))
    replies: list[ClaimReply] = []
    now = NOW
    for turn in range(12):
        if turn < 8:
            requests = some_jobs(subject, draw, 12)
            await subject.insert(*requests, states=[admit(request) for request in requests])
        if turn == 6:
            await subject.expect(Committed, LiftPauses())
        now += draw.choice([0, SECOND // 2, SECOND])
        limit, node = draw.randrange(1, 9), draw.choice(["node", "another"])
        reply = await subject.claim(now, limit=limit, free=draw.randrange(1, 9), node=node, **way)
        replies.append(reply)
        for job in reply.jobs:
            match draw.randrange(4):
                case 0:
                    pass  # it goes on
                case 1 if job.attempt < job.request.max_attempts:
                    again = put_back(job, Ready(now), AttemptOutcome.FAILED, now)
                    await subject.expect(Committed, again)
                case _:
                    await subject.expect(Committed, success(job, now))
    await storage.detach("another")
    await storage.detach("node")
    return replies


async def check(way: str, pauses: str = "none") -> None:
    wanted = await claimed(MemoryStorage(), PAUSES[pauses], WAYS[way])
    found = await claimed(SqliteStorage(":memory:", inline=True), PAUSES[pauses], WAYS[way])
    assert found == wanted
    assert sum(len(reply.jobs) for reply in found) > 15


@pytest.mark.parametrize("way", WAYS)
async def test_it_claims_what_memory_claims(way: str) -> None:
    await check(way)


@pytest.mark.parametrize("pauses", ["of a queue", "of tenants"])
@pytest.mark.parametrize("way", ["in order", "queue by queue", "ageing", "in turn", "at a rate"])
async def test_it_claims_what_memory_claims_beside_pauses(way: str, pauses: str) -> None:
    await check(way, pauses)


@pytest.mark.parametrize("way", ["in order", "queue by queue", "in a row", "but for some lanes"])
async def test_it_steps_over_full_lanes_and_claims_what_memory_claims(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "FIRST", 1)
    await check(way)


@pytest.fixture(params=["memory", "sqlite"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A storage of either kind."""
    is_memory = request.param == "memory"
    storage = MemoryStorage() if is_memory else SqliteStorage(":memory:", inline=True)
    await storage.attach("node")
    yield Subject(storage, "node")
    await storage.detach("node")


async def test_in_a_lane_that_is_full_nobody_keeps_others_from_their_turn(subject: Subject) -> None:
    """In memory, a job of another queue did so when its tenant had had more than the others."""
    smtp = Details(worker="smtp")
    for details, priority in ((smtp, 5), (None, 0)):
        await subject.enqueue(tenant="big", priority=priority, details=details)
    await subject.claim(tenant_weights={})
    await subject.enqueue(tenant="big", priority=5, details=smtp)
    await subject.enqueue(tenant="big", queue="b", details=smtp)
    in_lane = await subject.enqueue(tenant="x", details=Details(concurrency_key="acme"))
    plain = await subject.enqueue(tenant="y")
    assert ids((await subject.claim(tenant_weights={})).jobs) == ids([in_lane, plain])


@pytest.mark.parametrize(("attempts", "in_a_row"), [(1, 1), (2, 3)])
async def test_of_jobs_that_are_alike_no_last_attempt_stands_in_line(
    subject: Subject, attempts: int, in_a_row: int
) -> None:
    smtp = Details(worker="smtp")
    jobs = [subject.request(max_attempts=attempts, details=smtp) for _ in range(4)]
    await subject.insert(*jobs)
    for shares in (None, [("default", 1)]):
        reply = await subject.claim(depth=3, queues=shares)
        assert ids(reply.jobs) == ids(jobs[:in_a_row])
        again = [put_back(job, Ready(NOW), AttemptOutcome.RELEASED) for job in reply.jobs]
        for commit in again:
            commit.attempt -= 1
            await subject.expect(Committed, commit)


async def test_a_queue_that_is_not_served_says_nothing_of_when_its_jobs_may_start(
    subject: Subject,
) -> None:
    rates = {"slow": RateLimit(1, per=60)}
    for queue in ("slow", "slow", "quick"):
        await subject.enqueue(queue=queue)
    reply = await subject.claim(queue_rates=rates, queues=[("slow", 2)])
    assert (len(reply.jobs), reply.next_due) == (1, NOW + 60 * SECOND)
    reply = await subject.claim(queue_rates=rates, queues=[("quick", 2)])
    assert (len(reply.jobs), reply.next_due) == (1, None)


async def test_a_bucket_that_is_full_again_is_forgotten(tmp_path: Path) -> None:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    await storage.attach("node")
    subject, rates = Subject(storage, "node"), {"a": RateLimit(1, per=1), "b": RateLimit(1, per=60)}
    for now, queue in ((NOW, "a"), (NOW + SECOND, "b")):
        await subject.enqueue(queue=queue)
        assert len((await subject.claim(now, queue_rates=rates)).jobs) == 1
    assert rows(tmp_path / "jobs.db", "SELECT name FROM bucket") == [(of_queue("b"),)]
    await storage.detach("node")


async def test_behind_full_lanes_a_job_that_comes_back_to_its_empty_one_is_found(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "FIRST", 1)
    smtp, printer = Details(worker="smtp"), Details(worker="printer")
    await subject.enqueue(details=smtp)
    page = await subject.enqueue(details=printer)
    _, lease = (await subject.claim()).jobs
    for _ in range(3):
        await subject.enqueue(details=smtp, priority=9)
    assert (await subject.claim()).jobs == []
    await subject.expect(Committed, put_back(lease, Ready(NOW), AttemptOutcome.FAILED))
    assert ids((await subject.claim()).jobs) == [page.id]


async def test_who_wants_nothing_has_had_all_that_he_wanted(subject: Subject) -> None:
    assert (await subject.claim(limit=0)).more
    await subject.enqueue()
    assert (await subject.claim(limit=0)).more


async def test_of_two_that_are_alike_one_is_taken_where_one_is_wanted(subject: Subject) -> None:
    jobs = [subject.request(details=Details(worker="smtp")) for _ in range(2)]
    await subject.insert(*jobs)
    assert ids((await subject.claim(depth=3, limit=1)).jobs) == ids(jobs[:1])


@pytest.mark.parametrize("skipped", [(), ("say_goodbye",)])
async def test_from_several_queues_some_are_passed_over(
    subject: Subject, skipped: tuple[str, ...]
) -> None:
    jobs = [
        await subject.enqueue(name=name, queue=queue)
        for queue in ("a", "b")
        for name in ("say_hello", "say_goodbye")
    ]
    wanted = [job for job in jobs if job.name not in skipped]
    assert ids((await subject.claim(skip_names=skipped)).jobs) == ids(wanted)


async def test_what_is_scheduled_is_told_where_queues_have_rates(subject: Subject) -> None:
    await subject.enqueue(execute_after=NOW + SECOND)
    reply = await subject.claim(queue_rates={"slow": RateLimit(1, per=60)})
    assert (reply.jobs, reply.next_due) == ([], NOW + SECOND)


@pytest.mark.parametrize("part", ["metadata", "context"])
async def test_what_is_mutable_each_job_has_for_itself(subject: Subject, part: str) -> None:
    for _ in range(2):
        parts: dict[str, Any] = {part: {"colour": "red"}}
        await subject.enqueue(details=Details(**parts))
    one, other = (getattr(job.request.details, part) for job in (await subject.claim()).jobs)
    assert one == other == {"colour": "red"}
    assert one is not other


async def test_jobs_that_differ_in_their_ref_ids_alone_keep_them(subject: Subject) -> None:
    for ref_id in (None, "order-1", None, "order-2"):
        await subject.enqueue(details=Details(ref_id=ref_id, tags=("red",)))
    found = [job.request.details for job in (await subject.claim()).jobs]
    assert [details and details.ref_id for details in found] == [None, "order-1", None, "order-2"]

"""A group is one transaction; what is wrong with one message never harms its neighbours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_gusto.model.errors import ArgumentError, DuplicateJob
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.states import Completed, Failed, Ready
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.sqlite.inserting import chunks
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import (
    LEASE,
    NOW,
    completed,
    ids,
    success,
    successes,
)

NOT_UTF_8 = "\ud800"


@pytest.fixture
async def subject(tmp_path: Path) -> AsyncIterator[Subject]:
    storage = SqliteStorage(tmp_path / "jobs.db", inline=True)
    await storage.attach("node")
    yield Subject(storage, "node")
    await storage.detach("node")


def inserting(*requests: JobRequest) -> Insert:
    return Insert(requests, [Ready(NOW)] * len(requests))


def claiming(limit: int = 1000) -> ClaimDue:
    return ClaimDue("node", NOW, NOW + LEASE, limit, limit)


def with_result(commit: Commit, result: str | None) -> Completed:
    assert isinstance(commit.state, Completed)
    return attrs.evolve(commit.state, result=result)


async def test_a_duplicate_among_many_inserts_is_the_only_one_refused(subject: Subject) -> None:
    known = await subject.enqueue()
    new = [subject.request() for _ in range(5)]
    group = [inserting(request) for request in (*new[:3], known, *new[3:])]
    replies = await subject.storage.apply(group)
    assert [type(reply) for reply in replies] == [Inserted] * 3 + [DuplicateJob] + [Inserted] * 2
    assert isinstance(replies[3], DuplicateJob)
    assert replies[3].existing_id == to_uuid(known.id)
    assert ids((await subject.claim()).jobs) == ids([known, *new])


async def test_a_ref_id_used_twice_in_one_group_belongs_to_the_first(subject: Subject) -> None:
    first, second = (subject.request(details=Details(ref_id="order-1")) for _ in range(2))
    replies = await subject.storage.apply([inserting(first), inserting(second)])
    assert replies[0] == Inserted()
    assert isinstance(replies[1], DuplicateJob)
    assert (replies[1].key, replies[1].value) == ("ref_id", "order-1")
    assert replies[1].existing_id == to_uuid(first.id)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": NOT_UTF_8},
        {"args": NOT_UTF_8},
        {"queue": NOT_UTF_8},
        {"priority": 2**63},
        {"details": Details(ref_id=NOT_UTF_8)},
        {"details": Details(metadata={"x": object()})},
    ],
    ids=["name", "args", "queue", "priority", "ref_id", "metadata"],
)
async def test_what_sqlite_cannot_keep_is_refused_alone(
    subject: Subject, changes: dict[str, Any]
) -> None:
    good, bad, other = subject.request(), subject.request(**changes), subject.request()
    replies = await subject.storage.apply([inserting(good), inserting(bad), inserting(other)])
    assert [type(reply) for reply in replies] == [Inserted, ArgumentError, Inserted]
    assert ids((await subject.claim()).jobs) == ids([good, other])


async def test_successes_without_results_keep_why_they_have_none(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(3)))
    jobs = (await subject.claim()).jobs
    ended = [completed(job, result=None, error="it is too large") for job in jobs]
    assert await subject.complete_all(Complete(jobs, ended)) == {}
    assert [(await subject.get(job.request.id)).state for job in jobs] == ended


async def test_a_stale_commit_among_many_successes_is_the_only_conflict(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(5)))
    commits = [success(job) for job in (await subject.claim()).jobs]
    commits[2].version += 1
    replies = await subject.storage.apply(commits)
    assert [type(reply) for reply in replies] == [Committed] * 2 + [Conflict] + [Committed] * 2


async def test_the_same_success_twice_in_one_group_counts_once(subject: Subject) -> None:
    await subject.enqueue()
    commit = success(await subject.claim_one())
    assert await subject.storage.apply([commit, commit]) == [Committed(), Conflict()]


async def test_a_result_that_sqlite_cannot_keep_is_refused_alone(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(3)))
    first, second, third = (success(job) for job in (await subject.claim()).jobs)
    second.state = with_result(second, NOT_UTF_8)
    replies = await subject.storage.apply([first, second, third])
    assert [type(reply) for reply in replies] == [Committed, ArgumentError, Committed]


async def test_among_successes_in_one_message_a_result_too_odd_is_refused_alone(
    subject: Subject,
) -> None:
    await subject.insert(*(subject.request() for _ in range(5)))
    jobs = (await subject.claim()).jobs
    states = [completed(job) for job in jobs]
    states[1] = attrs.evolve(states[1], result=NOT_UTF_8)
    states[3] = attrs.evolve(states[3], result_error=NOT_UTF_8)
    refused = await subject.complete_all(Complete(jobs, states))
    assert {position: type(reply) for position, reply in refused.items()} == {
        1: ArgumentError,
        3: ArgumentError,
    }
    kept = [job.state for job in reversed(await subject.everything())]
    assert [kept[position] == states[position] for position in range(5)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert await subject.complete_all(successes(jobs[1], jobs[3])) == {}


async def test_an_instant_that_sqlite_cannot_keep_is_refused_alone(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(3)))
    jobs = (await subject.claim()).jobs
    states = [completed(jobs[0]), completed(jobs[1], 2**63), completed(jobs[2])]
    refused = await subject.complete_all(Complete(jobs, states))
    assert list(refused) == [1]
    assert isinstance(refused[1], ArgumentError)
    tally = [job.state.word for job in reversed(await subject.everything())]
    assert tally == ["completed", "processing", "completed"]


async def test_a_message_of_successes_is_not_harmed_by_its_neighbours(subject: Subject) -> None:
    known, other = await subject.enqueue(), await subject.enqueue()
    first, second = (await subject.claim()).jobs
    new = subject.request()
    replies = await subject.storage.apply(
        [successes(first), inserting(known), inserting(new), successes(second, first), claiming()]
    )
    assert replies[0] == Completions()
    assert isinstance(replies[1], DuplicateJob)
    assert replies[2] == Inserted()
    assert replies[3] == Completions({1: Conflict()})
    assert isinstance(replies[4], ClaimReply)
    assert ids(replies[4].jobs) == [new.id]
    states = {job.request.id: job.state for job in await subject.everything()}
    assert states[known.id] == completed(first)
    assert states[other.id] == completed(second)


async def test_successes_of_claims_made_through_another_object_are_recorded(
    tmp_path: Path,
) -> None:
    here, there = (SqliteStorage(tmp_path / "jobs.db", inline=True) for _ in range(2))
    await here.attach("here")
    await there.attach("there")
    ours, theirs = Subject(here, "here"), Subject(there, "there")
    await ours.insert(*(ours.request() for _ in range(4)))
    jobs = [*(await ours.claim(limit=2)).jobs, *(await theirs.claim()).jobs]
    assert await theirs.complete_all(successes(jobs[3], jobs[1], now=NOW + 1)) == {}
    refused = await ours.complete_all(successes(*jobs, now=NOW + 2))
    assert refused == {1: Conflict(), 3: Conflict()}
    ends = [completed(job, NOW + (1 if number % 2 else 2)) for number, job in enumerate(jobs)]
    assert [job.state for job in reversed(await ours.everything())] == ends
    await here.detach("here")
    await there.detach("there")


@pytest.mark.parametrize("told", [{"node": "elsewhere"}, {"claimed_at": NOW + 1}], ids=str)
async def test_a_success_is_kept_as_it_is_told_and_not_as_it_was_claimed(
    subject: Subject, told: dict[str, Any]
) -> None:
    await subject.insert(*(subject.request() for _ in range(3)))
    jobs = (await subject.claim()).jobs
    states = [completed(job, NOW + 5) for job in jobs]
    states[1] = attrs.evolve(states[1], **told)
    assert await subject.complete_all(Complete(jobs, states)) == {}
    assert [job.state for job in reversed(await subject.everything())] == states


async def test_a_success_spends_the_attempt_that_it_is_told_to(subject: Subject) -> None:
    await subject.insert(subject.request(), subject.request())
    first, second = (await subject.claim()).jobs
    again = attrs.evolve(second, attempt=2)
    assert await subject.complete_all(successes(first, again)) == {}
    assert [job.attempt for job in reversed(await subject.everything())] == [1, 2]


async def test_results_and_their_absence_are_kept_apart(subject: Subject) -> None:
    await subject.insert(*(subject.request() for _ in range(4)))
    states = []
    for number, job in enumerate((await subject.claim()).jobs):
        result = None if number % 2 else f'"{number}"'
        commit = success(job)
        commit.state = with_result(commit, result)
        states.append(commit.state)
        assert await subject.tell(commit) == Committed()
    assert [job.state for job in reversed(await subject.everything())] == states


async def test_a_later_message_sees_what_an_earlier_one_did(subject: Subject) -> None:
    running = await subject.enqueue()
    job = await subject.claim_one()
    new = subject.request()
    failed = Failed(NOW, "no use")
    replies = await subject.storage.apply(
        [
            success(job),
            Commit(running.id, job.token, failed, 1),
            inserting(new),
            claiming(),
            RequestCancel(new.id, 1, "enough"),
        ]
    )
    assert [type(reply) for reply in replies] == [
        Committed,
        Conflict,
        Inserted,
        ClaimReply,
        Committed,
    ]
    assert isinstance(replies[3], ClaimReply)
    assert ids(replies[3].jobs) == [new.id]


async def test_jobs_of_mixed_shapes_keep_the_order_they_came_in(subject: Subject) -> None:
    requests = [
        subject.request(
            name=f"handler_{number % 3}",
            details=Details(tags=("a",)) if number % 5 == 0 else None,
            expire_on=NOW + LEASE if number % 7 == 0 else None,
            tenant=f"tenant {number % 2}",
        )
        for number in range(300)
    ]
    await subject.storage.apply([inserting(*requests[:100]), inserting(*requests[100:])])
    claimed = (await subject.claim()).jobs
    assert [job.request for job in claimed] == requests


def test_many_rows_are_cut_into_few_sizes() -> None:
    assert list(chunks(0)) == []
    assert list(chunks(7)) == [(0, 4), (4, 2), (6, 1)]
    assert list(chunks(300)) == [(0, 128), (128, 128), (256, 32), (288, 8), (296, 4)]


async def test_a_handlers_number_is_not_remembered_from_what_was_rolled_back(
    subject: Subject,
) -> None:
    known = await subject.enqueue()
    # The first of the two stores a new handler, and is rolled back with it.
    both = inserting(subject.request(name="new"), known)
    assert isinstance(await subject.tell(both), DuplicateJob)
    request = await subject.enqueue(name="new")
    assert request in [job.request for job in (await subject.claim()).jobs]

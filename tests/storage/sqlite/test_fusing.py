"""Jobs that the group which brings them also claims are written as claimed; nobody can tell."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest

from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.states import Completed, Ready, Scheduled, State
from trio_gusto.storage.lease_messages import Renew, Renewed
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
    Write,
)
from trio_gusto.storage.pause_messages import PutPause
from trio_gusto.storage.sqlite import claiming
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.writes import Writer

NOW = 1_700_000_000_000_000


class Watched:
    """A writer, and whether its last group had to look for what it inserted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.writer = Writer(connection)
        self.statements: list[str] = []
        connection.set_trace_callback(self.statements.append)

    def apply(self, *writes: Write) -> Sequence[Any]:
        self.statements.clear()
        return self.writer.apply(writes)

    @property
    def was_fused(self) -> bool:
        return claiming._STANDING not in self.statements

    def table(self) -> list[Any]:
        return self.writer.connection.execute("SELECT * FROM job ORDER BY seq").fetchall()


@pytest.fixture
def watched() -> Iterator[Watched]:
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        yield Watched(connection)


@pytest.fixture
def apart() -> Iterator[Watched]:
    """Is told every message in a group of its own."""
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        yield Watched(connection)


def request(number: int = 0, **options: Any) -> JobRequest:
    options = {"name": "greet", "max_attempts": 3, **options}
    return JobRequest(JobId(number.to_bytes(16, "big")), args="[]", created_at=NOW, **options)


def inserting(*requests: JobRequest, state: State | None = None) -> Insert:
    return Insert(requests, [Ready(NOW) if state is None else state for _ in requests])


def claim(limit: int = 10, free: int = 10, **options: Any) -> ClaimDue:
    return ClaimDue("node", NOW, NOW + 60, limit, free, **options)


def retried(job_id: JobId) -> Commit:
    return Commit(job_id, 1, Ready(NOW - 1), 1)


def claimed(wanted: JobRequest) -> ClaimedJob:
    """What `claim` gives for the first attempt of a job."""
    return ClaimedJob(wanted, 1, 1, NOW, "node", NOW)


DONE = Completed(NOW + 2, NOW + 1, NOW, "node", "7", None)


def completing(*requests: JobRequest) -> Complete:
    return Complete([claimed(wanted) for wanted in requests], [DONE] * len(requests))


def completed(job_id: JobId) -> Commit:
    return Commit(job_id, 1, DONE, 1)


FUSED: dict[str, list[Write]] = {
    "a lone enqueue": [inserting(request(1)), claim()],
    "jobs of several messages": [
        inserting(request(1), request(2)),
        inserting(request(3)),
        claim(),
    ],
    "jobs that fill the limit": [inserting(request(1), request(2)), claim(limit=2)],
    "priorities and due instants": [
        inserting(request(1), request(2, priority=1), state=Ready(NOW - 1)),
        inserting(request(3, priority=1), request(4, queue="other"), state=Ready(NOW - 2)),
        claim(),
    ],
    "jobs with more than most have": [
        inserting(
            request(1, details=Details("ref", ("b", "a"), metadata={"list": (1, 2)})),
            request(2, expire_on=NOW + 1, timeout=5, tenant="t", job_type="j", method_name="m"),
            request(3, execute_after=NOW - 1),
        ),
        claim(),
    ],
    "the one queue of several": [
        inserting(*(request(number, queue="b") for number in range(4))),
        claim(queues=[("a", 5), ("b", 1)]),
    ],
    "last attempts for free executors": [
        inserting(request(1, max_attempts=1), request(2)),
        claim(free=1),
    ],
    "second attempts for no executor yet": [
        inserting(request(1, max_attempts=2), request(2, max_attempts=2)),
        claim(free=1),
    ],
    "ageing": [
        inserting(request(1, priority=1), request(2, priority=2)),
        inserting(request(3), request(4, priority=2), state=Ready(NOW - 25)),
        inserting(request(5, priority=2), request(6, priority=3)),
        claim(ageing=10),
    ],
    "all handlers but for another": [
        inserting(request(1), request(2)),
        claim(skip_names=("other",)),
    ],
}


@pytest.mark.parametrize("name", FUSED)
def test_written_once_and_answered_alike(name: str, watched: Watched, apart: Watched) -> None:
    group = FUSED[name]
    replies = watched.apply(*group)
    assert watched.was_fused
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert watched.table() == apart.table()


ORDINARY: dict[str, tuple[list[Write], list[Write]]] = {
    "another job is ready": (
        [inserting(request(9, priority=-1))],
        [inserting(request(1)), claim()],
    ),
    "another job falls due": (
        [inserting(request(9), state=Scheduled(NOW))],
        [inserting(request(1)), claim()],
    ),
    "one is scheduled": (
        [],
        [inserting(request(1)), inserting(request(2), state=Scheduled(NOW + 1)), claim()],
    ),
    "one is not due yet": ([], [inserting(request(1), state=Ready(NOW + 1)), claim()]),
    "one is past its expiry": (
        [],
        [inserting(request(1, expire_on=NOW), request(2)), claim()],
    ),
    "a handler is unknown here": (
        [],
        [inserting(request(1), request(2, name="other")), claim(skip_names=("other",))],
    ),
    "they are too many": ([], [inserting(request(1), request(2)), claim(limit=1)]),
    "nothing is wanted": ([], [inserting(request(1)), claim(limit=0)]),
    "a last attempt has no free executor": (
        [],
        [inserting(request(1), request(2, max_attempts=1)), claim(free=1)],
    ),
    "queues share": (
        [],
        [
            inserting(request(1, queue="b"), request(2, queue="a"), request(3, queue="b")),
            claim(queues=[("a", 2), ("b", 1)]),
        ],
    ),
    "a named worker is to do one": (
        [],
        [inserting(request(1), request(2, details=Details(worker="smtp"))), claim()],
    ),
    "a named worker has something to do": (
        [
            inserting(*(request(number, details=Details(worker="smtp")) for number in (8, 9))),
            claim(),
        ],
        [inserting(request(1)), claim()],
    ),
    "another queue is paused": (
        [PutPause("other", None, "", NOW)],
        [inserting(request(1)), claim()],
    ),
    "the queue is not served": ([], [inserting(request(1)), claim(queues=[("a", 2)])]),
    "a commit between makes another ready": (
        [inserting(request(9)), claim()],
        [inserting(request(1)), retried(request(9).id), claim()],
    ),
    "a commit before makes another ready": (
        [inserting(request(9)), claim()],
        [retried(request(9).id), inserting(request(1)), claim()],
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_the_ordinary_way_is_gone_when(name: str, watched: Watched, apart: Watched) -> None:
    before, group = ORDINARY[name]
    for write in before:
        assert watched.apply(write) == apart.apply(write)
    replies = watched.apply(*group)
    assert not watched.was_fused
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert watched.table() == apart.table()


def test_what_is_due_later_is_in_nobodys_way(watched: Watched) -> None:
    watched.apply(inserting(request(9), state=Scheduled(NOW + 5)))
    reply = watched.apply(inserting(request(1)), claim())[-1]
    assert watched.was_fused
    assert reply.next_due == NOW + 5


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_successes_stand_anywhere_in_the_group(
    place: int, watched: Watched, apart: Watched
) -> None:
    group: list[Write] = [inserting(request(1)), inserting(request(2)), claim()]
    group.insert(place, completing(request(8), request(9)))
    for writer in (watched, apart):
        writer.apply(inserting(request(8), request(9)), claim())
    replies = watched.apply(*group)
    assert watched.was_fused
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert replies[place] == Completions()
    assert watched.table() == apart.table()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_committed_one_by_one_they_do_too(place: int, watched: Watched, apart: Watched) -> None:
    group: list[Write] = [inserting(request(1)), inserting(request(2)), claim()]
    group.insert(place, completed(request(9).id))
    for writer in (watched, apart):
        writer.apply(inserting(request(9)), claim())
    replies = watched.apply(*group)
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert watched.table() == apart.table()


def test_several_messages_of_successes_may_stand_among_the_inserts(
    watched: Watched, apart: Watched
) -> None:
    old = [request(number) for number in range(5, 10)]
    group: list[Write] = [
        completing(*old[:2]),
        inserting(request(1)),
        completing(),
        completing(old[2]),
        inserting(request(2)),
        completing(*old[3:]),
        claim(),
        completing(request(2)),
    ]
    for writer in (watched, apart):
        writer.apply(inserting(*old), claim())
    replies = watched.apply(*group)
    assert watched.was_fused
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert replies[-1] == Completions()
    assert watched.table() == apart.table()


def test_successes_of_claims_that_are_not_remembered_stand_there_too(
    watched: Watched, apart: Watched
) -> None:
    """As those of jobs that another process claimed, and those of jobs that are settled."""
    old = [request(number) for number in range(6, 10)]
    for writer in (watched, apart):
        writer.apply(inserting(*old), claim())
        writer.apply(completing(old[1]))
    watched.writer._leases.drop(old[2].id)
    watched.writer._leases.keep()
    group: list[Write] = [inserting(request(1)), completing(*old), claim()]
    replies = watched.apply(*group)
    assert watched.was_fused
    assert replies[1] == Completions({1: Conflict()})
    assert replies == [reply for write in group for reply in apart.apply(write)]
    assert watched.table() == apart.table()


@pytest.mark.parametrize("stale", [0, 1, 2])
def test_a_success_of_a_stale_lease_is_refused_alone(stale: int, watched: Watched) -> None:
    known = [request(number) for number in (7, 8, 9)]
    watched.apply(inserting(*known), claim())
    # As another process would.
    execute = watched.writer.connection.execute
    execute("UPDATE job SET version = 2 WHERE id = ?", (known[stale].id,))
    replies = watched.apply(inserting(request(1)), completing(*known), claim())
    assert replies[:2] == [Inserted(), Completions({stale: Conflict()})]
    assert [job.request for job in replies[2].jobs] == [request(1)]
    states = dict(execute("SELECT id, state FROM job WHERE id != ?", (request(1).id,)))
    assert states == {wanted.id: 3 if wanted is known[stale] else 4 for wanted in known}


def test_a_commit_of_a_stale_lease_is_refused_alone(watched: Watched) -> None:
    known = request(9)
    watched.apply(inserting(known), claim())
    watched.writer.connection.execute("UPDATE job SET version = 2")  # as another process would
    replies = watched.apply(inserting(request(1)), completed(known.id), claim())
    assert [type(reply).__name__ for reply in replies] == ["Inserted", "Conflict", "ClaimReply"]
    assert [job.request for job in replies[2].jobs] == [request(1)]


def test_a_duplicate_is_refused_alone_and_the_others_are_claimed(watched: Watched) -> None:
    known = request(9)
    watched.apply(inserting(known), claim())
    replies = watched.apply(inserting(request(1)), inserting(known, request(2)), claim())
    assert isinstance(replies[1], DuplicateJob)
    assert replies[0] == Inserted()
    assert isinstance(replies[2], ClaimReply)
    assert [job.request for job in replies[2].jobs] == [request(1)]


def test_what_is_claimed_at_once_can_be_completed_by_the_next_group(watched: Watched) -> None:
    requests = [request(number) for number in range(200)]
    jobs = watched.apply(inserting(*requests), claim(1000, 1000))[-1].jobs
    assert [job.request for job in jobs] == requests
    assert watched.apply(Complete(jobs[::-1], [DONE] * 200)) == [Completions()]
    assert not watched.writer._leases, "nothing is remembered of what has ended"
    # 128, 64 and 8 in a statement
    assert [statement.split()[0] for statement in watched.statements[1:-1]] == [
        "UPDATE",
        "UPDATE",
        "UPDATE",
        "SELECT",  # does anybody wait for them?
    ]
    assert [row[11] for row in watched.table()] == [4] * 200


def test_what_is_claimed_at_once_can_be_committed_one_by_one(watched: Watched) -> None:
    requests = [request(number) for number in range(20)]
    jobs = watched.apply(inserting(*requests), claim(1000, 1000))[-1].jobs
    replies = watched.apply(*(completed(job.request.id) for job in reversed(jobs)))
    assert {type(reply) for reply in replies} == {Committed}
    assert not watched.writer._leases
    assert [row[11] for row in watched.table()] == [4] * 20


def test_nothing_is_remembered_of_what_has_ended_in_several_messages(watched: Watched) -> None:
    requests = [request(number) for number in range(4)]
    watched.apply(inserting(*requests), claim())
    assert (
        watched.apply(completing(*requests[:2]), completing(*requests[2:])) == [Completions()] * 2
    )
    assert not watched.writer._leases


def test_where_nothing_is_refused_nothing_is_saved_to_be_undone(watched: Watched) -> None:
    pause = PutPause("other", None, "", NOW)
    watched.apply(inserting(request(1)), inserting(request(2)), pause, inserting(request(3)))
    assert not any("SAVEPOINT" in statement for statement in watched.statements)


def test_nothing_is_remembered_of_leases_that_are_lost(watched: Watched) -> None:
    known = request(9)
    watched.apply(inserting(known), claim())
    watched.writer.connection.execute("UPDATE job SET version = 2")  # as another process would
    renew = Renew("node", NOW, NOW + 120, [(known.id, 1)])
    assert watched.apply(renew) == [Renewed([known.id], [])]
    assert not watched.writer._leases


def test_what_a_caller_does_to_his_details_is_not_seen_by_the_handler(watched: Watched) -> None:
    metadata: dict[str, object] = {"colour": "red"}
    asked = request(1, details=Details(metadata=metadata))
    job = watched.apply(inserting(asked), claim())[-1].jobs[0]
    metadata["colour"] = "green"
    assert job.request.details.metadata == {"colour": "red"}


def test_a_lone_job_that_is_claimed_takes_four_statements(watched: Watched) -> None:
    watched.apply(inserting(request(1)), claim())
    watched.apply(inserting(request(2)), claim())
    assert [statement.split()[0] for statement in watched.statements] == [
        "BEGIN",
        "SELECT",
        "INSERT",
        "COMMIT",
    ]
    watched.apply(completing(request(1)))
    assert [statement.split()[0] for statement in watched.statements] == [
        "BEGIN",
        "UPDATE",
        "SELECT",  # does anybody wait for it?
        "COMMIT",
    ]

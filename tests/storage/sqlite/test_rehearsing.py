"""What a rehearsal and an audit are given: the jobs that have not ended, and the schedules, also broken ones."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest

from trio_gusto.model.ids import JobId, to_uuid
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.rehearsing import KnownSchedule, LiveJob
from trio_gusto.model.states import (
    AwaitingCallback,
    Completed,
    Failed,
    Processing,
    Ready,
    Scheduled,
    State,
    Waiting,
)
from trio_gusto.storage.messages import Committed, Insert, Inserted
from trio_gusto.storage.schedule_messages import PutSchedule
from trio_gusto.storage.sqlite import rehearsing
from trio_gusto.storage.sqlite.connection import MEMORY, Location, open_writer
from trio_gusto.storage.sqlite.rehearsing import live_jobs, stored_schedules
from trio_gusto.storage.sqlite.writes import Writer
from trio_gusto.testing.storage_contract.scheduling import schedule
from trio_gusto.testing.storage_contract.subject import NOW


@pytest.fixture
def writer() -> Iterator[Writer]:
    with closing(open_writer(Location(MEMORY, "FULL", 1.0), wait=1.0)) as connection:
        yield Writer(connection)


def request(number: int, **options: Any) -> JobRequest:
    options = {"name": "greet", "max_attempts": 3, **options}
    return JobRequest(JobId(number.to_bytes(16, "big")), args="[]", created_at=NOW, **options)


def insert(writer: Writer, requests: list[JobRequest], states: list[State]) -> None:
    assert writer.apply([Insert(requests, states)]) == [Inserted()]


def live(connection: sqlite3.Connection) -> list[LiveJob]:
    """Those that there are, and not without end."""
    return list(islice(live_jobs(connection), 99))


CALLBACK = JobId(bytes(15) + b"\x09")
DONE = Completed(NOW + 2, NOW + 1, NOW, "node", "7", None)


def test_the_jobs_that_have_not_ended_are_given_as_they_were_asked_for(writer: Writer) -> None:
    whole = {"tenant": "x", "job_type": "j", "method_name": "m", "timeout": 5}
    details = Details("ref", ("red",), metadata={"colour": "red"})
    asked = [
        request(1, **whole, details=details),
        request(2, name="tidy"),
        request(3),
        request(4),
        request(5),
        request(6),
        request(7),
    ]
    states: list[State] = [
        Ready(NOW),
        Scheduled(NOW + 5),
        DONE,
        Processing("node", NOW, NOW + 60),
        AwaitingCallback(CALLBACK, NOW, NOW, "node", "7"),
        Failed(NOW, "enough"),
        Waiting(),
    ]
    insert(writer, asked, states)
    assert live(writer.connection) == [
        LiveJob(to_uuid(one.id), one.name, one, "", isinstance(state, AwaitingCallback))
        for one, state in zip(asked, states, strict=True)
        if not isinstance(state, Completed | Failed)
    ]


@pytest.mark.parametrize("count", [0, 2, 3, 6, 7])
def test_they_are_read_a_page_at_a_time_and_each_is_given_once(
    writer: Writer, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsing, "PAGE", 3)
    asked = [request(number) for number in range(1, 2 * count + 1)]
    states: list[State] = [Ready(NOW), DONE]
    insert(writer, asked, states * count)
    assert [job.request for job in live(writer.connection)] == asked[::2]


def test_a_row_that_cannot_be_read_is_named(writer: Writer) -> None:
    insert(writer, [request(number) for number in (1, 2, 3)], [Ready(NOW)] * 3)
    execute = writer.connection.execute
    execute("UPDATE job SET details = '{}' WHERE seq = 1")
    execute("UPDATE job SET details = '[' WHERE seq = 2")
    execute("UPDATE job SET details = '[', handler = 99 WHERE seq = 3")
    _, second, third = live(writer.connection)
    ids = [to_uuid(request(number).id) for number in (2, 3)]
    assert [second.id, third.id] == ids
    assert (second.name, third.name) == ("greet", "")
    assert second.request is None
    assert not second.has_returned
    assert second.fault.startswith("its details cannot be read (JSONDecodeError(")
    assert third.fault.startswith("its handler is 99, which is no handler in the table handler")


def test_a_state_that_cannot_be_read_is_the_fault_of_its_job(writer: Writer) -> None:
    insert(writer, [request(1)], [Waiting()])
    writer.connection.execute("UPDATE job SET result = '7'")
    (job,) = live(writer.connection)
    assert (job.id, job.name, job.request) == (to_uuid(request(1).id), "greet", None)
    assert job.fault.startswith("its state cannot be read (TypeError(")


def test_a_job_whose_id_is_none_is_named_by_its_row(writer: Writer) -> None:
    insert(writer, [request(1)], [Ready(NOW)])
    writer.connection.execute("UPDATE job SET id = x'00'")
    fault = "its id is X'00', which is no id of 16 bytes (in the row 1 of job)"
    assert live(writer.connection) == [LiveJob(None, "greet", None, fault)]


def test_a_job_without_its_handler_is_named(writer: Writer) -> None:
    insert(writer, [request(1), request(2)], [Ready(NOW)] * 2)
    writer.connection.execute("UPDATE job SET handler = 99 WHERE seq = 1")
    assert live(writer.connection) == [
        LiveJob(
            to_uuid(request(1).id),
            "",
            None,
            "its handler is 99, which is no handler in the table handler (in the row 1 of job)",
        ),
        LiveJob(to_uuid(request(2).id), "greet", request(2)),
    ]


def test_schedules_are_given_by_name_and_one_that_cannot_be_read_hides_no_other(
    writer: Writer,
) -> None:
    first, second, third = (schedule(name) for name in ("hourly", "monthly", "yearly"))
    third.last_at, third.last_job_id, third.paused, third.next_at = NOW, CALLBACK, True, None
    for one in (third, first, second):
        put = PutSchedule(one.request.name, None, one)
        assert writer.apply([put]) == [Committed()]
    writer.connection.execute("UPDATE schedule SET request = '{' WHERE name = 'monthly'")
    found = list(stored_schedules(writer.connection))
    assert found[::2] == [KnownSchedule("hourly", first), KnownSchedule("yearly", third)]
    assert (found[1].name, found[1].kept) == ("monthly", None)
    assert found[1].fault.startswith("its request cannot be read (JSONDecodeError(")


def test_a_schedule_with_a_bad_mark_is_named_and_hides_no_other(writer: Writer) -> None:
    kept = [schedule(name) for name in ("hourly", "monthly")]
    for one in kept:
        assert writer.apply([PutSchedule(one.request.name, None, one)]) == [Committed()]
    writer.connection.execute("UPDATE schedule SET version = -1 WHERE name = 'hourly'")
    assert list(stored_schedules(writer.connection)) == [
        KnownSchedule("hourly", None, "its version is -1, which is no number from 0 on"),
        KnownSchedule("monthly", kept[1]),
    ]

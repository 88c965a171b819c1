"""How rows are read: sound ones as they are, and of a bad one as much as whoever moves its job on needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import attrs
import pytest

from trio_gusto.model.errors import UnreadableRecord
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord, ClaimedJob, Details, JobRequest, Progress, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.states import Condition, JobState, Processing, Ready, State, Waiting
from trio_gusto.storage.messages import ClaimDue
from trio_gusto.storage.sqlite import ready
from trio_gusto.storage.sqlite.connection import Location
from trio_gusto.storage.sqlite.decoding import claimed_jobs
from trio_gusto.storage.sqlite.errors import explained, unreadable
from trio_gusto.storage.sqlite.names import Names
from trio_gusto.storage.sqlite.reading import (
    fetched,
    job_to_move,
    last_attempt,
    lossy_texts,
    printable,
    read_job,
    shown_id,
)
from trio_gusto.storage.sqlite.rows import (
    ATTEMPT_COLUMNS,
    EARLIEST,
    LATEST,
    MOST,
    NUMBERS,
    attempt_values,
)
from trio_gusto.storage.sqlite.unreadable import fault_of

ID = JobId(bytes(range(16)))
LOST = AttemptOutcome.LOST
SOUND: Mapping[str, Any] = {
    "seq": 7,
    "attempt": 1,
    "version": 5,
    "state": NUMBERS[JobState.READY],
    "due": 30,
    "node_name": None,
    "claimed_at": None,
    "lease_until": None,
    "started_at": None,
    "ended_at": None,
    "result": None,
    "reason": None,
    "id": ID,
    "name": "work",
    "args": "[]",
    "created_at": 11,
    "max_attempts": 3,
    "timeout": 12,
    "execute_after": 13,
    "expire_on": 99,
    "queue": "mail",
    "priority": -4,
    "tenant": "acme",
    "job_type": "shop",
    "method_name": "work_on",
    "ref_id": "order-7",
    "details": '{"worker":"smtp"}',
    "percent": None,
    "message": None,
}
"""A row of `WHOLE_JOB`, by its columns."""

DETAILS = Details("order-7", worker="smtp")
BAD: Mapping[str, Any] = {"args": 5}
"""What lets a row be unreadable, and is not needed to move its job on."""


def row(**changes: Any) -> list[Any]:
    return list({**SOUND, **changes}.values())


def rough(state: State | None = None, **changes: Any) -> StoredJob:
    """What is made of a bad row."""
    request: dict[str, Any] = {
        "id": ID,
        "name": "work",
        "args": "",
        "created_at": 11,
        "max_attempts": 3,
        "expire_on": 99,
        "queue": "mail",
        "tenant": "acme",
        "details": DETAILS,
    }
    attempt = changes.pop("attempt", 1)
    made = JobRequest(**{**request, **changes})
    return StoredJob(made, 7, Ready(30) if state is None else state, attempt, 5, ())


def test_a_sound_row_is_read_as_it_is() -> None:
    request = JobRequest(
        *(ID, "work", "[]", 11, 3, 12, 13, 99, "mail", -4, "acme"),
        details=DETAILS,
        job_type="shop",
        method_name="work_on",
    )
    assert job_to_move(row()) == StoredJob(request, 7, Ready(30), 1, 5, ())
    told = job_to_move(row(percent=40, message="half"))
    assert told == StoredJob(request, 7, Ready(30), 1, 5, (), Progress(40, "half"))


@pytest.mark.parametrize("column", ["name", "job_type", "method_name"])
def test_a_row_without_the_names_of_its_handler_cannot_be_read(column: str) -> None:
    told = "LookupError('its handler is not in the table handler, or has no names there')"
    assert fault_of(row()) is None
    assert fault_of(row(**{column: None})) == told


IN_STATE: Mapping[JobState, str] = {
    JobState.WAITING: "",
    JobState.SCHEDULED: "due",
    JobState.READY: "due",
    JobState.PROCESSING: "claimed_at lease_until",
    JobState.COMPLETED: "claimed_at started_at ended_at",
    JobState.FAILED: "ended_at",
    JobState.CANCELLED: "ended_at",
    JobState.SKIPPED: "ended_at",
    JobState.EXPIRED: "ended_at",
}
INSTANTS = ("due", "claimed_at", "lease_until", "started_at", "ended_at")


@pytest.mark.parametrize("state", JobState)
def test_a_row_has_the_instants_of_its_state(state: JobState) -> None:
    needed = IN_STATE[state].split()
    has = {"state": NUMBERS[state], **{name: 40 if name in needed else None for name in INSTANTS}}
    assert fault_of(row(**has)) is None
    for name in INSTANTS:
        assert (fault_of(row(**{**has, name: None})) is not None) == (name in needed)


def test_a_row_that_waits_for_its_callback_has_begun() -> None:
    waits = {"state": NUMBERS[JobState.WAITING], "claimed_at": 40, "reason": ID.hex()}
    assert fault_of(row(**waits, started_at=41)) is None
    assert fault_of(row(**waits)) is not None


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_without_a_date_is_none_in_any_state(name: str) -> None:
    assert fault_of(row(**{name: LATEST})) is None
    told = f"ValueError('{LATEST + 1} is no instant that has a date')"
    assert fault_of(row(**{name: LATEST + 1})) == told


def test_a_state_that_nobody_knows_is_the_fault_of_its_row() -> None:
    assert fault_of(row(state=-1)) == "KeyError(-1)"


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, {}),
        ({"expire_on": None}, {"expire_on": None}),
        ({"expire_on": "soon"}, {"expire_on": 0}),
        ({"created_at": LATEST + 1}, {"created_at": 0}),
        ({"created_at": EARLIEST}, {"created_at": EARLIEST}),
        ({"max_attempts": "many"}, {"max_attempts": 1}),
        ({"max_attempts": -1}, {"max_attempts": 1}),
        ({"attempt": MOST}, {"attempt": 1}),
        ({"attempt": 2}, {"attempt": 2}),
        ({"name": None}, {"name": ""}),
        ({"name": "w\udcff"}, {"name": "w?"}),
        ({"queue": "m\udcff"}, {"queue": "m?"}),
        ({"tenant": b"acme"}, {"tenant": ""}),
        ({"details": "{}"}, {"details": Details("order-7")}),
        ({"details": "{}", "ref_id": None}, {"details": Details()}),
        ({"details": None, "ref_id": None}, {"details": None}),
        ({"details": "{{"}, {"details": None}),
        ({"details": '{"tags":5}'}, {"details": None}),
    ],
)
def test_of_a_bad_row_all_is_kept_that_makes_sense(
    changes: Mapping[str, Any], kept: Mapping[str, Any]
) -> None:
    assert job_to_move(row(**BAD, **changes)) == rough(**kept)


LEASED: Mapping[str, Any] = {
    "state": NUMBERS[JobState.PROCESSING],
    "node_name": "node",
    "claimed_at": 40,
    "lease_until": 50,
}


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        (LEASED, Processing("node", 40, 50)),
        ({**LEASED, "reason": "enough"}, Processing("node", 40, 50, "enough")),
        ({**LEASED, "reason": "e\udcff"}, Processing("node", 40, 50, "e?")),
        ({**LEASED, "node_name": None}, Processing("", 40, 50)),
        ({**LEASED, "claimed_at": "x"}, Processing("node", 0, 50)),
        ({**LEASED, "lease_until": LATEST + 1}, Processing("node", 40, 0)),
        ({"state": 77}, Waiting((), Condition.SUCCESS)),
        ({"state": None}, Waiting((), Condition.SUCCESS)),
    ],
)
def test_of_a_bad_row_the_state_is_kept_if_it_is_one(
    changes: Mapping[str, Any], state: State
) -> None:
    assert job_to_move(row(**BAD, **changes)) == rough(state)


def test_who_asks_for_a_bad_row_is_told_which_it_is() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE attempt (seq, {ATTEMPT_COLUMNS})")
        with pytest.raises(UnreadableRecord) as refused:
            read_job(connection, row(**BAD), whole_history=False)
    told = refused.value
    assert (told.kind, told.key) == ("job", "00010203-0405-0607-0809-0a0b0c0d0e0f")
    assert told.fault == "TypeError('5 is no text')"
    assert isinstance(told.__cause__, TypeError)
    assert shown_id("x" * 16) == f"with the id {'x' * 16!r}"
    assert shown_id(b"short") == "with the id b'short'"


def test_a_job_is_read_with_its_last_attempt_or_with_all() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE attempt (seq, {ATTEMPT_COLUMNS})")
        first, last, other = [
            AttemptRecord(
                number=number,
                token=number,
                node="n",
                claimed_at=1,
                started_at=2,
                ended_at=3,
                outcome=LOST,
            )
            for number in (1, 2, 3)
        ]
        for seq, record in ((7, last), (7, first), (8, other)):
            values = (seq, *attempt_values(record))
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO attempt VALUES ({marks})", values)
        for seq, whole, history in (
            (7, False, (last,)),
            (7, True, (first, last)),
            (8, True, (other,)),
            (9, False, ()),
        ):
            job = read_job(connection, row(seq=seq), whole_history=whole)
            assert job == attrs.evolve(job_to_move(row(seq=seq)), history=history)
        connection.execute("UPDATE attempt SET outcome = 77 WHERE token = 2")
        with pytest.raises(UnreadableRecord):
            read_job(connection, row(), whole_history=False)
        assert last_attempt(connection, 7) == ()
        assert last_attempt(connection, 8) == (other,)


def test_texts_that_are_no_utf_8_are_read_where_they_are_asked_for_and_nowhere_else() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        asked = "SELECT CAST(x'61ff' AS TEXT), ?"
        assert fetched(connection, asked, ("é",)) == [("a\udcff", "é")]
        assert fetched(connection, "SELECT 'a'") == [("a",)]
        with pytest.raises(sqlite3.OperationalError):
            connection.execute(asked, ("é",)).fetchall()
        with lossy_texts(connection):
            assert connection.execute(asked, (1,)).fetchone() == ("a\udcff", 1)
        assert connection.text_factory is str
        with pytest.raises(sqlite3.OperationalError, match="no such table: nowhere"):
            fetched(connection, "SELECT * FROM nowhere")
    assert printable("a\udcffé") == "a?é"
    assert printable(5) == printable(None) == printable(b"a") == ""


def test_a_record_that_cannot_be_read_is_told_of_with_its_file() -> None:
    told = (
        "jobs.db has a record that cannot be read (ValueError('x')), and this asks for it, so nothing was done; "
        "`trio-gusto audit jobs.db` tells which it is"
    )
    assert str(unreadable(ValueError("x"), "jobs.db")).startswith(told)
    location = Location("jobs.db", "FULL", 1.0)
    assert str(location.unreadable(ValueError("x"))) == str(unreadable(ValueError("x"), "jobs.db"))
    error = sqlite3.OperationalError("malformed JSON")
    assert str(explained(error, "jobs.db", 1)) == str(unreadable(error, "jobs.db"))


# --- rows that a claim takes ------------------------------------------------------------------------


class Known(Names):
    """Knows one handler."""

    def __init__(self) -> None:
        pass

    def handler(self, number: int) -> tuple[str, str, str]:
        assert number == 6
        return "work", "shop", "work_on"


TAKEN: Mapping[str, Any] = {
    "rank": 0,
    "due": 30,
    "seq": 7,
    "attempt": 1,
    "version": 5,
    "id": ID.hex(),
    "handler": 6,
    "args": "[1]",
    "created_at": 11,
    "max_attempts": 3,
    "timeout": 12,
    "execute_after": 13,
    "expire_on": 99,
    "queue": "mail",
    "priority": -4,
    "tenant": "acme",
    "details": None,
    "ref_id": None,
}


def taken(*rows: Mapping[str, Any]) -> list[ClaimedJob]:
    made: list[list[Any]] = []
    for changes in rows:
        columns = {**TAKEN, **changes}
        text, ref_id = columns.pop("details"), columns.pop("ref_id")
        values = [*columns.values(), None, None]
        values[ready.DETAILS], values[ready.REF_ID] = text, ref_id
        made.append(values)
    return claimed_jobs(made, Known(), ClaimDue("node", 60, 90, 10, 10))


def test_what_is_taken_has_all_that_its_row_says() -> None:
    request = JobRequest(
        *(ID, "work", "[1]", 11, 3, 12, 13, 99, "mail", -4, "acme"),
        job_type="shop",
        method_name="work_on",
    )
    (job,) = taken({})
    assert job == ClaimedJob(request, 2, 6, 30, "node", 60)


def test_jobs_with_the_same_details_share_them_unless_they_could_be_changed() -> None:
    same = {"details": '{"worker":"smtp"}'}
    one, two = taken(same, same)
    assert one.request.details == two.request.details == Details(worker="smtp")
    assert one.request.details is two.request.details
    first, third = taken(same, {**same, "ref_id": "order-7"})
    assert first.request.details == Details(worker="smtp")
    assert third.request.details == Details("order-7", worker="smtp")
    named, plain = taken({**same, "ref_id": "order-7"}, same)
    assert named.request.details == Details("order-7", worker="smtp")
    assert plain.request.details == Details(worker="smtp")
    for key in ("metadata", "context"):
        own = {"details": f'{{"{key}":{{"a":1}}}}'}
        left, right = taken(own, own)
        assert left.request.details == right.request.details
        assert left.request.details is not right.request.details


BOUNDS: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("attempt", "version", "max_attempts", "timeout"), (0, MOST - 1)),
    **dict.fromkeys(("created_at", "due", "execute_after", "expire_on"), (EARLIEST, LATEST)),
    "priority": (-MOST + 1, MOST - 1),
}


@pytest.mark.parametrize("column", BOUNDS)
def test_a_number_that_cannot_stand_there_is_not_taken(column: str) -> None:
    low, high = BOUNDS[column]
    for sound in (low, high):
        assert len(taken({column: sound})) == 1
    for wrong in (low - 1, high + 1):
        with pytest.raises(ValueError, match=r"^a number in it is none that can stand there$"):
            taken({column: wrong})


@pytest.mark.parametrize("column", ["timeout", "execute_after", "expire_on"])
def test_what_need_not_be_given_is_not_asked_for_its_bounds(column: str) -> None:
    (job,) = taken({column: None})
    assert getattr(job.request, column) is None

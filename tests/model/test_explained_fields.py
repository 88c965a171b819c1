"""What programs read of an explanation: who is in the way, until when, and what belongs to the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest

from tests.model.jobs import CALLBACK, NOW, SECOND, stored
from trio_gusto.model.explaining import explain
from trio_gusto.model.explanation import Reason, Surroundings, WorkersHere
from trio_gusto.model.failure import JobError
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.instants import to_datetime
from trio_gusto.model.job import AttemptRecord, Details, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome, Lost
from trio_gusto.model.pauses import StoredPause
from trio_gusto.model.quarantine import reason
from trio_gusto.model.rates import RateLimit, of_key, of_queue
from trio_gusto.model.states import (
    AwaitingCallback,
    Cancelled,
    Completed,
    Condition,
    Expired,
    Failed,
    Processing,
    Ready,
    Scheduled,
    Skipped,
    Waiting,
)

PARENTS = tuple(uuid7(NOW * 1000, number) for number in range(4))
ABLE = WorkersHere(knows_handler=True, serves_queue=True, free=1, concurrency=4)
BUSY = attrs.evolve(ABLE, free=0)
LEASE = NOW + 60 * SECOND
ERROR = JobError("OSError", "the disk is full", "", ())
DUE = {"due": to_datetime(NOW), "name": "say_hello", "queue": "default"}


def now(**changes: Any) -> Surroundings:
    return attrs.evolve(Surroundings(now=NOW), **changes)


def after(outcome: AttemptOutcome, state: Scheduled | Failed) -> StoredJob:
    """A job whose first attempt is over."""
    error = ERROR if outcome is AttemptOutcome.FAILED else None
    record = AttemptRecord(1, 1, "node-0", NOW, NOW, NOW, outcome, error)
    return attrs.evolve(stored(state, attempt=1), history=(record,))


def ids(*numbers: int) -> tuple[UUID, ...]:
    return tuple(to_uuid(PARENTS[number]) for number in numbers)


LIMIT = RateLimit(2, per=60)
KEY_REFUSES = (of_key("api"), LIMIT, NOW + 3 * SECOND)
QUEUE_REFUSES = (of_queue("default"), RateLimit(1, per=5, burst=2), NOW + 2 * SECOND)

Fields = tuple[tuple[UUID, ...], datetime | None, Mapping[str, object]]

EXAMPLES: Sequence[tuple[StoredJob, Surroundings, Fields]] = [
    (
        stored(Waiting(PARENTS[:3], Condition.FAILURE)),
        now(live=PARENTS[:2]),
        (ids(0, 1), None, {"condition": "failure", "parents": 3, "live": 2}),
    ),
    (
        stored(Waiting(PARENTS[:3], Condition.FINISH)),
        now(),
        ((), None, {"condition": "finish", "parents": 3}),
    ),
    (
        stored(AwaitingCallback(CALLBACK, NOW, NOW + SECOND, "node-0")),
        now(),
        (
            (to_uuid(CALLBACK),),
            None,
            {"started_at": to_datetime(NOW), "node_id": "node-0"},
        ),
    ),
    (
        stored(Waiting(), details=Details(schedule_name="nightly", fire_time=NOW)),
        now(live=PARENTS[:2]),
        (ids(0, 1), None, {"schedule_name": "nightly", "live": 2}),
    ),
    (
        stored(Ready(NOW - SECOND), expire_on=NOW),
        now(),
        ((), None, {"expire_on": to_datetime(NOW)}),
    ),
    (
        stored(Scheduled(NOW + SECOND)),
        now(),
        ((), to_datetime(NOW + SECOND), {}),
    ),
    (
        after(AttemptOutcome.FAILED, Scheduled(NOW + SECOND)),
        now(),
        (
            (),
            to_datetime(NOW + SECOND),
            {"attempt": 1, "max_attempts": 3, "outcome": AttemptOutcome.FAILED, "error": ERROR},
        ),
    ),
    (
        after(AttemptOutcome.SNOOZED, Scheduled(NOW + SECOND)),
        now(),
        ((), to_datetime(NOW + SECOND), {}),
    ),
    (
        stored(Ready(NOW)),
        now(workers=ABLE, pause=StoredPause("default", None, "the relay is down", NOW - SECOND)),
        (
            (),
            None,
            {
                **DUE,
                "queue": "default",
                "tenant": None,
                "since": to_datetime(NOW - SECOND),
                "why": "the relay is down",
            },
        ),
    ),
    (
        stored(Ready(NOW), tenant="acme"),
        now(workers=ABLE, pause=StoredPause(None, "acme", "", NOW)),
        ((), None, {**DUE, "queue": None, "tenant": "acme", "since": to_datetime(NOW), "why": ""}),
    ),
    (
        stored(Ready(NOW), details=Details(worker="smtp")),
        now(workers=ABLE, in_lane=PARENTS[:2]),
        (ids(0, 1), None, {**DUE, "worker": "smtp"}),
    ),
    (
        stored(Ready(NOW), details=Details(concurrency_key="acme", concurrency_limit=2)),
        now(workers=ABLE, in_lane=PARENTS[:3]),
        (ids(0, 1, 2), None, {**DUE, "concurrency_key": "acme", "concurrency_limit": 2}),
    ),
    (
        stored(Ready(NOW), details=Details(rate_key="api", rate_limit=LIMIT)),
        now(workers=ABLE, refusals=[KEY_REFUSES, QUEUE_REFUSES]),
        (
            (),
            to_datetime(NOW + 3 * SECOND),
            {
                **DUE,
                "bucket": "rate key 'api'",
                "count": 2,
                "per": timedelta(seconds=60),
                "burst": 2,
                "rate_key": "api",
            },
        ),
    ),
    (
        stored(Ready(NOW)),
        now(workers=ABLE, refusals=[QUEUE_REFUSES]),
        (
            (),
            to_datetime(NOW + 2 * SECOND),
            {
                **DUE,
                "bucket": "queue 'default'",
                "count": 1,
                "per": timedelta(seconds=5),
                "burst": 2,
                "rate_key": None,
            },
        ),
    ),
    (
        stored(Ready(NOW)),
        now(workers=BUSY),
        ((), None, {**DUE, "concurrency": 4}),
    ),
    (
        stored(Ready(NOW), tenant="acme"),
        now(workers=attrs.evolve(BUSY, takes_turns=True)),
        ((), None, {**DUE, "concurrency": 4, "tenant": "acme"}),
    ),
    (stored(Ready(NOW)), now(workers=ABLE), ((), None, DUE)),
    (stored(Ready(NOW)), now(workers=attrs.evolve(ABLE, knows_handler=False)), ((), None, DUE)),
    (stored(Ready(NOW)), now(workers=attrs.evolve(ABLE, serves_queue=False)), ((), None, DUE)),
    *(
        (
            stored(Processing("node-0", NOW, LEASE, reason), attempt=1),
            now(is_lost=is_lost),
            (
                (),
                to_datetime(LEASE),
                {"node_id": "node-0", "claimed_at": to_datetime(NOW)},
            ),
        )
        for reason, is_lost in [(None, False), ("enough", False), (None, True)]
    ),
    (
        stored(Completed(NOW, NOW, NOW, "node-0"), attempt=2),
        now(),
        ((), None, {"ended_at": to_datetime(NOW), "node_id": "node-0"}),
    ),
    (
        after(AttemptOutcome.FAILED, Failed(NOW, "all attempts failed")),
        now(),
        (
            (),
            None,
            {
                "ended_at": to_datetime(NOW),
                "reason": "all attempts failed",
                "attempt": 1,
                "error": ERROR,
            },
        ),
    ),
    *(
        (
            stored(state, attempt=1),
            now(),
            ((), None, {"ended_at": to_datetime(NOW), "reason": state.reason, "attempt": 1}),
        )
        for state in (Cancelled(NOW, "not wanted"), Skipped(NOW, "late"), Expired(NOW, "late"))
    ),
]


@pytest.mark.parametrize(("job", "around", "fields"), EXAMPLES)
def test_an_explanation_has_these_fields(
    job: StoredJob, around: Surroundings, fields: Fields
) -> None:
    told = explain(job, around)
    assert (told.blocking, told.until, told.details) == fields


def test_of_many_jobs_at_a_limit_three_are_in_the_sentence() -> None:
    job = stored(Ready(NOW), details=Details(concurrency_key="acme", concurrency_limit=2))
    told = explain(job, now(workers=ABLE, in_lane=PARENTS[:3])).sentence
    assert told.endswith(f"they are {', '.join(map(str, ids(0, 1, 2)))}.")
    told = explain(job, now(workers=ABLE, in_lane=PARENTS)).sentence
    assert told.endswith(f"they are {', '.join(map(str, ids(0, 1, 2)))} and others.")


def test_one_earlier_job_of_a_schedule_is_one() -> None:
    job = stored(Waiting(), details=Details(schedule_name="nightly", fire_time=NOW))
    told = explain(job, now(live=PARENTS[:1])).sentence
    assert told == "It waits for 1 earlier job of the schedule 'nightly' to end."


def test_a_job_in_quarantine_says_who_may_take_it_out() -> None:
    why = reason(Lost(3))
    told = explain(after(AttemptOutcome.FAILED, Failed(NOW, why)), now())
    assert told.sentence == (
        f"It failed at 2023-11-14 22:13:20 UTC: {why}, which its handler may have done; "
        "it runs again only if it is retried by hand."
    )
    assert (told.reason.value, told.details["quarantined"]) == ("failed", True)
    assert (told.details["error"], told.details["attempt"]) == (ERROR, 1)


def test_a_dossier_is_told_by_its_first_line_and_kept_whole() -> None:
    told = explain(stored(Ready(NOW)), now(workers=ABLE, dossier="it waited\nfor a lock\nfor ever"))
    assert told.sentence.endswith(
        " takes it. Its last attempt did not end in time, and has a dossier: it waited."
    )
    assert told.details == {**DUE, "dossier": "it waited\nfor a lock\nfor ever"}


def test_a_job_that_is_due_by_now_is_as_good_as_ready() -> None:
    assert explain(stored(Scheduled(NOW)), now(workers=ABLE)).details == DUE


def test_a_job_that_waits_is_behind_its_schedule_only_if_it_has_one_and_something_lives() -> None:
    of_none = stored(Waiting(), details=Details(worker="smtp"))
    assert explain(of_none, now(live=PARENTS[:2])).reason is Reason.WAITING_FOR_PARENTS
    of_one = stored(Waiting(), details=Details(schedule_name="nightly"))
    assert explain(of_one, now()).reason is Reason.WAITING_FOR_RELEASE


def test_a_retry_that_is_due_when_the_attempt_ended_is_a_retry() -> None:
    job = after(AttemptOutcome.FAILED, Scheduled(NOW))
    assert explain(job, Surroundings(now=NOW - 1)).reason is Reason.RETRYING


def test_a_success_whose_result_was_stored_says_no_more() -> None:
    told = explain(stored(Completed(NOW, NOW, NOW, "node-0"), attempt=2), now())
    assert told.sentence == "It completed at 2023-11-14 22:13:20 UTC in attempt 2."

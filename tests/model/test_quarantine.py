"""How lost attempts are counted, and what becomes of the job: the rule by example."""

from __future__ import annotations

from typing import Any

import pytest

from tests.model.jobs import NOW, SECOND, claimed, stored
from trio_gusto.model.happenings import Ending
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord, StoredJob
from trio_gusto.model.lifecycle import settle
from trio_gusto.model.outcomes import AttemptOutcome, Lost
from trio_gusto.model.quarantine import SPREAD, is_quarantined, loss_of, lost_in_a_row, pause_after
from trio_gusto.model.states import Cancelled, Failed, Processing, Ready, Scheduled

LOST, FAILED, RELEASED = AttemptOutcome.LOST, AttemptOutcome.FAILED, AttemptOutcome.RELEASED

RUNNING = Processing("node-0", NOW, NOW + 60 * SECOND)
FIRST, LAST = JobId(bytes(16)), JobId(b"\xff" * 16)


def after(attempt: int, *records: tuple[int, AttemptOutcome, bool]) -> StoredJob:
    """A running job with a history: of each attempt the number, the outcome, and whether it was entered."""
    job = stored(RUNNING, attempt=attempt)
    job.history = tuple(
        AttemptRecord(number, token, "node", NOW, NOW if entered else None, NOW, outcome)
        for token, (number, outcome, entered) in enumerate(records)
    )
    return job


@pytest.mark.parametrize(
    ("job", "count"),
    [
        (after(1), 1),
        (after(3, (1, LOST, False), (2, LOST, False)), 3),
        (after(3, (1, LOST, False), (2, FAILED, True)), 1),
        (after(4, (1, FAILED, True), (2, LOST, False), (3, LOST, False)), 3),
        (after(3, (1, LOST, False), (2, LOST, False), (3, RELEASED, False)), 3),
        (after(3, (1, LOST, False), (2, LOST, False), (3, RELEASED, True)), 1),
        (after(1, (1, LOST, False), (2, LOST, False), (3, LOST, False)), 1),
        (after(2, (1, LOST, False), (2, LOST, False), (1, LOST, False)), 2),
    ],
    ids=[
        "the first",
        "all of them",
        "a failure in between",
        "a failure before",
        "given back before it was entered",
        "given back while it ran",
        "retried by hand",
        "lost again after that",
    ],
)
def test_attempts_lost_in_a_row_are_counted(job: StoredJob, count: int) -> None:
    assert lost_in_a_row(job) == count


def lose(lost: Lost, cancel_reason: str | None = None, **changes: Any) -> Any:
    ending = Ending(lost, NOW + 5, None, cancel_reason=cancel_reason)
    return settle(claimed(attempt=2, **{"max_attempts": 9, **changes}), ending).state


def test_a_job_that_was_lost_too_often_fails_whatever_attempts_are_left() -> None:
    state = lose(Lost(3, 3))
    assert state == Failed(NOW + 5, "quarantined: lost with its node 3 times in a row")
    assert is_quarantined(state.reason)
    assert lose(Lost(1, 1)) == Failed(NOW + 5, "quarantined: lost with its node 1 time")
    assert lose(Lost(2, 3)) != state
    assert isinstance(lose(Lost(99, None)), Ready)


def test_a_cancellation_and_the_last_attempt_come_first() -> None:
    assert lose(Lost(3, 3), "not needed") == Cancelled(NOW + 5, "not needed")
    assert lose(Lost(3, 3), max_attempts=2) == Failed(NOW + 5, "lost in its last attempt")


def test_the_first_time_it_runs_again_at_once_and_later_after_a_pause_of_its_own() -> None:
    assert isinstance(lose(Lost(1, 3)), Ready)
    assert lose(Lost(2, 3), id=LAST) == Scheduled(NOW + 5 + SPREAD - 1)
    assert [pause_after(Lost(2, 3), job_id) for job_id in (FIRST, LAST)] == [0, SPREAD - 1]
    assert lose(Lost(2, 3), id=LAST, expire_on=NOW + SECOND) == Failed(NOW + 5, "expired")


@pytest.mark.parametrize(
    ("lost", "is_put_off"),
    [
        (Lost(1, 3), False),
        (Lost(2, 3), True),
        (Lost(2, None), False),
        (Lost(1, None), False),
    ],
)
def test_only_who_was_lost_again_waits_and_only_where_there_is_a_quarantine(
    lost: Lost, is_put_off: bool
) -> None:
    assert bool(pause_after(lost, LAST)) is is_put_off


def test_a_loss_counts_those_before_it_and_knows_when_it_is_enough() -> None:
    assert loss_of(after(2, (1, LOST, False)), 3) == Lost(2, 3)
    assert loss_of(after(1), None) == Lost(1, None)

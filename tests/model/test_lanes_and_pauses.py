"""The rules of named workers and pauses."""

from __future__ import annotations

import pytest

from trio_gusto.model.job import Details
from trio_gusto.model.lanes import Lanes, worker_of
from trio_gusto.model.pauses import StoredPause, covered, unheard, view

from .jobs import request


def test_a_worker_that_is_not_at_work_is_admitted_once() -> None:
    lanes = Lanes(["smtp"])
    admitted = [lanes.admit(worker) for worker in ("smtp", "printer", "printer", None, None)]
    assert admitted == [False, True, False, True, True]


def test_asking_whether_a_worker_is_free_does_not_take_it() -> None:
    lanes = Lanes([])
    assert lanes.is_free("smtp")
    assert lanes.is_free("smtp")
    assert lanes.admit("smtp")
    assert not lanes.is_free("smtp")
    assert lanes.is_free(None)


def test_most_jobs_have_no_worker() -> None:
    assert worker_of(request()) is None
    assert worker_of(request(details=Details())) is None
    assert worker_of(request(details=Details(worker="smtp"))) == "smtp"


@pytest.mark.parametrize(
    ("queue", "tenant", "holds"),
    [
        (None, None, True),
        ("mail", None, True),
        ("other", None, False),
        (None, "acme", True),
        (None, "", False),
        ("mail", "acme", True),
        ("mail", "", False),
        ("other", "acme", False),
    ],
)
def test_a_pause_covers(queue: str | None, tenant: str | None, holds: bool) -> None:
    pause = StoredPause(queue, tenant, "", 0)
    assert covered([pause], request(queue="mail", tenant="acme")) is holds


def test_who_has_not_heard_is_who_holds_something_paused() -> None:
    pauses = [StoredPause("mail", None, "", 0, 1), StoredPause(None, "acme", "", 0, 5)]
    running = [("b", "mail", ""), ("a", "other", "acme"), ("c", "other", ""), ("d", "mail", "")]
    assert unheard(pauses, running, {"d": 1}) == ("a", "b")
    assert unheard(pauses, running, {"a": 4, "b": 1}) == ("a", "d")
    assert unheard([], running, {}) == ()


def test_users_see_since_when() -> None:
    seen = view(StoredPause("mail", None, "repairs", 1_000_000, 3))
    assert (seen.queue, seen.tenant, seen.reason) == ("mail", None, "repairs")
    assert seen.since.isoformat() == "1970-01-01T00:00:01+00:00"

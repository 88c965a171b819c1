"""The rules of named workers and pauses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_gusto.model.job import Details
from trio_gusto.model.lanes import (
    ROOM_FOR_ALL,
    Lanes,
    Occupancy,
    can_be_full,
    lane_of,
    lane_of_worker,
    makes_others_wait,
    room_of,
)
from trio_gusto.model.pauses import StoredPause, covered, unheard, view
from trio_gusto.model.rates import RateLimit

from .jobs import request


def admitted(lanes: Lanes, *jobs: tuple[str, int]) -> list[bool]:
    return [bool(lanes.admit(lane, room, spends_last=False)) for lane, room in jobs]


SMTP, PRINTER, KEY = "worker smtp", "worker printer", "key acme"


def test_a_worker_that_is_not_at_work_is_admitted_once() -> None:
    lanes = Lanes.of([(SMTP, 1, 1, 0)], 1)
    assert lanes.closed == {SMTP}
    assert admitted(lanes, (SMTP, 1), (PRINTER, 1), (PRINTER, 1)) == [False, True, False]
    assert lanes.closed == {SMTP, PRINTER}


def test_a_key_has_room_for_its_limit_and_each_job_says_its_own() -> None:
    assert admitted(Lanes.of([(KEY, 1, 0, 0)], 1), *[(KEY, 3)] * 3) == [True, True, False]
    assert admitted(Lanes.of([(KEY, 2, 0, 0)], 1), (KEY, 2)) == [False]
    assert admitted(Lanes.of([(KEY, 2, 0, 0)], 1), (KEY, 3)) == [True]


def test_what_stands_behind_a_job_that_has_to_wait_does_not_overtake_it() -> None:
    lanes = Lanes.of([(KEY, 1, 0, 0)], 1)
    assert admitted(lanes, (KEY, 1), (KEY, 5), (SMTP, 1)) == [False, False, True]


def test_jobs_that_run_alone_are_leased_in_a_row_to_one_node() -> None:
    assert admitted(Lanes.of([(SMTP, 1, 1, 1)], 3), *[(SMTP, 1)] * 3) == [True, True, False]
    assert admitted(Lanes.of([(SMTP, 1, 1, 0)], 3), (SMTP, 1)) == [False]
    assert admitted(Lanes.of([(KEY, 2, 1, 1)], 3), (KEY, 1)) == [False], (
        "not beside one that does not"
    )
    assert admitted(Lanes.of([(KEY, 2, 2, 2)], 3), (KEY, 3)) == [False], "and nothing beside a row"
    assert admitted(Lanes.of([(KEY, 1, 1, 1)], 3), (KEY, 3)) == [True]


def test_a_row_of_two_nodes_is_joined_by_neither() -> None:
    occupancy = Occupancy()
    occupancy.add(1, is_own=True)
    assert occupancy.room_for(1, depth=3) == 2
    occupancy.add(1, is_own=False)
    assert occupancy == Occupancy(leases=2, singles=2, own=1)
    assert occupancy.room_for(1, depth=3) == 0


@given(
    leases=st.integers(0, 3).flatmap(
        lambda leases: st.tuples(st.just(leases), st.integers(0, leases), st.integers(0, leases))
    ),
    room=st.integers(1, 4),
    depth=st.integers(1, 4),
    count=st.integers(1, 5),
    lane=st.sampled_from([SMTP, KEY]),
    spends_last=st.booleans(),
)
def test_as_many_are_admitted_together_as_one_by_one(
    leases: tuple[int, int, int],
    room: int,
    depth: int,
    count: int,
    lane: str,
    spends_last: bool,
) -> None:
    at_work, singles, own = leases
    leased = [(lane, at_work, singles, min(singles, own))] if at_work else []
    together, by_one = Lanes.of(leased, depth), Lanes.of(leased, depth)
    admitted_by_one = sum(by_one.admit(lane, room, spends_last=spends_last) for _ in range(count))
    assert together.admit(lane, room, count, spends_last=spends_last) == admitted_by_one
    assert together.closed == by_one.closed


def test_no_last_attempt_stands_behind_another_job() -> None:
    lanes = Lanes.of([], 3)
    assert lanes.admit(SMTP, 1, spends_last=True)
    assert not lanes.admit(SMTP, 1, spends_last=True)
    assert not lanes.admit(SMTP, 1, spends_last=False), "nor does what is behind overtake it"


def test_most_jobs_are_in_no_lane() -> None:
    assert lane_of(request()) is None
    assert lane_of(request(details=Details())) is None
    assert lane_of(request(details=Details(worker="smtp"))) == SMTP == lane_of_worker("smtp")
    keyed = request(details=Details(concurrency_key="acme", concurrency_limit=3))
    assert (lane_of(keyed), room_of(keyed), room_of(request())) == (KEY, 3, 1)


def test_a_rate_key_makes_a_lane_where_there_is_no_other_and_all_have_room_in_it() -> None:
    limit = RateLimit(1, per=1)
    rated = request(details=Details(rate_key="api", rate_limit=limit))
    assert (lane_of(rated), room_of(rated)) == ("rate api", ROOM_FOR_ALL)
    alone = request(details=Details(rate_key="api", rate_limit=limit, worker="smtp"))
    assert (lane_of(alone), room_of(alone)) == (SMTP, 1)
    keyed = Details(rate_key="api", rate_limit=limit, concurrency_key="acme", concurrency_limit=3)
    assert (lane_of(request(details=keyed)), room_of(request(details=keyed))) == (KEY, 3)
    assert room_of(request(details=Details(concurrency_limit=4))) == 4
    assert [can_be_full(lane) for lane in (SMTP, KEY, "rate api")] == [True, True, False]
    kinds = [request(), rated, alone, request(details=keyed)]
    assert [makes_others_wait(one) for one in kinds] == [False, False, True, True]


def test_an_occupancy_counts_what_runs_alone_and_what_is_its_own() -> None:
    occupancy = Occupancy()
    occupancy.add(1, is_own=False)
    occupancy.add(1, 2, is_own=True)
    occupancy.add(3, 4, is_own=True)
    assert occupancy == Occupancy(leases=7, singles=3, own=2)
    assert Occupancy(1, 0, 0).room_for(2, 5) == 1, "two at once are not one alone"
    assert Occupancy(1, 1, 1).room_for(2, 5) == 1


def test_whether_a_worker_is_free_is_asked_once_and_one_is_taken() -> None:
    asked: list[str] = []

    def find(lane: str) -> None:
        asked.append(lane)

    lanes = Lanes(find)
    assert lanes.room_for(SMTP, 1, spends_last=True) == 1
    lanes.take(SMTP, 1)
    assert lanes.closed == {SMTP}
    assert lanes.room_for(SMTP, 1, spends_last=False) == 0
    assert asked == [SMTP]
    row = Lanes(find, depth=2)
    assert row.room_for(SMTP, 1, spends_last=False) == 2
    row.take(SMTP, 1)
    assert not row.closed
    row.take(SMTP, 1)
    assert row.closed == {SMTP}


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
    assert view(StoredPause(None, "acme", "", 0)).tenant == "acme"


def test_those_admitted_together_all_count() -> None:
    lanes = Lanes.of([], 3)
    assert lanes.admit(SMTP, 1, 2, spends_last=False) == 2
    assert lanes.admit(SMTP, 1, 2, spends_last=False) == 1

"""The rule of rate limits, and which jobs a claim admits by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.model.jobs import request
from trio_gusto.model.admission import Admission, key_limit
from trio_gusto.model.errors import OptionsError
from trio_gusto.model.job import Details
from trio_gusto.model.lanes import ROOM_FOR_ALL, Lanes
from trio_gusto.model.order import place
from trio_gusto.model.rates import (
    SKEW,
    Bucket,
    RateLimit,
    Rates,
    first_start,
    of_key,
    of_queue,
    startable,
    was_set_back,
)

SECOND = 1_000_000
A_SECOND = RateLimit(1, per=1)


def started(limit: RateLimit, *instants: int) -> Bucket | None:
    bucket: Bucket | None = None
    for now in instants:
        bucket = (bucket or Bucket(now, 0, now, limit)).start(now, limit)
    return bucket


def test_a_limit_is_written_in_seconds_or_as_a_timedelta() -> None:
    assert RateLimit(100, per=60) == RateLimit(100, timedelta(minutes=1), 100)
    assert RateLimit(3, per=0.5, burst=1).period == 500_000
    assert str(RateLimit(3, per=0.5)) == "3 in 0.5 s"
    assert str(RateLimit(3, per=60, burst=1)) == "3 in 60 s, 1 at once"


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("count", {"count": 0}),
        ("count", {"count": True}),
        ("count", {"count": 1.5}),
        ("count", {"count": 1_000_000_001}),
        ("per", {"per": 0}),
        ("per", {"per": -1}),
        ("per", {"per": 1e-7}),
        ("per", {"per": float("nan")}),
        ("per", {"per": 1e30}),
        ("per", {"per": "60"}),
        ("per", {"per": timedelta(days=36_601)}),
        ("burst", {"burst": 0}),
        ("burst", {"burst": "1"}),
    ],
)
def test_a_limit_that_says_nothing_is_refused(key: str, values: dict[str, Any]) -> None:
    with pytest.raises(OptionsError) as caught:
        RateLimit(**({"count": 1, "per": 60} | values))
    assert caught.value.key == key
    assert caught.value.value is values[key]
    assert "give" in caught.value.allowed


def test_tokens_grow_in_fractions_of_microseconds() -> None:
    limit = RateLimit(3, per=1)
    bucket = started(limit, 0, 0, 0)
    assert bucket is not None
    instants = [0, 0, 0]
    for _ in range(6):
        now = first_start(bucket, instants[-1], limit)
        bucket = bucket.start(now, limit)
        instants.append(now)
    assert instants[3:] == [333_334, 666_667, 1_000_000, 1_333_334, 1_666_667, 2_000_000]
    assert bucket.starts == 9


def test_a_bucket_that_is_full_again_is_as_if_it_were_new() -> None:
    limit = RateLimit(2, per=1)
    bucket = started(limit, 0, 0)
    assert bucket is not None
    assert bucket.full_at == SECOND
    assert first_start(bucket, SECOND // 2 - 1, limit) == SECOND // 2
    assert bucket.start(SECOND - 1, limit) == Bucket(0, 3, SECOND - 1, limit)
    assert bucket.start(SECOND, limit) == Bucket(SECOND, 1, SECOND, limit)


def test_a_clock_that_differs_a_little_is_waited_for() -> None:
    bucket = started(A_SECOND, 9 * SECOND)
    assert bucket is not None
    assert not was_set_back(bucket, 9 * SECOND - SKEW, A_SECOND)
    assert first_start(bucket, 9 * SECOND - 5, A_SECOND) == 10 * SECOND


def test_a_limit_that_was_raised_counts_from_the_start_of_the_bucket() -> None:
    bucket = started(RateLimit(1, per=10), 0, 0)
    assert bucket is not None
    raised = RateLimit(1, per=1)
    assert first_start(bucket, 2 * SECOND - 1, raised) == 2 * SECOND
    assert first_start(bucket, 3 * SECOND, raised) == 3 * SECOND
    assert bucket.start(3 * SECOND, raised) == Bucket(3 * SECOND, 1, 3 * SECOND, raised)


def test_a_clock_that_was_set_back_finds_the_bucket_empty() -> None:
    bucket = started(A_SECOND, 99 * SECOND)
    assert bucket is not None
    assert was_set_back(bucket, 0, A_SECOND)
    assert first_start(bucket, 0, A_SECOND) == SECOND
    rates = Rates(lambda _: bucket, 0, None)
    assert rates.refusal([("key k", A_SECOND)]) == "key k"
    (mended,) = rates.spent([]).values()
    assert first_start(mended, SECOND, A_SECOND) == SECOND


def nothing(_name: str) -> None:
    return None


def admission(rates: Rates) -> Admission:
    return Admission(Lanes(nothing), rates)


def test_a_job_takes_a_token_of_its_queue_and_of_its_key_or_of_neither() -> None:
    rates = Rates({of_key("k"): started(A_SECOND, 0)}.get, 0, {"slow": A_SECOND})
    claim = admission(rates)
    limit = "k", A_SECOND
    assert not claim.admit("slow", "rate k", ROOM_FOR_ALL, limit, spends_last=False)
    assert rates.next_start == SECOND
    assert not claim.closed_queues
    assert claim.admit_plain("slow"), "the token of the queue was left"
    assert not claim.admit_plain("slow")
    assert claim.admit_plain("other")
    assert claim.closed_queues == {"slow"}
    taken = rates.demands("slow", None)
    assert rates.spent([taken]) == {of_queue("slow"): Bucket(0, 1, 0, A_SECOND)}


@pytest.mark.parametrize("lane", ["worker smtp", "rate k"])
def test_those_behind_in_its_lane_wait_too(lane: str) -> None:
    rates = Rates({of_key("k"): started(A_SECOND, 0)}.get, 0, None)
    claim = admission(rates)
    assert not claim.admit("a", lane, ROOM_FOR_ALL, ("k", A_SECOND), spends_last=False)
    assert claim.waiting_lanes == {lane}
    assert not claim.admit("a", lane, ROOM_FOR_ALL, None, spends_last=False)
    assert claim.admit("a", "worker printer", 1, None, spends_last=False)


def test_an_empty_queue_closes_no_lane() -> None:
    rates = Rates({of_queue("slow"): started(A_SECOND, 0)}.get, 0, {"slow": A_SECOND})
    claim = admission(rates)
    assert not claim.admit("slow", "worker smtp", 1, None, spends_last=False)
    assert claim.closed_queues == {"slow"}
    assert not claim.admit("slow", "worker printer", 1, None, spends_last=False)
    assert claim.admit("fast", "worker smtp", 1, None, spends_last=False)
    assert claim.admit("fast", "worker printer", 1, None, spends_last=False)


def test_a_queue_is_closed_when_a_job_in_a_lane_has_taken_its_last_token() -> None:
    claim = admission(Rates(nothing, 0, {"slow": A_SECOND}))
    assert claim.admit("slow", "worker smtp", 1, None, spends_last=False)
    assert not claim.closed_queues
    assert not claim.admit("slow", "worker printer", 1, None, spends_last=False)
    assert claim.closed_queues == {"slow"}
    assert claim.admit("fast", "worker printer", 1, None, spends_last=False)


def test_none_that_takes_a_token_is_put_behind_another() -> None:
    rates = Rates(nothing, 0, None)
    claim = Admission(Lanes(nothing, depth=2), rates)
    assert claim.admit("a", "worker smtp", 1, None, spends_last=False)
    assert not claim.admit("a", "worker smtp", 1, ("k", A_SECOND), spends_last=False)
    assert rates.next_start is None, "it is its lane that it waits for"


@pytest.mark.parametrize(
    ("limited", "free", "reach"),
    [
        ("", 3, 0),
        ("....", 2, 4),
        ("....", 0, 4),
        ("!...", 2, 2),
        (".!..", 2, 2),
        ("..!.", 2, 2),
        ("...!", 2, 3),
        ("!", 0, 0),
        ("!", 5, 1),
    ],
)
def test_a_claim_with_a_limited_job_takes_none_ahead(limited: str, free: int, reach: int) -> None:
    assert startable([sign == "!" for sign in limited], free) == reach


def test_ageing_trades_lateness_for_priority() -> None:
    young, old = (-2, 20, 1), (0, 0, 2)
    assert place(*young, None) < place(*old, None)
    assert place(*young, 11) < place(*old, 11)
    assert place(*old, 9) < place(*young, 9)
    assert place(*young, 10) < place(*old, 10), "equal, so the sequence decides"


def test_a_claim_is_told_when_the_first_of_those_refused_may_start() -> None:
    stored = {of_key("fast"): started(A_SECOND, 0), of_key("slow"): started(RateLimit(1, per=3), 0)}
    rates = Rates(stored.get, 0, None)
    assert rates.next_due(None) is None
    assert rates.next_due(7) == 7
    assert rates.refusal(rates.demands("a", ("slow", RateLimit(1, per=3)))) == of_key("slow")
    assert rates.next_start == 3 * SECOND
    assert rates.refusal(rates.demands("a", ("fast", A_SECOND))) == of_key("fast")
    assert rates.next_start == SECOND
    assert rates.refusal(rates.demands("a", ("slow", RateLimit(1, per=3)))) == of_key("slow")
    assert rates.next_start == SECOND
    assert rates.next_due(None) == SECOND
    assert rates.next_due(7) == 7
    assert rates.next_due(2 * SECOND) == SECOND


def test_a_token_is_taken_of_what_is_stored_and_of_what_this_claim_has_taken() -> None:
    limit = RateLimit(3, per=3)
    stored = started(limit, 0)
    rates = Rates({of_key("k"): stored}.get, 0, None)
    demands = rates.demands("a", ("k", limit))
    assert stored == Bucket(0, 1, 0, limit)
    assert rates.refusal(demands) is None
    rates.take(demands)
    assert rates.refusal(demands) is None
    rates.take(demands)
    assert rates.refusal(demands) == of_key("k")
    assert rates.spent([demands, demands]) == {of_key("k"): Bucket(0, 3, 0, limit)}
    assert rates.spent([demands]) == {of_key("k"): Bucket(0, 2, 0, limit)}


def test_what_a_clock_that_was_set_back_has_written_is_mended_once() -> None:
    limit = RateLimit(2, per=2)
    asked: list[str] = []

    def find(name: str) -> Bucket | None:
        asked.append(name)
        return started(limit, 99 * SECOND)

    rates = Rates(find, 0, None)
    demands = rates.demands("a", ("k", limit))
    assert rates.refusal(demands) == of_key("k")
    assert rates.refusal(demands) == of_key("k")
    assert asked == [of_key("k")]
    assert rates.spent([demands]) == {of_key("k"): Bucket(0, 3, 0, limit)}


def test_a_claim_of_some_queues_closes_those_alone() -> None:
    limits = {"a": A_SECOND, "b": A_SECOND, "c": A_SECOND}
    stored = {of_queue("a"): started(A_SECOND, 0), of_queue("b"): started(A_SECOND, 0)}

    def closed(shares: list[tuple[str, int]] | None) -> set[str]:
        return Admission(Lanes(nothing), Rates(stored.get, 0, limits), shares).closed_queues

    assert closed(None) == {"a", "b"}
    assert closed([("b", 1), ("c", 1), ("d", 1)]) == {"b"}
    assert not Admission(Lanes(nothing), None).closed_queues


def test_the_last_second_counts_as_over() -> None:
    limit = RateLimit(2, per=1)
    bucket = Bucket(
        0, 2, 0, RateLimit(1, per=9)
    )  # kept by a slower limit, which has not let it fill
    assert first_start(bucket, SECOND, limit) == SECOND
    assert bucket.start(SECOND, limit) == Bucket(SECOND, 1, SECOND, limit)
    assert bucket.start(SECOND - 1, limit) == Bucket(0, 3, SECOND - 1, limit)


def test_the_greatest_numbers_are_taken() -> None:
    assert RateLimit(1_000_000_000, per=timedelta(days=36_525)).period == 36_525 * 86_400 * SECOND
    assert RateLimit(1, per=1, burst=1_000_000_000).burst == 1_000_000_000
    assert RateLimit(1, per=timedelta(days=36_600)).per == timedelta(days=36_600)
    with pytest.raises(OptionsError) as refused:
        RateLimit(1, per=timedelta(days=36_600, microseconds=1))
    assert refused.value.allowed == (
        "give seconds or a timedelta, from a microsecond to a hundred years"
    )


def test_a_clock_is_not_set_back_as_long_as_its_bucket_would_fill_by_then() -> None:
    limit = RateLimit(1, per=60)
    bucket = Bucket(0, 1, 100 * SECOND, limit)
    assert not was_set_back(bucket, 40 * SECOND, limit)
    assert was_set_back(bucket, 40 * SECOND - 1, limit)


def test_a_job_without_a_limit_is_admitted_by_its_lane_alone() -> None:
    claim = Admission(Lanes(nothing, depth=2), Rates(nothing, 0, {"slow": A_SECOND}))
    assert claim.admit("fast", "key k", 1, None, spends_last=False)
    assert not claim.admit("fast", "key k", 1, None, spends_last=True), "not behind another"
    assert not claim.admit("fast", "key k", 1, None, spends_last=False), "nor what is behind that"
    plain = Admission(Lanes(nothing, depth=2), None)
    assert plain.admit("fast", "key k", 1, None, spends_last=False)
    assert not plain.admit("fast", "key k", 1, None, spends_last=True)
    assert plain.admit_plain("fast")


def test_what_takes_a_token_counts_in_its_lane() -> None:
    claim = Admission(Lanes(nothing), Rates(nothing, 0, None))
    limit = "k", RateLimit(5, per=1)
    assert claim.admit("a", "key acme", 2, limit, spends_last=False)
    assert claim.admit("a", "key acme", 2, limit, spends_last=False)
    assert not claim.admit("a", "key acme", 2, limit, spends_last=False)
    assert claim.lanes.closed == {"key acme"}
    assert not claim.waiting_lanes, "it is for no token that they wait"


def test_a_rate_key_without_a_limit_limits_nothing() -> None:
    assert key_limit(request()) is None
    assert key_limit(request(details=Details(rate_key="k"))) is None
    assert key_limit(request(details=Details(rate_limit=A_SECOND))) is None
    assert key_limit(request(details=Details(rate_key="k", rate_limit=A_SECOND))) == ("k", A_SECOND)


def test_a_claim_is_filled_until_it_is_full_or_no_queue_was_closed() -> None:
    asked: list[int] = []

    def fill(limit: int, *found: list[int]) -> list[int]:
        claim = Admission(Lanes(nothing), None)
        answers = iter(found)

        def take(most: int) -> list[int]:
            asked.append(most)
            claim.closed_queues.add(f"queue {most}")
            return next(answers)

        return claim.fill(limit, take)

    assert fill(3, [1], [2, 3]) == [1, 2, 3]
    assert asked == [3, 2]
    assert Admission(Lanes(nothing), None).fill(3, lambda most: [1]) == [1]


def test_a_queue_whose_last_token_a_job_in_a_lane_has_taken_is_closed() -> None:
    claim = admission(Rates(nothing, 0, {"slow": A_SECOND}))
    assert claim.admit("slow", "worker smtp", 1, None, spends_last=False)
    assert not claim.closed_queues
    assert not claim.admit("slow", "worker printer", 1, None, spends_last=False)
    assert claim.closed_queues == {"slow"}


def test_one_that_runs_alone_and_takes_a_token_may_have_others_behind_it() -> None:
    claim = Admission(Lanes(nothing, depth=2), Rates(nothing, 0, None))
    assert claim.admit("a", "key acme", 1, ("k", A_SECOND), spends_last=False)
    assert claim.admit("a", "key acme", 1, None, spends_last=False)


def test_a_bucket_that_is_just_full_by_its_own_limit_is_full_by_every_other() -> None:
    assert first_start(Bucket(0, 1, 0, A_SECOND), SECOND, RateLimit(1, per=9)) == SECOND

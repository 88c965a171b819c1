"""What earlier runs say of a job."""

from __future__ import annotations

import pytest

from trio_gusto.model.estimating import ALMOST, Estimate, estimate, percentile

SECOND = 1_000_000


def runs(*seconds: float) -> list[int]:
    return [round(each * SECOND) for each in seconds]


def guess(
    durations: list[int], elapsed: float | None = None, reported: float | None = None
) -> Estimate:
    found = estimate(durations, None if elapsed is None else round(elapsed * SECOND), reported)
    assert found is not None
    return found


def test_without_earlier_runs_there_is_none() -> None:
    assert estimate([], 5, 50.0) is None


def test_a_job_that_does_not_run_has_a_duration_only() -> None:
    assert guess(runs(4, 2, 100)) == Estimate(duration=4.0, spread=(2.0, 100.0), runs=3)


def test_one_that_runs_is_as_far_as_the_time_says() -> None:
    found = guess(runs(10, 10, 10), elapsed=4)

    assert (found.percent, found.is_estimated, found.remaining) == (40.0, True, 6.0)


def test_shorter_runs_than_this_one_do_not_count_any_more() -> None:
    found = guess(runs(1, 1, 1, 1, 20), elapsed=5)

    assert (found.percent, found.remaining) == (25.0, 15.0)
    assert found.duration == 1.0


def test_one_that_takes_longer_than_all_is_almost_through_and_nobody_knows_when() -> None:
    found = guess(runs(1, 2), elapsed=2)

    assert (found.percent, found.is_estimated, found.remaining) == (ALMOST, True, None)


def test_nothing_is_through_before_it_has_ended() -> None:
    found = guess([10 * SECOND], elapsed=9.999999)

    assert found.percent == ALMOST


def test_what_a_job_says_itself_holds() -> None:
    found = guess(runs(10), elapsed=9, reported=20.0)

    assert (found.percent, found.is_estimated, found.remaining) == (20.0, False, 8.0)


def test_runs_that_took_no_time_are_no_trouble() -> None:
    found = guess([0, 0], elapsed=0)

    assert (found.duration, found.percent, found.remaining) == (0.0, ALMOST, None)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 1, 1), (2, 1, 2), (10, 1, 9), (11, 2, 10), (100, 10, 90)]
)
def test_percentiles_are_values_that_were_measured(count: int, low: int, high: int) -> None:
    values = list(range(count, 0, -1))

    assert (percentile(values, 10), percentile(values, 90)) == (low, high)


def test_a_job_that_has_just_begun_is_at_nothing() -> None:
    assert guess([4], elapsed=0).percent == 0
    set_back = guess([4], elapsed=-1)
    assert (set_back.percent, set_back.remaining) == (0, 1 + 4 / SECOND)


def test_percentiles_are_runs_that_there_were() -> None:
    values = list(range(1, 201))
    assert [percentile(values, rank) for rank in (0, 10, 50, 90, 100)] == [1, 20, 100, 180, 200]
    found = guess(values)
    assert found.spread == (20 / SECOND, 180 / SECOND)

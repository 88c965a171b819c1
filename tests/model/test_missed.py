"""Which instants were missed, found without asking for each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import pytest

from trio_gusto.model.missed import MOST_COUNTED, Missed, missed, newest_until

Grid = Callable[[int], int | None]


def asked_of(instants: Sequence[int]) -> tuple[Grid, list[int]]:
    """The next of these instants, and what was asked for."""
    asked: list[int] = []

    def next_after(instant: int) -> int | None:
        assert isinstance(instant, int)
        asked.append(instant)
        place = bisect_right(instants, instant)
        return instants[place] if place < len(instants) else None

    return next_after, asked


@pytest.mark.parametrize(
    ("until", "newest"), [(0, 0), (9, 0), (10, 10), (11, 10), (500, 500), (999, 990), (5000, 1000)]
)
def test_the_newest_is_the_last_one_that_is_not_later(until: int, newest: int) -> None:
    next_after, _ = asked_of(range(0, 1001, 10))
    assert newest_until(next_after, 0, until) == newest


def test_the_newest_is_found_by_halves() -> None:
    next_after, asked = asked_of(range(0, 2**20 + 1, 2))
    assert newest_until(next_after, 0, 2**20) == 2**20
    assert len(asked) < 50
    next_after, asked = asked_of([0, 1, 2, 10**15])
    assert newest_until(next_after, 0, 10**15 - 1) == 2
    assert len(asked) < 120


def test_a_few_are_counted_and_of_many_it_is_said_that_there_are_more() -> None:
    next_after, _ = asked_of(range(0, 10_000_000, 100))
    assert missed(next_after, 0, 450, 2) == Missed([300, 400], 5)
    assert missed(next_after, 0, 400, 2) == Missed([300, 400], 5)
    most = MOST_COUNTED + 2
    assert missed(next_after, 0, 100 * (most - 1), 2).at_least is False
    more = missed(next_after, 0, 100 * most, 2)
    assert more == Missed([100 * most - 100, 100 * most], most, at_least=True)


def test_of_many_even_ones_the_newest_are_found_with_few_questions() -> None:
    keep = 20
    last = 100 * 50_000
    next_after, asked = asked_of(range(0, 10_000_000, 100))
    found = missed(next_after, 0, last, keep)
    assert list(found.newest) == list(range(last - 100 * (keep - 1), last + 1, 100))
    assert len(asked) < 410


def test_of_many_uneven_ones_the_newest_are_found_too() -> None:
    instants = [n * n for n in range(2000)]
    next_after, _ = asked_of(instants)
    assert list(missed(next_after, 0, instants[1500] + 5, 7).newest) == instants[1494:1501]


def test_instants_may_follow_at_once() -> None:
    next_after, _ = asked_of(range(1000))
    assert list(missed(next_after, 0, 900, 5).newest) == [896, 897, 898, 899, 900]

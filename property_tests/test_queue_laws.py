"""Queues with weights: each gets its part of the starts, so none starves; and the law can fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_gusto.model import queues

Share = Callable[[Mapping[str, int], int, int], Sequence[tuple[str, int]]]

weights = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1)
limits = st.lists(st.integers(1, 12), min_size=1, max_size=30)


def taken(share: Share, weights: Mapping[str, int], limits: Sequence[int]) -> Counter[str]:
    """What claims of these sizes take from queues that never run empty."""
    found = Counter[str]()
    before = 0
    for limit in limits:
        found.update(dict(share(weights, limit, before)))
        before += limit
    return found


def check_parts(share: Share, weights: Mapping[str, int], limits: Sequence[int]) -> None:
    found, total = taken(share, weights, limits), sum(weights.values())
    rounds = sum(limits) // total
    assert found.total() == sum(limits)
    for name, weight in weights.items():
        assert rounds * weight <= found[name] <= (rounds + 1) * weight, "a queue has not its part"


@given(weights=weights, limits=limits)
def test_each_queue_gets_its_part_however_small_the_claims(
    weights: dict[str, int], limits: list[int]
) -> None:
    check_parts(queues.shares, weights, limits)


@given(weights=weights, limits=limits)
def test_within_a_claim_a_queue_waits_no_longer_than_one_round(
    weights: dict[str, int], limits: list[int]
) -> None:
    before, total = 0, sum(weights.values())
    for limit in limits:
        names = [name for name, part in queues.shares(weights, limit, before) for _ in range(part)]
        order = [names[place] for place in queues.turns(names, weights, before)]
        assert sorted(order) == sorted(names)
        for name in weights:
            places = [place for place, queue in enumerate(order) if queue == name]
            gaps = [later - place for place, later in pairwise(places)]
            assert max(gaps, default=0) <= total, "a queue waited for more than a round"
        before += limit


def starts_anew(weights: Mapping[str, int], limit: int, before: int) -> Sequence[tuple[str, int]]:
    return queues.shares(weights, limit, 0 * before)


def test_the_law_catches_a_wheel_that_always_starts_at_its_first_notch() -> None:
    @settings(max_examples=2000, derandomize=True, database=None)
    @given(weights=weights, limits=limits)
    def law(weights: dict[str, int], limits: list[int]) -> None:
        check_parts(starts_anew, weights, limits)

    with pytest.raises(AssertionError, match="has not its part"):
        law()

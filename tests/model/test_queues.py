"""Shares of a claim: by weight, nobody starving; or strictly in order."""

from __future__ import annotations

from collections import Counter

import pytest

from trio_gusto.model.queues import shares, strict, turns


def test_shares_follow_the_weights() -> None:
    assert dict(shares({"a": 3, "b": 1}, 8, before=0)) == {"a": 6, "b": 2}


@pytest.mark.parametrize("limit", range(12))
@pytest.mark.parametrize("turn", range(12))
def test_shares_of_a_turn_add_up_to_the_limit(limit: int, turn: int) -> None:
    found = shares({"a": 3, "b": 1, "c": 2}, limit, turn)
    assert sum(share for _, share in found) == limit
    assert sorted(name for name, _ in found) == ["a", "b", "c"]


@pytest.mark.parametrize("limit", range(1, 15))
def test_over_the_turns_every_queue_has_its_part(limit: int) -> None:
    weights = {"a": 3, "b": 1, "c": 2}
    total: Counter[str] = Counter()
    turns = sum(weights.values())
    for turn in range(turns):
        total.update(dict(shares(weights, limit, turn * limit)))
    assert total == {name: weight * limit for name, weight in weights.items()}


@pytest.mark.parametrize("limit", range(1, 15))
def test_every_queue_is_asked_first_at_some_turn(limit: int) -> None:
    weights = {"a": 5, "b": 1}
    first = {shares(weights, limit, before)[0][0] for before in range(6)}
    assert first == {"a", "b"}


def test_strictly_the_first_queue_may_take_all() -> None:
    assert strict(["a", "b"], 5) == [("a", 5), ("b", 5)]


def test_jobs_claimed_together_take_turns_by_weight() -> None:
    names = ["a"] * 6 + ["b"] * 2
    order = [names[position] for position in turns(names, {"a": 3, "b": 1}, 0)]
    assert order == ["a", "a", "a", "b", "a", "a", "a", "b"]


def test_taking_turns_keeps_the_order_within_a_queue() -> None:
    assert turns(["b", "a", "b", "a"], {"a": 1, "b": 1}, 1) == [0, 1, 2, 3]

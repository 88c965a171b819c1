"""Whose turn it is."""

from __future__ import annotations

from trio_gusto.model.fairness import STRIDE, Turns


def test_who_is_served_comes_again_after_a_stride_by_weight() -> None:
    turns = Turns({"big": 3})
    assert (turns.place("big"), turns.place("small"), turns.now) == (0, 0, 0)
    turns.serve("big")
    assert turns.place("big") == STRIDE // 3
    turns.serve("small")
    assert turns.place("small") == STRIDE
    turns.serve("big")
    assert (turns.now, turns.place("big")) == (STRIDE // 3, 2 * STRIDE // 3)


def test_whoever_was_away_has_earned_nothing_by_it() -> None:
    turns = Turns({}, now=5, passes=[("ahead", 9)])
    assert (turns.place("ahead"), turns.place("back again")) == (9, 5)


def test_a_weight_divides_a_stride_as_whole_numbers_do() -> None:
    turns = Turns({"odd": 17, "heavy": STRIDE * 2})
    turns.serve("odd")
    assert turns.ahead() == {"odd": STRIDE // 17}
    turns = Turns({"heavy": STRIDE * 2})
    turns.serve("heavy")
    assert turns.place("heavy") == 1, "nobody is served for nothing"


def test_only_what_is_ahead_of_the_pass_that_is_served_is_remembered() -> None:
    turns = Turns({}, passes=[("a", 1)])
    turns.serve("a")
    assert turns.ahead() == {"a": 1 + STRIDE}
    at_it = Turns({}, now=3, passes=[("a", 3), ("b", 4)])
    assert at_it.ahead() == {"b": 4}


def test_a_replay_tells_of_those_served_who_is_ahead() -> None:
    turns = Turns({"b": STRIDE}, passes=[("idle", 7)])
    assert turns.replay(["b", "a"]) == {"a": STRIDE, "b": 1}
    assert turns.replay(["b", "b", "b"]) == {"b": 4}
    assert turns.now == 3

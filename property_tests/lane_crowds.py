"""What needs lanes in a certain order on purpose: full ones in front, others behind them, some of them later.

A walk that meets nothing but lanes that are closed ends in the heads of the others, and what a limit
lets in depends on what is leased already. Whole machines draw that rarely; these rules do it at once.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.lane_agreement import LaneAgreement, picks
from trio_gusto.model.job import Details

BEHIND = (
    Details(worker="b"),
    Details(concurrency_key="b"),
    Details(concurrency_key="b", concurrency_limit=2),
)


def of_key(limit: int) -> Details:
    return Details(concurrency_key="b", concurrency_limit=limit)


class LaneCrowds(LaneAgreement):
    """Jobs in few lanes, nearly all in one queue, and claims of a few of them."""

    @rule(pick=picks, waiting=st.integers(1, 3))
    def fill_in_front(self, pick: int, waiting: int) -> None:
        """A lane that is full, and jobs that wait in it; these stand before those of others."""
        self.enqueue([(Details(worker="a"), "q", 1, 9, None, None)] * (1 + waiting))
        self.claim(pick, 1, 5, 1, None)

    @rule(
        lanes=st.lists(st.sampled_from(BEHIND), min_size=1, max_size=3),
        after=st.sampled_from([None, None, 1]),
    )
    def stand_behind(self, lanes: list[Details], after: int | None) -> None:
        self.enqueue([(lane, "q", 0, 9, after, None) for lane in lanes])

    @rule(lanes=st.lists(st.sampled_from(BEHIND), min_size=1, max_size=2))
    def come_later(self, lanes: list[Details]) -> None:
        """Jobs that are due in a while, and then it is then."""
        self.enqueue([(lane, "q", 0, 9, 1, None) for lane in lanes])
        self.wait(1)

    @rule(pick=picks, limits=st.lists(st.sampled_from([2, 1, 3]), min_size=2, max_size=4))
    def stand_together(self, pick: int, limits: list[int]) -> None:
        """Jobs of one lane, each with a limit of its own, and a claim that would take them all."""
        self.enqueue([(of_key(limit), "q", 0, 9, None, None) for limit in limits])
        self.claim(pick, len(limits), 5, 1, None)

    @rule(pick=picks, limit=st.integers(3, 4))
    def line_up(self, pick: int, limit: int) -> None:
        """Two that run alone are with one node; behind them is one that would let others run beside it."""
        self.enqueue([(of_key(n), "q", 1, 9, None, None) for n in (1, 1, limit)])
        self.claim(pick, 2, 5, 2, None)

    @rule(pick=picks, depth=st.integers(2, 3))
    def line_up_last(self, pick: int, depth: int) -> None:
        """Two that run alone, each on its last attempt, and a node that would have both."""
        self.enqueue([(Details(worker="b"), "q", 1, 1, None, None)] * 2)
        self.claim(pick, 2, 5, depth, None)

    @rule(pick=picks, limit=st.integers(1, 4), depth=st.integers(1, 3))
    def claim_few(self, pick: int, limit: int, depth: int) -> None:
        self.claim(pick, limit, 5, depth, None)

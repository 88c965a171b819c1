"""Whole pieces of jobs, counted and kept on purpose before something happens to them.

What is kept of a piece matters once another has begun behind it; a machine that draws single jobs gets
there late.
"""

from __future__ import annotations

from hypothesis.stateful import rule

from property_tests.count_agreement import CountAgreement, picks, places
from trio_gusto.model.states import Cancelled, Failed, Ready


class CountPieces(CountAgreement):
    """Pieces are of four jobs."""

    @rule(place=places)
    def fill_pieces(self, place: tuple[str, str]) -> None:
        for _ in range(8):
            self.insert(place, Ready(self.now), None)

    @rule(place=places)
    def lose_pieces(self, place: tuple[str, str]) -> None:
        for _ in range(8):
            self.record_skipped(place)
        self.count_and_keep(1)
        self.prune(9)

    @rule(place=places, pick=picks)
    def end_twice(self, place: tuple[str, str], pick: int) -> None:
        """One of a piece, and it is counted between."""
        self.fill_pieces(place)
        self.fill_pieces(place)
        self.change(pick + 8, Failed(self.now, ""))
        self.count_and_keep(1)
        self.change(pick + 8, Cancelled(self.now, ""))

    @rule(place=places)
    def take_turns(self, place: tuple[str, str]) -> None:
        """As one ends, another of its piece begins: as many are at work as when it was counted."""
        self.fill_pieces(place)
        self.claim(2)
        self.count_and_keep(1)
        self.complete(1)
        self.claim(1)

    @rule(place=places)
    def come_back_into_a_piece(self, place: tuple[str, str]) -> None:
        """It is refused as another has its key, and is among others again."""
        self.fill_pieces(place)
        self.enqueue_unique(place, "replace")
        self.change(0, Cancelled(self.now, ""))
        self.fill_pieces(place)
        self.enqueue_unique(place, "replace")
        self.prune(9)
        self.count_and_keep(1)
        self.change(9, Ready(self.now))

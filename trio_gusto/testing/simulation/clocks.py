"""The clocks of a simulation: one true time, and what each machine's clock makes of it."""

from __future__ import annotations

from trio.testing import MockClock

from ...clock import Clock
from ...model.instants import MICROSECONDS

IDLE = 3600.0
"""Seconds after which idle actors look at a clock again that nobody can set without their hearing
of it. On a machine it is 30, since nobody tells them."""

LATE = 0.05
"""Seconds by which an idle actor may be late, since its clock has gone wrong while it slept."""


class NodeClock(Clock):
    """The wall clock of one machine. It can be set, and can go wrong.

    Trio's clock, by which deadlines are kept, is the same for all machines.
    """

    calm = 0.0  # virtual time keeps nobody busy

    def __init__(self, trio_clock: MockClock, start: int) -> None:
        self._seconds = trio_clock.current_time
        self._wall = start  # what it shows at `_anchor`
        self._anchor = 0.0
        self._pace = 1.0

    @property
    def longest_sleep(self) -> float:  # type: ignore[override]
        """Seconds; shorter the more a clock goes wrong, which comes right only by being looked at."""
        if self._pace == 1.0:
            return IDLE
        return min(IDLE, max(Clock.longest_sleep, LATE / abs(self.rate)))

    @property
    def rate(self) -> float:
        """Seconds that it gains in a second."""
        return self._pace - 1.0

    def instant(self) -> int:
        # Rounded, never cut off: a sleep of 0.3 s must not leave the clock a microsecond short.
        return self._wall + round((self._seconds() - self._anchor) * self._pace * MICROSECONDS)

    def nanoseconds(self) -> int:
        return self.instant() * 1000

    def step(self, by: int) -> None:
        """Set it ``by`` microseconds ahead, or back if negative."""
        self._wall += by

    def drift(self, rate: float) -> None:
        """From now on gain ``rate`` seconds in a second, or lose them if negative."""
        self._wall = self.instant()
        self._anchor = self._seconds()
        self._pace = 1.0 + rate

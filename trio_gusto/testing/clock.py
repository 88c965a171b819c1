"""`VirtualClock`: wall time that follows Trio's clock, and can be set like a clock on a wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

from ..clock import Clock
from ..model.instants import MICROSECONDS, to_duration, to_instant

START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock(Clock):
    """A wall clock that shows ``start`` when it is first used and then goes as Trio's clock goes.

    Under `trio.testing.MockClock` it is right to the microsecond: a job due in an hour is due when
    the mock clock has jumped that far. Between two runs, and in other threads than Trio's, it
    stands still.

    Args:
        start: an aware datetime; 2026-01-01 UTC if left out.

    Raises:
        ValueError: ``start`` has no time zone.

    >>> clock = VirtualClock()
    >>> clock.step(timedelta(hours=1))
    >>> clock.now().isoformat()
    '2026-01-01T01:00:00+00:00'
    """

    def __init__(self, start: datetime = START) -> None:
        self._wall = to_instant(start)  # what it shows at `_anchor`
        self._anchor = 0.0
        self._run: trio.lowlevel.TrioToken | None = None
        self._shown = self._wall

    def instant(self) -> int:
        try:
            run, at = trio.lowlevel.current_trio_token(), trio.current_time()
        except RuntimeError:  # no run, or another thread
            return self._shown
        if run is not self._run:
            self._run, self._anchor, self._wall = run, at, self._shown
        # Rounded, never cut off: a sleep of 0.3 s must not leave the clock a microsecond short.
        self._shown = self._wall + round((at - self._anchor) * MICROSECONDS)
        return self._shown

    def nanoseconds(self) -> int:
        return self.instant() * 1000

    def step(self, by: float | timedelta) -> None:
        """Set the wall clock ``by`` seconds (or a timedelta) ahead, or back if negative.

        Trio's clock and all deadlines are left alone, as when somebody sets a machine's clock. A
        running app notices within 30 seconds of Trio's clock, or when something else wakes it.
        """
        length = to_duration(by)
        self._wall += length
        self._shown += length

    def __repr__(self) -> str:
        return f"<VirtualClock {self.now().isoformat()}>"

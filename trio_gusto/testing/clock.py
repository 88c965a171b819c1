"""`VirtualClock`: wall time that follows Trio's clock, and can be set like a clock on a wall.

And `standing_still`, which a mock clock needs beside threads: it knows nothing of them, takes a
program that waits for one for idle, and jumps.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import attrs
import trio
from trio.testing import MockClock

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

    def standing_still(self) -> AbstractContextManager[object]:
        return standing_still()

    def step(self, by: float | timedelta) -> None:
        """Set the wall clock ``by`` seconds (or a timedelta) ahead, or back if negative.

        Trio's clock and all deadlines are left alone, as when somebody sets a machine's clock. A
        running app notices within 30 seconds of Trio's clock, or when something else wakes it.
        """
        length = to_duration(by)
        self.instant()  # a step is a use
        self._wall += length
        self._shown += length

    def __repr__(self) -> str:
        return f"<VirtualClock {self.now().isoformat()}>"


@attrs.define
class _Stillness:
    depth: int = 0
    threshold: float = 0.0


_stillness = trio.lowlevel.RunVar[_Stillness]("trio_gusto.testing.stillness")


@contextmanager
def standing_still() -> Generator[None]:
    """Keep a `trio.testing.MockClock` from jumping while the block waits for a thread.

    What is done in a thread takes real time; without this, hours of virtual time may pass
    meanwhile. On another clock it does nothing. Blocks may overlap, in any tasks of the run.
    """
    clock = trio.lowlevel.current_clock()
    if not isinstance(clock, MockClock):
        yield
        return
    try:
        still = _stillness.get()
    except LookupError:
        _stillness.set(still := _Stillness())
    if still.depth == 0:
        still.threshold, clock.autojump_threshold = clock.autojump_threshold, math.inf
    still.depth += 1
    try:
        yield
    finally:
        still.depth -= 1
        if still.depth == 0:
            clock.autojump_threshold = still.threshold

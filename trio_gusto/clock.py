"""The one clock: wall time for what is due and what is recorded, monotonic time for deadlines."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import trio

from .model.instants import to_datetime


class Clock(ABC):
    """Tells the time to everything in one `Gusto`.

    Subclass it to control time in tests (`trio_gusto.testing.VirtualClock` does).
    """

    is_real = False
    """Whether a second of this clock is a second of the machine, so that threads may rely on it."""

    longest_sleep = 30.0
    """Seconds after which whoever sleeps until an instant looks at this clock again, since it may
    have been set."""

    calm = 0.02
    """Seconds between two rounds of hearing what other processes have changed, so that a busy
    neighbour does not keep this one busy too."""

    @abstractmethod
    def nanoseconds(self) -> int:
        """Wall time: nanoseconds since 1970-01-01 UTC. May step in either direction."""

    def instant(self) -> int:
        """Wall time in microseconds since 1970-01-01 UTC."""
        return self.nanoseconds() // 1000

    def now(self) -> datetime:
        """Wall time as an aware UTC ``datetime``."""
        return to_datetime(self.instant())

    def standing_still(self) -> AbstractContextManager[object]:
        """Entered while a worker thread does what takes real time.

        A clock that jumps over idle time must not take that for idle; others need do nothing.
        """
        return nullcontext()

    def monotonic(self) -> float:
        """Seconds on Trio's clock; never steps back. Virtual under a `trio.testing.MockClock`."""
        return trio.current_time()


class SystemClock(Clock):
    """The machine's clock."""

    is_real = True

    nanoseconds = staticmethod(time.time_ns)  # pyright: ignore[reportAssignmentType] # it needs no self

    def instant(self) -> int:
        return time.time_ns() // 1000

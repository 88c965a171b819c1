"""The instants of an expression in a time zone.

Where the clocks go forward, a time that never comes stands for the first instant after the gap, and
all such times together for that one instant. Where they go back, an expression that says *when*
(``30 1 * * *``) happens once, in the first pass; one that says *how often* (``*/30 * * * *``)
happens in both.

One thing may surprise: an expression that says how often also happens at the end of a gap when one
of its times fell into it. ``30 * * * *`` happens at 3:00 and at 3:30 on the day that 2:30 is missing.
Cronos does so, and so does this.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..instants import MICROSECONDS, to_datetime, to_instant
from .clock_changes import change_around
from .expression import Expression
from .wall import WallSearch

_SECOND = timedelta(seconds=1)


class Occurrences:
    """Finds the instants of an expression."""

    def __init__(self, expression: Expression) -> None:
        self._is_interval = expression.is_interval
        self._search = WallSearch(expression)
        self._last: tuple[tuple[int, ZoneInfo], int | None] | None = None
        """The last question and its answer: whoever fires asks the same twice, and in memory for all nodes."""

    def after(self, instant: int, zone: ZoneInfo) -> int | None:
        """The first instant later than ``instant`` (both in microseconds), a whole second.

        ``None`` when there is none until the year 9999.
        """
        last = self._last
        if last is None or last[0] != (instant, zone):
            last = self._last = (instant, zone), self._found_after(instant, zone)
        return last[1]

    def _found_after(self, instant: int, zone: ZoneInfo) -> int | None:
        try:
            # Matching times are whole seconds: later than the whole second is later than its part.
            second = instant // MICROSECONDS * MICROSECONDS
            aware = to_datetime(second).astimezone(zone)
            found = self._after(aware.replace(tzinfo=None), zone)
            return None if found is None else to_instant(found)
        except OverflowError:
            return None

    def _after(self, wall: datetime, zone: ZoneInfo) -> datetime | None:
        change = change_around(wall, zone)
        if change is not None and change.turns_back:
            if wall.fold == 0:
                found = self._search.after(wall, change.end)
                if found is not None:
                    return found.replace(tzinfo=zone)
                wall = change.begin - _SECOND
            if self._is_interval:
                found = self._search.after(wall, change.end)
                if found is not None:
                    return found.replace(tzinfo=zone, fold=1)
            wall = change.end - _SECOND
        found = self._search.after(wall)
        if found is None:
            return None
        change = change_around(found, zone)
        if change is not None and not change.turns_back:
            return change.at.replace(tzinfo=UTC)
        return found.replace(tzinfo=zone)

"""The next time on the wall that matches: a search on a clock without time zone.

croniter searches, and sees lists of numbers only: its own reading of the text, its own time zones
and its own special days are never used. It is asked in one place, `WallSearch.after`, so that
another search could take its place.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime

from croniter import croniter

from .days import shape_of
from .expression import Expression

_ANY_TIME = datetime(2000, 1, 1)  # noqa: DTZ001 - a time on the wall has no zone
_LENGTHS = (60, 60, 24, 31, 12, 7)


class WallSearch:
    """Finds times on the wall that match an expression."""

    def __init__(self, expression: Expression) -> None:
        lists = (
            expression.seconds,
            expression.minutes,
            expression.hours,
            expression.days,
            expression.months,
            expression.weekdays,
        )
        self._rules = expression.rules
        # Where to begin it is told with each question; told nothing here, it would look at the clock.
        self._croniter = croniter(
            " ".join(map(_field, lists, _LENGTHS)),
            _ANY_TIME,
            day_or=False,
            second_at_beginning=True,
        )

    def after(self, wall: datetime, before: datetime | None = None) -> datetime | None:
        """The first matching time later than ``wall``, a whole second.

        ``None`` when there is none before ``before``, or none until the year 9999.
        """
        # A croniter remembers where it is, and threads may share this object.
        search = copy.copy(self._croniter)
        try:
            while True:
                found = search.get_next(datetime, wall)
                if before is not None and found >= before:
                    return None
                day = self._allowed_day(found)
                if day == found.day:
                    return found
                wall = found.replace(day=day - 1, hour=23, minute=59, second=59)
        except (ValueError, OverflowError):
            # The calendar ends. An expression that matches at all does so every 40 years at least,
            # and croniter gives up after 50.
            return None

    def _allowed_day(self, found: datetime) -> int:
        """The first day from the one found on that the rules allow; past the month if none is."""
        if not self._rules:
            return found.day
        month = shape_of(found.year, found.month)
        days = {rule.day_in(month) for rule in self._rules}
        day = days.pop()
        return month.length + 1 if days or day is None or day < found.day else day


def _field(values: Sequence[int], length: int) -> str:
    return "*" if len(values) == length else ",".join(map(str, values))

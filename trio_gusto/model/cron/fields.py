"""The six fields of a cron expression and the macros, as tables."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


@attrs.frozen
class Field:
    """One field: its values from ``low`` to ``high``, and the names that stand for some of them.

    ``span`` is the number of values before they begin again, which a range that wraps needs: days
    of the week go up to 7, but 7 is Sunday once more. ``hash_high`` is the highest value that ``H``
    may stand for.
    """

    name: str
    low: int
    high: int
    span: int
    hash_high: int
    names: Mapping[str, int] = attrs.field(factory=dict[str, int], hash=False)


SECOND = Field("second", 0, 59, 60, 59)
MINUTE = Field("minute", 0, 59, 60, 59)
HOUR = Field("hour", 0, 23, 24, 23)
# No later than the 28th, which every month has: what is hashed runs every month.
DAY_OF_MONTH = Field("day of month", 1, 31, 31, 28)
MONTH = Field("month", 1, 12, 12, 12, dict(zip(_MONTHS, range(1, 13), strict=True)))
DAY_OF_WEEK = Field("day of week", 0, 7, 7, 6, dict(zip(_WEEKDAYS, range(7), strict=True)))

FIELDS = (SECOND, MINUTE, HOUR, DAY_OF_MONTH, MONTH, DAY_OF_WEEK)
"""In the order they are written in. An expression of five fields leaves the seconds out."""

MACROS: Mapping[str, str] = {
    "@EVERY_SECOND": "* * * * * *",
    "@EVERY_MINUTE": "0 * * * * *",
    "@HOURLY": "0 0 * * * *",
    "@DAILY": "0 0 0 * * *",
    "@MIDNIGHT": "0 0 0 * * *",
    "@WEEKLY": "0 0 0 * * 0",
    "@MONTHLY": "0 0 0 1 * *",
    "@YEARLY": "0 0 0 1 1 *",
    "@ANNUALLY": "0 0 0 1 1 *",
}
"""What each macro is short for."""

"""One field of a cron expression, read into the values it stands for.

- ``*`` and ``?`` are every value, ``H`` is one drawn from the schedule's name; each may have a step,
  as ``*/15``, and is alone in its field.
- Otherwise a field is a list of values, ranges ``a-b`` and steps ``a-b/n`` and ``a/n``. A range may
  wrap, and keeps its step across the end: hours ``23-3/2`` are 23, 1 and 3.
- Months and weekdays have names of three letters; 0 and 7 are Sunday.
- The day of month may be ``L``, ``L-3``, ``LW``, ``L-3W`` or ``15W``, the day of week ``5L`` or
  ``5#3``, each alone in its field.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Never

import attrs

from ..errors import ScheduleError
from .days import ALL_DAYS, DayRule, LastDay, LastWeekday, NearestWorkday
from .fields import DAY_OF_MONTH, DAY_OF_WEEK, FIELDS, Field

_EVERY = re.compile(r"([*?H])(?:/(\d+))?")
_RANGE = re.compile(r"([A-Z]+|\d+)(?:-([A-Z]+|\d+))?(?:/(\d+))?")
_LAST_DAY = re.compile(r"L(?:-(\d+))?(W)?")
_NEAREST_WORKDAY = re.compile(r"(\d+)W")
_LAST_WEEKDAY = re.compile(r"([A-Z]{3}|\d+)L")
_NTH_WEEKDAY = re.compile(r"([A-Z]+|\d+)#(\d+)")

MOST_DIGITS = 2
"""Of any number in an expression."""


@attrs.define
class Reading:
    """What one field says.

    ``days`` narrows the days of the month down, which a field of the day of week does with ``L`` and
    ``#``; ``rule`` is the day that no number tells. ``says_how_often``: it has a ``*``, a range or a
    step. ``is_hashed``: it has an ``H``.
    """

    values: Iterable[int]
    days: frozenset[int] = ALL_DAYS
    rule: DayRule | None = None
    says_how_often: bool = False
    is_hashed: bool = False


@attrs.define
class FieldReader:
    """Reads ``text``, in upper case, which begins at ``position`` of the whole ``expression``.

    Without a ``name`` there is nothing to draw an ``H`` from: it is read as all that it might be.
    """

    field: Field
    text: str
    position: int
    expression: str
    name: str | None

    def read(self) -> Reading:
        """What the field says.

        Raises:
            ScheduleError: it says nothing that it may.
        """
        if found := _EVERY.fullmatch(self.text):
            return self._every(found)
        if self.field is DAY_OF_MONTH and (rule := self._day_rule()):
            return Reading(rule.candidates, rule=rule)
        if self.field is DAY_OF_WEEK and (reading := self._weekday_rule()):
            return reading
        return self._list()

    def _every(self, found: re.Match[str]) -> Reading:
        field = self.field
        sign, step_text = found.groups()
        step = 1 if step_text is None else self._step(step_text, found.start(2))
        if sign != "H":
            return Reading(self._spread(field.low, field.high, step), says_how_often=True)
        says_how_often = step_text is not None
        if self.name is None:
            values = self._spread(field.low, field.hash_high, 1)
        elif step_text is None:
            values = [field.low + self._draw(field.hash_high - field.low + 1)]
        else:
            first = field.low + self._draw(min(step, field.hash_high - field.low + 1))
            values = self._spread(first, field.hash_high, step)
        return Reading(values, says_how_often=says_how_often, is_hashed=True)

    def _list(self) -> Reading:
        values: set[int] = set()
        offset = 0
        for item in self.text.split(","):
            found = _RANGE.fullmatch(item)
            if found is None:
                self._refuse_unreadable(item, offset)
            first, last, step_text = found.groups()
            low = self._value(first, offset)
            high = low if step_text is None else self.field.high
            if last is not None:
                high = self._value(last, offset + found.start(2))
            step = 1 if step_text is None else self._step(step_text, offset + found.start(3))
            wrapped = high + self.field.span if high < low else high
            values.update(self._spread(low, wrapped, step))
            offset += len(item) + 1
        return Reading(values, says_how_often="-" in self.text or "/" in self.text)

    def _spread(self, low: int, high: int, step: int) -> list[int]:
        """The values from low to high. Those past the last begin again at the first."""
        first, span = self.field.low, self.field.span
        return [(value - first) % span + first for value in range(low, high + 1, step)]

    # --- days that no number tells ----------------------------------------------------------------

    def _day_rule(self) -> DayRule | None:
        if found := _LAST_DAY.fullmatch(self.text):
            offset, workday = found.groups()
            before = 0 if offset is None else self._number(offset, 0, 30, found.start(1))
            return LastDay(before, workday=workday is not None)
        if found := _NEAREST_WORKDAY.fullmatch(self.text):
            return NearestWorkday(self._value(found[1], 0))
        return None

    def _weekday_rule(self) -> Reading | None:
        if found := _LAST_WEEKDAY.fullmatch(self.text):
            rule = LastWeekday(self._value(found[1], 0) % 7)
            return Reading([rule.weekday], rule.candidates, rule)
        if found := _NTH_WEEKDAY.fullmatch(self.text):
            weekday = self._value(found[1], 0) % 7
            nth = self._number(found[2], 1, 5, found.start(2))
            # The third Friday is the Friday among the days 15 to 21.
            return Reading([weekday], frozenset(range(7 * nth - 6, 7 * nth + 1)) & ALL_DAYS)
        return None

    # --- numbers and names ------------------------------------------------------------------------

    def _value(self, text: str, offset: int) -> int:
        if text.isdigit():
            return self._number(text, self.field.low, self.field.high, offset)
        if text not in self.field.names:
            self._refuse_unreadable(text, offset)
        return self.field.names[text]

    def _step(self, text: str, offset: int) -> int:
        return self._number(text, 1, self.field.high, offset)

    def _number(self, text: str, low: int, high: int, offset: int) -> int:
        if len(text) > MOST_DIGITS or not low <= int(text) <= high:
            self._refuse(
                f"{text} is out of range", f"give a number between {low} and {high}", offset
            )
        return int(text)

    def _draw(self, width: int) -> int:
        """A number below ``width``, the same for the same schedule and field everywhere."""
        seed = f"{self.name}:{FIELDS.index(self.field)}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % width

    def _refuse_unreadable(self, text: str, offset: int) -> Never:
        field = self.field
        names = f" (or names such as {next(iter(field.names))})" if field.names else ""
        begin = self.position + offset
        written = self.expression[begin : begin + len(text)]
        self._refuse(
            f"{written!r} is nothing that this field takes" if text else "a value is missing",
            f"give numbers between {field.low} and {field.high}{names}, ranges or steps",
            offset,
        )

    def _refuse(self, reason: str, instead: str, offset: int) -> Never:
        raise ScheduleError(
            reason,
            instead,
            field=self.field.name,
            expression=self.expression,
            position=self.position + offset,
        )

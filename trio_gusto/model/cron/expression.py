"""The text of a cron expression, read into lists of numbers.

The text never goes any further: whoever searches the calendar gets the lists. So there is one
grammar, `reading`'s, and what it does not know is refused, not guessed. An expression has six fields
(second first) or five (in second 0), parted by blanks or tabs, or is one of the macros. Case does
not matter. A day matches when its day of month, its month and its day of week all do.
"""

from __future__ import annotations

import re

import attrs

from ..errors import ScheduleError
from .days import DayRule, ever_match
from .fields import DAY_OF_MONTH, FIELDS, MACROS
from .reading import FieldReader

_WORD = re.compile(r"[^ \t]+")


@attrs.frozen
class Expression:
    """What an expression says: sorted lists, and all of them must match.

    ``rules`` are the days that no number tells; the one that a rule names in a month is among
    ``days``. ``is_interval``: its time of day has a ``*``, a range or a step, so that it tells how
    often and not when. ``is_hashed``: it has an ``H``.
    """

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    rules: tuple[DayRule, ...]
    is_interval: bool
    is_hashed: bool


def parse(text: str, name: str | None = None) -> Expression:
    """Read an expression; ``name`` is what ``H`` is drawn from.

    Without a name, the lists of an expression with ``H`` hold all that it might stand for.

    Raises:
        ScheduleError: it is malformed, or there is no day in any year that it matches.
    """
    readings = [
        FieldReader(field, word, position, text, name).read()
        for field, (word, position) in zip(FIELDS, _split(text), strict=True)
    ]
    second, minute, hour, _, _, weekday = readings
    seconds, minutes, hours, days, months, weekdays = (
        tuple(sorted(set(reading.values))) for reading in readings
    )
    days = tuple(day for day in days if day in weekday.days)
    rules = tuple(reading.rule for reading in readings if reading.rule is not None)
    if not ever_match(months, days, weekdays, rules):
        raise ScheduleError(
            "no year has a day that matches its day of month, its month and its day of week",
            "remember that all three must match, and how long the months are",
            field=DAY_OF_MONTH.name,
            expression=text,
        )
    return Expression(
        seconds,
        minutes,
        hours,
        days,
        months,
        weekdays,
        rules,
        is_interval=any(reading.says_how_often for reading in (second, minute, hour)),
        is_hashed=any(reading.is_hashed for reading in readings),
    )


def normal_form(text: str) -> str:
    """The text as it matters: two expressions that differ in blanks or case only are the same."""
    return " ".join(_WORD.findall(text.upper()))


def _split(text: str) -> list[tuple[str, int]]:
    """The text of the six fields in upper case, and where in ``text`` each begins."""
    strange = next((n for n, letter in enumerate(text) if not letter.isascii()), None)
    if strange is not None:
        raise ScheduleError(
            f"{text[strange]!r} has no meaning in it",
            "write it in ASCII",
            field="any field",
            expression=text,
            position=strange,
        )
    # ASCII stays as long as it is in upper case, so positions are those of what was given.
    words = [(found[0], found.start()) for found in _WORD.finditer(text.upper())]
    if len(words) == 1 and words[0][0].startswith("@"):
        return _macro(text, *words[0])
    if len(words) == len(FIELDS) - 1:
        words.insert(0, ("0", 0))
    if len(words) != len(FIELDS):
        raise ScheduleError(
            f"it has {len(words)} fields",
            "give five (minute, hour, day of month, month, day of week), "
            "or six with the second before them",
            expression=text,
        )
    return words


def _macro(text: str, macro: str, position: int) -> list[tuple[str, int]]:
    if macro not in MACROS:
        raise ScheduleError(
            f"there is no macro {macro.lower()}",
            f"use one of {', '.join(MACROS).lower()}",
            field="macro",
            expression=text,
            position=position,
        )
    return [(word, position) for word in MACROS[macro].split()]

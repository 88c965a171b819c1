"""Values that callers give for a schedule, checked and brought into the inner form."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from .errors import ScheduleError
from .instants import to_duration, to_instant

Word = TypeVar("Word", bound=StrEnum)


def duration_of(field: str, length: float | timedelta, *, least: int) -> int:
    """The microseconds of a length, not shorter than ``least`` microseconds.

    Raises:
        ScheduleError: it is no length, or too short; ``field`` is the option it was given for.
    """
    try:
        duration = to_duration(length)
    except ValueError as error:
        raise _misfit(field, error) from error
    if duration < least:
        shortest = timedelta(microseconds=least)
        raise ScheduleError(
            f"{length!r} is too short", f"give {shortest.total_seconds():g} s or more", field=field
        )
    return duration


def instant_of(field: str, moment: datetime) -> int:
    """The instant of an aware ``datetime``.

    Raises:
        ScheduleError: it is none; ``field`` is the option it was given for.
    """
    if not isinstance(moment, datetime):
        raise ScheduleError(f"{moment!r} is no datetime", "give an aware datetime", field=field)
    try:
        return to_instant(moment)
    except ValueError as error:
        raise _misfit(field, error) from error


def word_of(field: str, words: type[Word], value: str) -> Word:
    """The one of ``words`` that a string is.

    Raises:
        ScheduleError: it is none of them; ``field`` is the option it was given for.
    """
    try:
        return words(value)
    except ValueError as error:
        raise ScheduleError(
            f"{value!r} is no policy for it",
            f"give {' or '.join(repr(word.value) for word in words)}",
            field=field,
        ) from error


def _misfit(field: str, error: ValueError) -> ScheduleError:
    reason, _, instead = str(error).rpartition("; ")
    return ScheduleError(reason, instead, field=field)

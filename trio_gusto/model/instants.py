"""Instants and durations: integers inside, aware ``datetime`` and ``timedelta`` at the edge.

An *instant* is an ``int`` of microseconds since 1970-01-01 UTC, a *duration* an ``int`` of
microseconds. Both compare, add and store without rounding, and cost a tenth of a ``datetime``.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from .errors import StorageError

MICROSECONDS = 1_000_000
"""Microseconds in one second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ONE = timedelta(microseconds=1)


def to_instant(moment: datetime) -> int:
    """Microseconds since the epoch of an aware ``datetime``.

    Raises:
        ValueError: ``moment`` has no time zone, so it names no instant.
    """
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment!r} has no time zone, so it names no instant; "
            "use an aware datetime such as datetime.now(timezone.utc)"
        )
    return (moment - _EPOCH) // _ONE


class NoDate(StorageError, OverflowError):
    """An ``instant`` is stored that no datetime can hold."""

    def __init__(self, instant: int) -> None:
        self.instant = instant
        super().__init__(
            f"an instant of {instant} microseconds is stored, and there are dates in the years 1 to 9999 "
            "only; `trio-gusto audit` tells whose it is, put it right, or restore a backup"
        )


def to_datetime(instant: int) -> datetime:
    """The aware UTC ``datetime`` of an instant.

    Raises:
        NoDate: it lies before the year 1 or after the year 9999.
    """
    try:
        return _EPOCH + timedelta(microseconds=instant)
    except OverflowError:
        raise NoDate(instant) from None


def to_optional_datetime(instant: int | None) -> datetime | None:
    """Like `to_datetime`, with ``None`` for ``None``."""
    return None if instant is None else to_datetime(instant)


def to_duration(length: float | timedelta) -> int:
    """Microseconds of a length given in seconds or as a ``timedelta``.

    Raises:
        ValueError: ``length`` is not a finite number of seconds.
    """
    if isinstance(length, timedelta):
        return length // _ONE
    if isinstance(length, bool) or not isinstance(length, int | float) or not math.isfinite(length):
        raise ValueError(
            f"{length!r} is no duration; give a finite number of seconds or a timedelta"
        )
    return round(length * MICROSECONDS)

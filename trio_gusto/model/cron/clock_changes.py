"""When the clocks of a time zone change: hours that come twice, and hours that never come.

A time on the wall with two offsets (``fold`` 0 and 1, PEP 495) is one around a change: it comes twice
when the first offset is the greater one, and never when it is the smaller. The standard library
answers which offsets, but not when the change is; that is found by halving.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import attrs

from ..errors import ScheduleError

_SECOND = timedelta(seconds=1)


def zone_named(name: object) -> ZoneInfo:
    """The time zone with an IANA name, such as ``Europe/Rome``.

    Raises:
        ScheduleError: there is no such zone here.
    """
    if isinstance(name, str):
        try:
            return ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            pass  # unknown, not a name at all, or the name of a folder of zones
    raise ScheduleError(
        f"there is no time zone {name!r} here",
        "give a name of the IANA time zone database, such as 'UTC' or 'Europe/Rome'",
        field="timezone",
    )


@attrs.frozen
class ClockChange:
    """A change ``at`` an instant (UTC, without zone) from one offset to another.

    The times on the wall from `begin` up to but not including `end` come twice, or never.
    """

    at: datetime
    old: timedelta
    new: timedelta

    @property
    def turns_back(self) -> bool:
        return self.new < self.old

    @property
    def begin(self) -> datetime:
        return self.at + min(self.old, self.new)

    @property
    def end(self) -> datetime:
        return self.at + max(self.old, self.new)


def change_around(wall: datetime, zone: ZoneInfo) -> ClockChange | None:
    """The change that makes a time on the wall come twice or never, if there is one."""
    old = _offset(wall.replace(fold=0), zone)
    new = _offset(wall.replace(fold=1), zone)
    if old == new:
        return None
    # By the old clock the change is not after this time, by the new one not before it, or the other
    # way round. In any zone, changes are days apart: there is one in between.
    early, late = wall - max(old, new), wall - min(old, new)
    while late - early > _SECOND:
        middle = early + (late - early) // _SECOND // 2 * _SECOND
        if _offset_at(middle, zone) == new:
            late = middle
        else:
            early = middle
    return ClockChange(late, old, new)


def _offset(wall: datetime, zone: ZoneInfo) -> timedelta:
    offset = zone.utcoffset(wall)
    assert offset is not None
    return offset


def _offset_at(utc: datetime, zone: ZoneInfo) -> timedelta:
    return zone.fromutc(utc.replace(tzinfo=zone)).replace(tzinfo=None) - utc

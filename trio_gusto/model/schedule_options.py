"""What callers write for a schedule, checked and brought into the inner form."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from .cron.clock_changes import zone_named
from .errors import ScheduleError
from .job import JobRequest
from .schedule import Coalesce, Overlap, ScheduleRequest, following
from .schedule_values import duration_of, instant_of, word_of
from .triggers import to_trigger, to_wire

MOST_CATCHUP = 1_000
"""Missed instants that may fire at once, and so be stored in one transaction."""

SPACINGS_SEEN = 10
"""Spacings between instants that a jitter is compared with."""


def schedule_request(
    name: str,
    trigger: object,
    template: JobRequest,
    *,
    now: int,
    timezone: str = "UTC",
    overlap: str = "skip",
    coalesce: str = "latest",
    misfire_grace_time: float | timedelta | None = None,
    max_catchup: int = 100,
    jitter: float | timedelta | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> ScheduleRequest:
    """A schedule as it was asked for at ``now`` (microseconds).

    ``trigger`` is a cron expression, a timedelta or a `Trigger`. ``start`` is inclusive, ``end``
    exclusive. Durations are seconds or a timedelta.

    Raises:
        ScheduleError: something is wrong with it; ``field`` names the option.
    """
    if not isinstance(name, str) or not name or not _is_text(name):
        raise ScheduleError(f"{name!r} is no name", "give a text that is not empty", field="name")
    zone_named(timezone)
    meant = to_trigger(trigger).named(name)
    to_wire(meant)  # refuses what could not be stored, now and here
    request = ScheduleRequest(
        name,
        meant,
        template,
        timezone,
        word_of("overlap", Overlap, overlap),
        word_of("coalesce", Coalesce, coalesce),
        None
        if misfire_grace_time is None
        else duration_of("misfire_grace_time", misfire_grace_time, least=1),
        _catchup(max_catchup),
        0 if jitter is None else duration_of("jitter", jitter, least=0),
        None if start is None else instant_of("start", start),
        None if end is None else instant_of("end", end),
    )
    _check_window(request)
    _check_jitter(request, now)
    return request


def _is_text(name: str) -> bool:
    """Whether a string can be stored: halves of a surrogate pair can not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _catchup(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_CATCHUP:
        raise ScheduleError(
            f"{value!r} is out of range",
            f"give a whole number between 1 and {MOST_CATCHUP}",
            field="max_catchup",
        )
    return value


def _check_window(request: ScheduleRequest) -> None:
    """A window that has passed is none of a program's business that registers at every start; one
    that never had an instant is a mistake.
    """
    start, end = request.start, request.end
    if start is None or end is None:
        return
    if end <= start:
        raise ScheduleError("it is not after the start", "give a later end", field="end")
    if following(request, start, start - 1) is None:
        raise ScheduleError(
            "the trigger has no instant between the start and the end, which is exclusive",
            "give a later end, or another trigger",
            field="end",
        )


def _check_jitter(request: ScheduleRequest, now: int) -> None:
    if request.jitter == 0:
        return
    anchor = now if request.start is None else request.start
    instants: list[int] = []
    following_one = following(request, anchor, now)
    while following_one is not None and len(instants) <= SPACINGS_SEEN:
        instants.append(following_one)
        following_one = following(request, anchor, following_one)
    spacings = [later - earlier for earlier, later in pairwise(instants)]
    if spacings and request.jitter >= min(spacings):
        seconds = timedelta(microseconds=min(spacings)).total_seconds()
        raise ScheduleError(
            f"some of the next instants are {seconds:g} s apart, so jobs could change places",
            "give a shorter jitter",
            field="jitter",
        )

"""The keywords of `JobQueue.schedule`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Generic, Literal, Required

from ..job_options import JobOptions
from ..model.triggers import Trigger
from .signatures import R


class ScheduleOptions(JobOptions[R], Generic[R], total=False):
    """The options of a schedule, and of its jobs (`JobOptions`).

    - ``trigger``: a cron expression, a ``timedelta``, or what `cron`, `every` and `every_after` give.
    - ``timezone``: whose clocks a cron expression is read on; an IANA name, default ``"UTC"``.
    - ``overlap``: what happens at an instant when a job of an earlier one has not ended: ``"skip"``
      (the default), ``"allow"``, ``"buffer_one"`` or ``"cancel_other"``.
    - ``coalesce``: which of several instants fire that were missed while nothing ran: ``"latest"``
      (the default), ``"earliest"`` or ``"all"``.
    - ``misfire_grace_time``: how late an instant may fire; ``None``, the default: as late as you like.
    - ``max_catchup``: how many missed instants ``"all"`` fires at most, the newest; default 100.
    - ``jitter``: what a job may be held back by; drawn from the schedule's name and the instant.
    - ``start``, ``end``: aware datetimes; the first instant that may fire, and the first that may not.

    Of the options of its jobs, ``execute_after`` and ``expire_on`` are durations here, and count from
    the instant; there is no ``ref_id``, since each job would have the same.
    """

    trigger: Required[str | timedelta | Trigger]
    timezone: str
    overlap: Literal["skip", "allow", "buffer_one", "cancel_other"]
    coalesce: Literal["latest", "earliest", "all"]
    misfire_grace_time: float | timedelta | None
    max_catchup: int
    jitter: float | timedelta | None
    start: datetime | None
    end: datetime | None


OF_SCHEDULES = frozenset(
    {
        "timezone",
        "overlap",
        "coalesce",
        "misfire_grace_time",
        "max_catchup",
        "jitter",
        "start",
        "end",
    }
)
"""Those that are not options of its jobs, without the trigger."""

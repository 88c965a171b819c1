"""What storages are told and asked about schedules: two writes and one query.

They are part of the language of `messages`. When a schedule fires, and what comes of it, is decided by
`trio_gusto.model.firing`; a storage only compares versions, and keeps what it is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..model.errors import UnreadableRecord
from ..model.ids import JobId
from ..model.job import JobRequest
from ..model.schedule import StoredSchedule
from ..model.states import State


@attrs.define
class PutSchedule:
    """Keep a schedule under its name, if the version of the one there is still ``version``.

    ``version`` is ``None`` where there must be none yet. ``schedule`` is ``None`` to remove the one
    that is there; its jobs stay. Reply: `Committed`, or `Conflict` and nothing is changed.
    """

    name: str
    version: int | None
    schedule: StoredSchedule | None


@attrs.define
class Fire:
    """Advance a schedule and store the jobs of its instants, if its version is still ``version``.

    ``schedule`` is as it is afterwards; its request is the one that is stored. ``states`` are the first
    states of the jobs, one for each of ``requests``. A job whose tracking id exists is left as it is:
    its instant has been dealt with. Reply: `Committed`, or `Conflict` and nothing is changed.
    """

    version: int
    schedule: StoredSchedule
    requests: Sequence[JobRequest]
    states: Sequence[State]


@attrs.define
class FindSchedules:
    """Schedules, by name; or those that are due, by next instant and then name. Reply: `Schedules`.

    ``name`` is one that is wanted, ``after`` a name that only later ones are wanted of, and
    ``due_by`` the latest ``next_at`` of those wanted. At most ``limit``.
    """

    limit: int
    name: str | None = None
    after: str | None = None
    due_by: int | None = None


@attrs.define
class KeptSchedule:
    """A schedule, and what its next firing needs to know of its jobs.

    ``unfinished`` are those that have not ended, by ``fire_time``, without those started by hand.
    ``last_ended_at`` is when the one with ``last_job_id`` ended; ``None`` if it has not, or is gone.
    """

    schedule: StoredSchedule
    unfinished: tuple[JobId, ...]
    last_ended_at: int | None


@attrs.define
class HeldJob:
    """A job of a schedule that is waiting: not before the jobs of earlier instants have ended.

    ``behind`` are those that have not, by ``fire_time``.
    """

    job_id: JobId
    schedule_name: str
    behind: tuple[JobId, ...]


@attrs.define
class Schedules:
    """``found``, as asked for. ``next_at``: the earliest next instant of all schedules that is later
    than ``due_by``, or ``None``. ``held``: all jobs of all schedules that are waiting, by name and
    ``fire_time``; none when one ``name`` was asked for. ``unreadable``: those that were met on the way
    to what was found, and cannot be read."""

    found: tuple[KeptSchedule, ...]
    next_at: int | None
    held: tuple[HeldJob, ...]
    unreadable: tuple[UnreadableRecord, ...] = ()

"""What storages are told and asked about leases that are held, and that were lost: two writes and two queries.

They are part of the language of `messages`. Leases begin with a `ClaimDue`, and end with the `Commit` or
`Complete` of their attempt.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..model.ids import JobId
from ..model.job import StoredJob
from ..model.pauses import StoredPause


@attrs.define
class Renew:
    """Move the leases of ``node`` (pairs of job and token) to ``lease_until``.

    Only those that still are held with that token and have not passed at ``now`` are moved, and none
    to an earlier instant than it has: others may look at it with a clock, or a message, that is ahead.
    Reply: `Renewed`.
    """

    node: str
    now: int
    lease_until: int
    leases: Sequence[tuple[JobId, int]]


@attrs.define
class Renewed:
    """``lost`` are the leases that could not be renewed; ``cancels`` those of the others whose
    cancellation has been asked for, with the reason."""

    lost: Sequence[JobId]
    cancels: Sequence[tuple[JobId, str]]


@attrs.define
class RequestCancel:
    """Ask the holder of a lease to cancel the job, if its version is still ``version``.

    A second request keeps the first one's reason. Reply: `Committed` or `Conflict`.
    """

    job_id: JobId
    version: int
    reason: str


@attrs.define
class Stranded:
    """Jobs that nobody moves on by himself: leases lost, and deadlines passed.

    Reply: `StrandedJobs`. A lease is lost when ``now`` has reached its ``lease_until``, or when the
    storage knows that its node is gone. ``node`` is the asking node, which is there. Jobs that are
    staged are left behind when their node is gone; a storage that cannot know says so when nothing
    was added to them for `STAGE_LIFE`.
    """

    node: str
    now: int
    limit: int


@attrs.define
class StrandedJobs:
    """``lost``: processing jobs with a lost lease. ``overdue``: jobs that are not running and
    whose ``expire_on`` has come. ``next_at``: the earliest instant after ``now`` at which another
    lease or ``expire_on`` passes, or ``None``. ``foreign``: whether other nodes than the asking
    one hold leases, so that it is worth while to look again soon. ``stages`` are those that were left
    behind. Each of the jobs has the last record of its history at most."""

    lost: Sequence[StoredJob]
    overdue: Sequence[StoredJob]
    next_at: int | None
    foreign: bool
    stages: Sequence[JobId] = ()


@attrs.define
class CancelRequests:
    """What others want of the processing jobs of ``node``. Reply: `CancelsAsked`."""

    node: str


@attrs.define
class CancelsAsked:
    """Pairs of job and reason, and the pauses that hold, by number."""

    cancels: Sequence[tuple[JobId, str]]
    pauses: Sequence[StoredPause] = ()

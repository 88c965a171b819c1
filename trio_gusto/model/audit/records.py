"""What a storage reads for the rules: rows as they are, right or wrong.

A `StoredJob` cannot be wrong in the ways that are looked for here; its state owns its data. So these
have every column for itself, and what cannot be read at all is a ``fault`` in words.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from ..ids import JobId
from ..job import JobRequest
from ..outcomes import AttemptOutcome
from ..states import JobState


@attrs.define(kw_only=True)
class RecordedAttempt:
    """An attempt that is over. ``outcome`` is ``None`` for a word that nobody knows."""

    number: int
    token: int
    node: str
    claimed_at: int
    started_at: int | None
    ended_at: int
    outcome: AttemptOutcome | None


@attrs.define(kw_only=True)
class RecordedParent:
    """What a job waited for: a job, or one of the jobs of a batch; ``state`` is ``None`` for none.

    ``attempts`` is the number of its records, ``has_success`` whether the last of them succeeded.
    """

    id: JobId
    state: JobState | None = None
    version: int = 0
    attempts: int = 0
    has_success: bool = False
    ended_at: int | None = None
    of_batch: bool = False


@attrs.define(kw_only=True)
class RecordedJob:
    """A row, its attempts in the order of their tokens, and what the rules ask about its surroundings.

    ``callback`` is what it waits for, when it is its callback; ``waits_for`` are the parents that its
    state names, ``links`` those that it is linked to (``None``: one that is not there), ``there`` which
    of them are there. ``is_in_batch`` says whether the batch of its details is there. ``month`` is that
    of the archive it lies in, and ``is_looked_for`` whether it lies where that month is searched.
    """

    id: JobId
    request: JobRequest
    fault: str | None = None
    state: JobState
    sequence: int
    attempt: int
    version: int
    due: int
    node: str | None = None
    claimed_at: int | None = None
    lease_until: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    result: str | None = None
    reason: str | None = None
    schedule: str | None = None
    fire_time: int | None = None
    unique_key: str | None = None
    lane: str | None = None
    room: int | None = None
    batch: JobId | None = None
    is_in_batch: bool = False
    attempts: Sequence[RecordedAttempt] = ()
    callback: JobId | None = None
    waits_for: Sequence[JobId] = ()
    links: Sequence[JobId | None] = ()
    there: frozenset[JobId] = frozenset()
    parents: Sequence[RecordedParent] = ()
    month: str | None = None
    is_of_month: bool = True
    is_looked_for: bool = True

    @property
    def is_claimed(self) -> bool:
        """Whether its row records an attempt: one that runs, or the one that completed it."""
        if self.state is JobState.PROCESSING:
            return True
        return self.state is JobState.COMPLETED and not self.has_success

    @property
    def has_success(self) -> bool:
        """Whether its last record is one of a success, as of a job that has a callback."""
        return bool(self.attempts) and self.attempts[-1].outcome is AttemptOutcome.SUCCEEDED

    @property
    def claim_token(self) -> int:
        """The token of the attempt that its row records."""
        return self.version if self.state is JobState.PROCESSING else self.version - 1


@attrs.define
class RecordedLane:
    """The leases in a lane: of which node, and with which room, how many."""

    lane: str
    leases: Sequence[tuple[str, int, int]]


@attrs.define
class RecordedStage:
    """Jobs that are put by: how many there should be (-1: some were thrown away), and are."""

    number: int
    count: int
    found: int

"""What is illegal about a record: which rule it breaks, what was found, and what would be legal."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import attrs


class Invariant(StrEnum):
    """The rules, by the names that findings give."""

    READABLE = "readable"
    """Every value can be read: JSON has its shape, ids have their size, instants, numbers and words their
    range, and the rows that numbers name are there."""

    STATE_DATA = "state-data"
    """A row has the data of its state and no other: a lease while it is processing, an end afterwards."""

    TRANSITIONS = "transitions"
    """From state to state, and from attempt to attempt, lead only the transitions that are listed."""

    VERSIONS = "versions"
    """Versions, and the tokens that claims make of them, only grow: one for each change."""

    ATTEMPTS = "attempts"
    """Every claim spends one attempt, snoozed and released ones are given back, and none is beyond
    ``max_attempts``."""

    TIMES = "times"
    """An attempt is claimed, then started, then ended, and a job has ended with its last one."""

    ONE_AT_A_TIME = "one-at-a-time"
    """No attempt is claimed before the one before it has ended."""

    IN_TIME = "in-time"
    """Nothing is claimed before ``execute_after``, or from ``expire_on`` on, and nothing expires sooner."""

    WAITS = "waits"
    """A waiting job is linked to each of its parents, which are there; no other job is."""

    CONTINUATIONS = "continuations"
    """A continuation is claimed after its parents have ended, and given up only if one of them did not
    complete."""

    COPIES = "copies"
    """Columns that repeat the details for an index say the same as these."""

    UNIQUE_KEYS = "unique-keys"
    """One live job has a unique key."""

    LANES = "lanes"
    """No more jobs of a lane are leased than it has room for; those that run alone, to one node."""

    FIRE_TIMES = "fire-times"
    """A job of a schedule is that of its instant, the trigger has that instant, and the mark has passed it."""

    MARKS = "marks"
    """A schedule's next instant is the first one after its mark, and its last one is not after it."""

    STAGES = "stages"
    """What was put by for an open batch is all there."""

    COUNTS = "counts"
    """What ``stats`` says is what is there."""

    STRAYS = "strays"
    """Attempts, reports and links belong to jobs that are there."""

    ARCHIVE = "archive"
    """Months can be read, and have ended jobs of their own month only, where they are looked for."""


@attrs.frozen
class Finding:
    """One record that should not be as it is.

    ``subject`` says in words what it is about; ``job_id`` is that of the job, if it is one.
    """

    subject: str
    job_id: UUID | None
    invariant: Invariant
    found: str
    legal: str

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return f"{self.subject} breaks {self.invariant.value}: {self.found}; {self.legal}"


@attrs.frozen
class Fault:
    """What is wrong with a job, before it is said which one it is."""

    invariant: Invariant
    found: str
    legal: str

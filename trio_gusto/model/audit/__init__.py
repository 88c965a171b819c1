"""The rules by which what a storage has recorded is looked over again.

Pure functions over records: a storage reads the records, and nothing here knows how. `jobs` begins with
the replay of a job's life along the table of `lifecycle`; the other files have what must hold beside it.
"""

from .findings import Finding, Invariant
from .jobs import audit_job
from .places import audit_counts, audit_holders, audit_lane, audit_stage, audit_strays
from .records import (
    RecordedAttempt,
    RecordedJob,
    RecordedLane,
    RecordedParent,
    RecordedStage,
)
from .schedules import audit_schedule
from .shapes import (
    FIRST_INSTANT,
    arguments_fault,
    details_fault,
    error_fault,
    retry_fault,
    schedule_fault,
)
from .words import ID_SIZE, named

__all__ = [
    "FIRST_INSTANT",
    "ID_SIZE",
    "Finding",
    "Invariant",
    "RecordedAttempt",
    "RecordedJob",
    "RecordedLane",
    "RecordedParent",
    "RecordedStage",
    "arguments_fault",
    "audit_counts",
    "audit_holders",
    "audit_job",
    "audit_lane",
    "audit_schedule",
    "audit_stage",
    "audit_strays",
    "details_fault",
    "error_fault",
    "named",
    "retry_fault",
    "schedule_fault",
]

"""What must hold between jobs: lanes, keys, stages, counts, and what belongs to jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..ids import JobId
from ..states import JobState
from .findings import Finding, Invariant
from .records import RecordedLane, RecordedStage
from .words import named

Group = tuple[JobState, str, str]
"""State, queue and tenant."""


def audit_lane(lane: RecordedLane) -> Finding | None:
    """The leases that hold in a lane now.

    Jobs that run alone are leased several in a row to one node, and then nothing else is leased; beside
    one of them there may be others that allow it.
    """
    leased = sum(count for _, _, count in lane.leases)
    singles = sum(count for _, room, count in lane.leases if room == 1)
    nodes = {node for node, _, _ in lane.leases}
    room = max((room for _, room, _ in lane.leases), default=0)
    subject = f"lane {lane.lane!r}"
    if singles > 1:
        if singles == leased and len(nodes) == 1:
            return None
        found = f"{leased} of its jobs are leased, to {', '.join(sorted(nodes))}"
        legal = f"{singles} of them run alone, so all are leased to one node and none beside them"
        return Finding(subject, None, Invariant.LANES, found, legal)
    if leased <= room:
        return None
    found = f"{leased} of its jobs are leased at once"
    return Finding(subject, None, Invariant.LANES, found, f"they allow {room} at most")


def audit_holders(key: str, holders: Sequence[JobId]) -> Finding | None:
    """The live jobs that have a unique key."""
    if len(holders) <= 1:
        return None
    found = f"{', '.join(named(holder) for holder in holders)} are live and have it"
    return Finding(f"unique key {key!r}", None, Invariant.UNIQUE_KEYS, found, "one job may")


def audit_stage(stage: RecordedStage) -> Finding | None:
    """The jobs that are put by for an open batch."""
    if stage.count in (-1, stage.found):
        return None
    found = f"{stage.found} jobs are put by"
    legal = f"it counts {stage.count}, and its batch is refused with any other number"
    return Finding(f"stage {stage.number}", None, Invariant.STAGES, found, legal)


def audit_strays(kind: str, sequence: int) -> Finding:
    """A row that belongs to a job which is not there."""
    found = f"it belongs to the job with the sequence {sequence}, which is not there"
    return Finding(f"a row of {kind}", None, Invariant.STRAYS, found, "it goes with its job")


def audit_counts(told: Mapping[Group, int], found: Mapping[Group, int]) -> Iterator[Finding]:
    """What ``stats`` tells, and what is there."""
    for group in sorted({*told, *found}):
        is_told, there = told.get(group, 0), found.get(group, 0)
        if is_told != there:
            state, queue, tenant = group
            of_tenant = f" of tenant {tenant!r}" if tenant else ""
            yield Finding(
                f"the count of {state.value} jobs in queue {queue!r}{of_tenant}",
                None,
                Invariant.COUNTS,
                f"stats tells {is_told}",
                f"there are {there}",
            )

"""Insert as claimed: the claim that follows the inserts of its group, when there is nothing else.

With many producers and free executors this is nearly every group. Its rows are written once, as
claimed ones, and the claim is answered from the requests, without asking the table for them.

Rule: nobody can tell it from inserting and then claiming. Whenever one condition does not hold,
`plan` or `nothing_else` says so, and the group goes the ordinary way.
"""

# ruff: noqa: S608 - every piece of SQL here is a constant of this package; values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import attrs

from ...model.job import ClaimedJob, JobRequest
from ...model.lanes import lane_of
from ...model.lifecycle import within_reach
from ...model.order import place
from ...model.states import Processing, Ready
from ..messages import ClaimDue, ClaimReply, Insert
from ..rows import details_from_json, details_to_json
from .inserting import NewJob, insert_jobs, new_jobs
from .leases import Leases
from .names import Names
from .ready import LANE_READY, PLAIN_READY

_WHAT_ELSE = (
    "SELECT (SELECT min(due) FROM job WHERE state = 1 AND typeof(due) = 'integer'), "
    f"EXISTS (SELECT 1 FROM job WHERE {PLAIN_READY}) "
    f"OR EXISTS (SELECT 1 FROM job WHERE {LANE_READY}) OR EXISTS (SELECT 1 FROM pause)"
)


@attrs.define
class Plan:
    """Inserts that a claim will take altogether, if the storage holds nothing else for it."""

    jobs: Sequence[NewJob]
    order: Sequence[int]
    claim: ClaimDue
    next_due: int | None = None


def plan(inserts: Sequence[Insert], claim: ClaimDue) -> Plan | None:
    """``None`` when the claim would not take all of them."""
    if claim.queue_rates is not None:
        return None
    if sum(len(insert.requests) for insert in inserts) > claim.limit:
        return None
    jobs = new_jobs(inserts)
    if not jobs or not _are_claimable(jobs, claim) or not _are_wanted(jobs, claim):
        return None
    order = _claim_order(jobs, claim.ageing)
    if len(jobs) > claim.free:
        spent = ((0, jobs[index][0].max_attempts) for index in order)
        if within_reach(spent, claim.free) < len(jobs):
            return None
    return Plan(jobs, order, claim)


def nothing_else(connection: sqlite3.Connection, plan: Plan) -> bool:
    """Whether no other job is ready or falls due, and nothing is paused; to be asked just before `insert_claimed`."""
    plan.next_due, any_ready = connection.execute(_WHAT_ELSE).fetchone()
    return not any_ready and (plan.next_due is None or plan.next_due > plan.claim.now)


def insert_claimed(
    connection: sqlite3.Connection, names: Names, leases: Leases, plan: Plan
) -> ClaimReply:
    """Store the jobs as claimed ones, and answer the claim.

    Raises:
        sqlite3.IntegrityError: one of them exists.
    """
    claim, jobs = plan.claim, plan.jobs
    node, now = claim.node, claim.now
    last = insert_jobs(connection, names, jobs, Processing(node, now, claim.lease_until))
    first = last - len(jobs) + 1
    claimed: list[ClaimedJob] = []
    for index in plan.order:
        request, state = jobs[index]
        assert type(state) is Ready
        if request.details is not None:
            request = _as_stored(request)
        claimed.append(ClaimedJob(request, 1, 1, state.due, node, now))
    leases.take_all(zip([first + index for index in plan.order], claimed, strict=True))
    return ClaimReply(claimed, len(jobs) >= claim.limit, plan.next_due)


def _are_claimable(jobs: Sequence[NewJob], claim: ClaimDue) -> bool:
    now = claim.now
    for request, state in jobs:
        if type(state) is not Ready or state.due > now:
            return False
        if request.expire_on is not None and request.expire_on <= now:
            return False
        if request.details is not None and lane_of(request) is not None:
            return False
    return True


def _are_wanted(jobs: Sequence[NewJob], claim: ClaimDue) -> bool:
    """Several queues with shares would each be taken from in turn; one gives all that it has."""
    if claim.skip_names and any(request.name in claim.skip_names for request, _ in jobs):
        return False
    if claim.queues is None:
        return True
    found = {request.queue for request, _ in jobs}
    return len(found) == 1 and [name for name, _ in claim.queues].count(found.pop()) == 1


def _claim_order(jobs: Sequence[NewJob], ageing: int | None) -> Sequence[int]:
    """Indices into ``jobs``; those that are alike keep the order of insertion."""
    keys = [(-request.priority, state.due) for request, state in jobs if type(state) is Ready]
    if ageing is not None:
        keys = [place(*key, 0, ageing)[:2] for key in keys]
    return sorted(range(len(keys)), key=keys.__getitem__)


def _as_stored(request: JobRequest) -> JobRequest:
    """With details of its own, so that what the caller does to his is not seen by the handler."""
    details = request.details
    assert details is not None
    return attrs.evolve(
        request, details=details_from_json(details_to_json(details), details.ref_id)
    )

"""The jobs that the files become: a batch, its summary, and a heartbeat beside them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import attrs
import trio

from ... import Batch, JobFilter, JobQueue, JobRef, JobState, Schedule, SystemClock
from .files import Plan
from .jobs import SERVED, UNSERVED, Hashed, Summary, hash_file, summarize, tick

EVERY = 15
"""Every so many files the job fails at first, on purpose."""

LATER = timedelta(seconds=2)
"""When the first file's job is due."""

UNTIL = timedelta(seconds=1)
"""When the job that nobody serves expires."""

BEAT = timedelta(milliseconds=250)
"""What lies between two beats of the schedule."""

AT_MOST = timedelta(days=1)
"""How long the schedule lives if the demo itself is killed and cannot remove it."""

CLEAN_UP = 5.0
"""Seconds that the schedule's removal may take when the demo is interrupted."""


@attrs.frozen
class Running:
    """What was enqueued and is to be watched."""

    refs: tuple[JobRef[Hashed], ...]
    """One for each file, in their order; all of them members of ``batch``."""
    batch: Batch
    summary: JobRef[Summary]
    expiring: JobRef[Hashed]
    heartbeat: Schedule
    tenant: str
    ticks_tenant: str


@asynccontextmanager
async def fanned_out(queue: JobQueue, plan: Plan) -> AsyncGenerator[Running]:
    """Enqueue everything. The schedule ticks until the end of the block."""
    ticks_tenant = f"{plan.run}-heartbeat"
    name = f"demo.{ticks_tenant}"
    heartbeat = await queue.schedule(
        name,
        tick,
        str(plan.witness),
        trigger=BEAT,
        end=SystemClock().now() + AT_MOST,
        tenant=ticks_tenant,
        priority=1,  # a heartbeat that waits behind thousands of files is none
    )
    try:
        yield await _enqueue(queue, plan, heartbeat, ticks_tenant)
    finally:
        # Also when we are being cancelled: a schedule is stored, and would tick again on this
        # database. The deadline ends the shield.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLEAN_UP):
            await queue.remove_schedule(name)


async def _enqueue(queue: JobQueue, plan: Plan, heartbeat: Schedule, ticks_tenant: str) -> Running:
    """One job per file and the summary of them in one transaction; one job more beside the batch.

    Jobs that fail on purpose are tried again and complete, so they belong to the batch. The one that
    expires does not: it waits where nobody serves.
    """
    first, *others = (str(source.path) for source in plan.files)
    async with queue.batch(tenant=plan.run) as batch:
        refs = [
            batch.enqueue(hash_file, first, 0, plan.pace, queue=SERVED, execute_after=LATER),
            *(
                batch.enqueue(hash_file, path, int(number % EVERY == 1), plan.pace, queue=SERVED)
                for number, path in enumerate(others)
            ),
        ]
        # Not on="success": files that cannot be read belong into the summary.
        summary = batch.continue_with(summarize, str(plan.witness), on="finish")
    expiring = await queue.enqueue(
        hash_file, first, 0, 0.0, queue=UNSERVED, tenant=plan.run, expire_on=UNTIL
    )
    return Running(tuple(refs), batch, summary, expiring, heartbeat, plan.run, ticks_tenant)


async def has_ticked_since(queue: JobQueue, running: Running, since: datetime) -> bool:
    """Whether the schedule has fired after ``since``, and the job has run."""
    ticks = JobFilter(
        states=[JobState.COMPLETED], schedule_name=running.heartbeat.name, created_after=since
    )
    return bool((await queue.find(ticks, limit=1)).items)

"""Jobs of schedules that wait for the one before: each has a guard, which lets it go in the end.

Rules. Whom a job waits for is read from the storage, never remembered alone, so any node may take up
what another has left. Where the schedule says ``cancel_other``, the guard calls off what stands in the
way; that is derived, too, and done again after a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import attrs
import trio

from ..clock import Clock
from ..model.errors import GustoError, UnknownJob, UnreadableRecord
from ..model.happenings import ParentsEnded
from ..model.ids import JobId, to_uuid
from ..model.job import StoredJob
from ..model.lifecycle import advance
from ..model.schedule import Overlap
from ..model.states import Ready, Scheduled, Waiting
from ..storage.finding_messages import Get
from ..storage.schedule_messages import FindSchedules, HeldJob
from .canceller import Canceller
from .desk import StorageDesk
from .waiters import Waiter, Waiters

logger = logging.getLogger("trio_gusto")

FAULT_PAUSE = 1.0
"""Seconds to wait after the storage failed."""


@attrs.define
class Guard:
    """The task that looks after one job. ``parked`` is where it waits, if it has nothing to do."""

    parked: Waiter | None = None

    def is_idle(self) -> bool:
        """Whether it waits for somebody else."""
        return self.parked is not None and not self.parked.is_called()


class Holder:
    """Guards jobs that wait. ``on_due`` is told when one of them falls due."""

    def __init__(
        self,
        desk: StorageDesk,
        waiters: Waiters,
        canceller: Canceller,
        clock: Clock,
        on_due: Callable[[int], None],
    ) -> None:
        self._desk = desk
        self._waiters = waiters
        self._canceller = canceller
        self._clock = clock
        self._on_due = on_due
        self._guards: dict[JobId, Guard] = {}
        self._changed = trio.Event()

    def hold(self, held: Sequence[HeldJob], nursery: trio.Nursery) -> None:
        """See to it that each of these jobs has a guard."""
        for job in held:
            if job.job_id not in self._guards:
                guard = self._guards[job.job_id] = Guard()
                nursery.start_soon(self._look_after, job, guard)

    def is_rested(self) -> bool:
        """Whether every guard waits for a job that has not ended."""
        return all(guard.is_idle() for guard in self._guards.values())

    async def until_rested(self) -> None:
        """Wait until every guard waits for a job that has not ended."""
        while not self.is_rested():
            await self._changed.wait()

    @trio.lowlevel.enable_ki_protection
    async def _look_after(self, job: HeldJob, guard: Guard) -> None:
        try:
            while True:
                try:
                    await self._clear_the_way(job)
                    for other in job.behind:
                        await self._until_ended(other, guard)
                    await self._let_go(job.job_id)
                except GustoError as fault:
                    logger.warning("job %s is held longer: %s", to_uuid(job.job_id), fault)
                    await trio.sleep(FAULT_PAUSE)
                else:
                    return
        finally:
            del self._guards[job.job_id]
            self._note()

    async def _clear_the_way(self, job: HeldJob) -> None:
        name = job.schedule_name
        found = (await self._desk.read(FindSchedules(1, name=name))).found
        if not found or found[0].schedule.request.overlap is not Overlap.CANCEL_OTHER:
            return
        reason = f"the next instant of its schedule {name!r} has come (overlap='cancel_other')"
        for other in job.behind:
            try:
                await self._canceller.cancel(other, reason)
            except UnknownJob:
                pass  # retention was quicker
            except UnreadableRecord as fault:
                logger.warning("a job of a schedule cannot be cancelled: %s", fault)

    async def _until_ended(self, job_id: JobId, guard: Guard) -> None:
        with self._waiters.waiting(job_id) as waiter:
            while True:
                try:
                    stored = await self._find(job_id)
                except UnreadableRecord as fault:
                    logger.warning("a job of a schedule is waited for no more: %s", fault)
                    return
                if stored is None or stored.state.word.is_ended:
                    return
                guard.parked = waiter
                self._note()
                try:
                    await waiter.wait()
                finally:
                    guard.parked = None

    async def _let_go(self, job_id: JobId) -> None:
        while (stored := await self._find(job_id)) is not None:
            if not isinstance(stored.state, Waiting):
                return
            happening = ParentsEnded(self._clock.instant())
            state = advance(stored, happening).state
            assert isinstance(state, Ready | Scheduled)
            if await self._canceller.change(stored, happening, partial(self._on_due, state.due)):
                return

    async def _find(self, job_id: JobId) -> StoredJob | None:
        found = (await self._desk.read(Get([job_id]))).jobs
        return found[0] if found else None

    def _note(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

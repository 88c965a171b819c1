"""The heart: renews leases, ends attempts whose time is up, and watches over the event loop.

Rules. A lease's fence is counted on the monotonic clock from before its renewal was sent; when the
fence comes and no renewal has succeeded, the handler is cancelled, so that it is gone before anybody
else may be given the job. Watching deadlines never waits for the storage: renewing is a task of its
own. A blocked event loop can do neither; then a thread (`watchdog`) names the job that blocks it and
keeps the leases alive.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence

import trio

from ..clock import Clock
from ..model.errors import GustoError
from ..model.ids import JobId
from ..model.instants import MICROSECONDS
from ..model.pauses import StoredPause
from ..options import Options
from ..storage.lease_messages import CancelRequests, Renew
from .alarm import Alarm
from .desk import StorageDesk
from .lease import Cause, Lease, Slot
from .probe import Probe
from .roster import Roster
from .settler import Settler
from .watchdog import Watchdog

logger = logging.getLogger("trio_gusto")

FAULT_PAUSE = 1.0
"""Seconds to wait after the storage failed to say what others want."""


class Heart:
    """Keeps the leases of one node, for as long as it deserves them.

    ``is_claiming`` says whether jobs may be claimed that are not held yet. ``on_paused`` is told of the
    pauses that hold, when others have changed something; ``on_late`` of what has not ended in time, and for
    how many seconds this came too late.
    """

    def __init__(
        self,
        node: str,
        desk: StorageDesk,
        roster: Roster,
        settler: Settler,
        probe: Probe,
        clock: Clock,
        options: Options,
        fence_after: float,
        *,
        is_claiming: Callable[[], bool],
        on_paused: Callable[[Sequence[StoredPause]], object],
        on_late: Callable[[Slot, float], None],
    ) -> None:
        self._node = node
        self._desk = desk
        self._roster = roster
        self._settler = settler
        self._probe = probe
        self._clock = clock
        self._options = options
        self._fence_after = fence_after
        self._is_claiming = is_claiming
        self._on_paused = on_paused
        self._on_late = on_late
        self._missed = Alarm()
        """Rings when what others want could not be read."""
        self._watchdog = Watchdog(node, desk, roster, probe, options, fence_after)

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Beat until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._renew_for_ever)
            nursery.start_soon(self._watch_deadlines)
            nursery.start_soon(self._look_again)
            if self._clock.is_real and self._options.loop_block_threshold is not None:
                nursery.start_soon(self._watchdog.run)
            task_status.started()

    # --- leases ---

    async def _renew_for_ever(self) -> None:
        while True:
            if not self._roster.leases:
                await self._roster.occupied.wait()
            await trio.sleep(self._options.lease / 3)
            if self._roster.leases:
                await self._renew()

    async def _renew(self) -> None:
        leases = tuple(self._roster.leases.values())
        asked_at = self._clock.monotonic()
        now = self._clock.instant()
        renew = Renew(
            self._node,
            now,
            now + round(self._options.lease * MICROSECONDS),
            [(lease.claimed.request.id, lease.claimed.token) for lease in leases],
        )
        try:
            with trio.fail_after(self._options.lease / 3):
                reply = await self._desk.ask(renew)
        except (GustoError, trio.TooSlowError) as fault:
            logger.warning("leases could not be renewed: %s", str(fault) or "no answer in time")
            if self._probe.observer is not None:
                self._probe.observer.renewal_failed()
            return
        lost = set(reply.lost)
        for lease in leases:
            if lease.claimed.request.id not in lost:
                lease.fence = asked_at + self._fence_after
            elif self._roster.leases.get(lease.claimed.request.id) is lease:
                self._lose(lease)
        self.cancel(reply.cancels)

    def _lose(self, lease: Lease) -> None:
        """Somebody else may run the job now: stop at once."""
        logger.warning("the lease on job %s was lost", lease.claimed.request.id.hex())
        lease.interrupt(Cause.FENCE)

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks, too
    def cancel(self, cancels: Iterable[tuple[JobId, str]]) -> None:
        """Cancel what runs here and was called off."""
        for job_id, reason in cancels:
            lease = self._roster.leases.get(job_id)
            if lease is not None:
                self._settler.call_off(lease, reason)

    async def look_for_requests(self) -> None:
        """Ask whether another process has called off or paused any job that is held here."""
        if self._roster.leases or self._is_claiming():
            try:
                asked = await self._desk.read(CancelRequests(self._node))
            except GustoError as fault:
                logger.warning("what others want of running jobs could not be read: %s", fault)
                self._missed.ring()
                return
            self.cancel(asked.cancels)
            if asked.pauses:
                self._on_paused(asked.pauses)

    async def _look_again(self) -> None:
        """Or a cancellation would wait until somebody wants something else."""
        while True:
            await self._missed.wait()
            await trio.sleep(FAULT_PAUSE)
            await self.look_for_requests()

    # --- deadlines ---

    async def _watch_deadlines(self) -> None:
        roster = self._roster
        while True:
            now = self._clock.monotonic()
            earliest = now + self._clock.longest_sleep
            for slot in roster.slots:
                if slot.lease is not None and slot.deadline <= now:
                    self._on_late(slot, now - slot.deadline)
                    slot.deadline = math.inf
                    if slot.lease.cause is None:
                        slot.lease.interrupt(Cause.TIMEOUT)
                earliest = min(earliest, slot.deadline)
            for lease in tuple(roster.leases.values()):
                if lease.fence <= now:
                    if lease.cause is None:
                        lease.interrupt(Cause.FENCE)
                else:
                    earliest = min(earliest, lease.fence)
            roster.next_deadline = earliest
            await roster.deadline_alarm.wait(earliest)

"""The resolver: moves on what waited for other jobs.

Whoever records the end of a job is told by the storage whether others wait for it, and tells the
resolver, who reads them, has the law book judge, and commits each verdict under the version it was
judged by. So of two who judge the same job, one changes it, and one is told that it has changed.

What a crash or a race has left is found again from the storage: at the start, when another process
has changed something, and now and then. While nothing waits, looking costs next to nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from ..clock import Clock
from ..model.dependencies import Dependent, resolve
from ..model.errors import GustoError
from ..model.facts import JobFinished, JobReleased
from ..model.happenings import Settlement
from ..model.ids import JobId, to_uuid
from ..model.instants import to_datetime
from ..model.job import StoredJob
from ..model.states import Ready, Scheduled
from ..storage.dependency_messages import Dependents
from ..storage.messages import Commit, Committed
from .alarm import Alarm
from .desk import StorageDesk
from .probe import Probe
from .waiters import Waiters

logger = logging.getLogger("trio_gusto")

SLICE = 250
"""Jobs judged in one go: few enough that neither the loop nor other writes have to wait."""

NEIGHBOURLY = 1.0
"""Seconds that others have for what they know of, before it is looked at whether they have left it."""

FAULT_PAUSE = 1.0
"""Seconds to wait after the storage failed."""


def _nobody_cares(_due: int) -> None:
    """Where there is no poller to tell."""


class Resolver:
    """Releases or cancels what waited. ``on_due`` is told when a job falls due."""

    def __init__(self, desk: StorageDesk, waiters: Waiters, probe: Probe, clock: Clock) -> None:
        self._desk = desk
        self._waiters = waiters
        self._probe = probe
        self._clock = clock
        self.on_due: Callable[[int], None] = _nobody_cares
        self._ended: dict[JobId, None] = {}
        """Awaited jobs that have ended, and were not looked at yet."""
        self._looks_at_all = True
        self._next_look = 0.0
        self._has_news = False
        self._alarm = Alarm()
        self._idle = trio.Event()

    # --- what others tell it ---

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def note(self, ended: Sequence[JobId]) -> None:
        """These jobs have ended, and others wait for them."""
        self._ended.update(dict.fromkeys(ended))
        self._wake()

    @trio.lowlevel.enable_ki_protection
    def hear(self) -> None:
        """Another process has changed something; whoever did will see to it, unless it died."""
        if not self._has_news:
            self._has_news = True
            self._alarm.ring()

    def is_idle(self) -> bool:
        """Whether there is nothing that it knows of and has not dealt with."""
        return self._idle.is_set()

    async def until_idle(self) -> None:
        """Wait until everything that it knows of is dealt with."""
        while not self._idle.is_set():
            await self._idle.wait()

    def _wake(self) -> None:
        if self._idle.is_set():
            self._idle = trio.Event()
        self._alarm.ring()

    # --- the actor ---

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Resolve until cancelled. Ready before the first look."""
        self._looks_at_all = True  # what its predecessor held may be lost
        task_status.started()
        while True:
            now = self._clock.monotonic()
            if now >= self._next_look:
                self._looks_at_all = True
            try:
                await self._resolve_all()
            except GustoError as fault:
                logger.warning("continuations could not be resolved: %s", fault)
                self._looks_at_all = True
                await trio.sleep(FAULT_PAUSE)
                continue
            if self._ended or self._looks_at_all:
                continue
            self._idle.set()
            await self._rest()

    async def _rest(self) -> None:
        await self._alarm.wait(self._next_look)
        if self._has_news:
            self._has_news = False
            self._next_look = min(self._next_look, self._clock.monotonic() + NEIGHBOURLY)

    async def _resolve_all(self) -> None:
        """Look once at everything there is to look at."""
        if self._looks_at_all:
            self._next_look = self._clock.monotonic() + self._clock.longest_sleep
            parents = None
        else:
            parents = tuple(self._ended)
        if parents == ():
            return
        self._looks_at_all = False
        self._ended.clear()
        released: list[JobId] = []
        cancelled: list[JobId] = []
        after, is_more = 0, True
        while is_more:
            found = (await self._desk.read(Dependents(SLICE, after, parents))).jobs
            is_more = len(found) == SLICE
            if found:
                after = found[-1].job.sequence
                await self._move_on(found, released, cancelled)
        if released or cancelled:
            await self._pass(released, cancelled)

    async def _move_on(
        self, found: Sequence[Dependent], released: list[JobId], cancelled: list[JobId]
    ) -> None:
        """Judge, and have the verdicts recorded in one transaction."""
        now = self._clock.instant()
        verdicts = [
            (dependent.job, settlement)
            for dependent in found
            if (settlement := resolve(dependent, now)) is not None
        ]
        letters = [self._desk.post(_commit(job, settlement)) for job, settlement in verdicts]
        fault: GustoError | None = None
        for letter, (job, settlement) in zip(letters, verdicts, strict=True):
            reply = await letter.answer()
            if isinstance(reply, GustoError):
                fault = reply
            if not isinstance(reply, Committed):
                continue  # somebody else was quicker
            is_due = isinstance(settlement.state, Ready | Scheduled)
            (released if is_due else cancelled).append(job.request.id)
            self._tell_the_world(job, settlement, now, reply.awaited)
        if fault is not None:
            raise fault

    def _tell_the_world(
        self, job: StoredJob, settlement: Settlement, now: int, awaited: Sequence[JobId]
    ) -> None:
        state, request = settlement.state, job.request
        if isinstance(state, Ready | Scheduled):
            self.on_due(state.due)
        else:
            self._waiters.notify(request.id)
            if awaited:
                self.note(awaited)
        if not self._probe.listening:
            return
        if isinstance(state, Ready | Scheduled):
            self._probe.announce(
                JobReleased(
                    at=to_datetime(now),
                    job_id=to_uuid(request.id),
                    name=request.name,
                    queue=request.queue,
                    due=to_datetime(state.due),
                )
            )
        else:
            self._probe.announce(
                JobFinished(
                    at=to_datetime(now),
                    job_id=to_uuid(request.id),
                    name=request.name,
                    queue=request.queue,
                    attempt=settlement.attempt,
                    state=state.word,
                    reason=getattr(state, "reason", ""),
                    error=None,
                )
            )

    async def _pass(self, released: Sequence[JobId], cancelled: Sequence[JobId]) -> None:
        """A barrier stands behind the recorded verdicts."""
        if self._probe.gate is not None:
            await self._probe.gate.pass_through("continuations_resolved", (released, cancelled))


def _commit(job: StoredJob, settlement: Settlement) -> Commit:
    return Commit(job.request.id, job.version, settlement.state, settlement.attempt)

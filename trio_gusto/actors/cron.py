"""The cron actor: fires what is due.

It sleeps until the next instant of all schedules, woken by registrations here and by other processes;
never for long, since the wall clock may be set. With no schedules it reads once, and sleeps for good.

Rules. What comes of an instant is decided by `model.firing`; a storage takes it if the schedule's version
is still the one that was looked at. So any number of nodes may do this at once, and none leads: who comes
second looks again, and is courteous from then on, that is, it lets the others go first for a moment, until it
is the first once more. Whatever is due is due in the storage, so a crash anywhere loses nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import attrs
import trio

from ..clock import Clock
from ..model.errors import GustoError, NotSupported, StorageError
from ..model.facts import JobEnqueued, OccurrenceSkipped, ScheduleFired
from ..model.firing import Firing, fire
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime
from ..model.job import JobRequest
from ..model.lifecycle import admit
from ..model.occurrence import request_of, request_of_skip
from ..model.schedule import recomputed
from ..model.states import Ready, Scheduled, Skipped, State, Waiting
from ..storage.messages import Committed, Conflict
from ..storage.schedule_messages import FindSchedules, Fire, KeptSchedule, PutSchedule, Schedules
from .alarm import Alarm
from .desk import StorageDesk
from .holder import Holder
from .probe import Probe

logger = logging.getLogger("trio_gusto")

SLICE = 100
"""Schedules looked at in one go."""

MANY = 500
"""Jobs stored in one transaction, roughly: others want to write, too."""

COURTESY = 0.05
"""Seconds that a node leaves to others when the last time all that it fired had been fired already."""

FAULT_PAUSE = 1.0
"""Seconds to wait after the storage failed."""


@attrs.define
class Bundle:
    """A firing, and the message that tells a storage of it."""

    firing: Firing
    message: Fire


class Cron:
    """Fires schedules. ``on_due`` is told when a job falls due, ``on_expiring`` of deadlines."""

    def __init__(
        self,
        desk: StorageDesk,
        holder: Holder,
        probe: Probe,
        clock: Clock,
        on_due: Callable[[int], None],
        on_expiring: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._holder = holder
        self._probe = probe
        self._clock = clock
        self._on_due = on_due
        self._on_expiring = on_expiring
        self._sick: set[str] = set()
        """Schedules that could not be fired; they are left alone for a while."""
        self._news = Alarm()
        self._has_heard = False
        self._is_courteous = False
        self._rested = trio.Event()
        """Set while nothing is due, and nothing has been heard of."""

    # --- what others tell it ---

    @trio.lowlevel.enable_ki_protection  # it runs in callers' tasks
    def wake(self) -> None:
        """Something about schedules may have changed."""
        self._has_heard = True
        self._rise()
        self._news.ring()

    def _rise(self) -> None:
        """Something may be due."""
        if self._rested.is_set():
            self._rested = trio.Event()

    def is_rested(self) -> bool:
        """Whether everything due has fired, and no job is held that need not be."""
        return self._rested.is_set() and self._holder.is_rested()

    async def until_rested(self) -> None:
        """Wait until everything due has fired, and no job is held that need not be."""
        while not self.is_rested():
            await self._rested.wait()
            await self._holder.until_rested()

    # --- the actor ---

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire until cancelled."""
        task_status.started()
        self._rise()
        async with trio.open_nursery() as guards:
            look = self._first_look
            while True:
                self._news, self._has_heard = Alarm(), False  # this look covers all of it
                try:
                    next_at = await look(guards)
                except NotSupported:
                    next_at = None  # a storage without schedules has none that are due
                except GustoError as fault:
                    logger.warning("schedules could not be looked at: %s", fault)
                    await trio.sleep(FAULT_PAUSE)
                    continue
                look = self._look
                await self._sleep(next_at)

    async def _sleep(self, next_at: int | None) -> None:
        """Until there is news, or the next instant has come by the wall clock, which may be set."""
        while True:
            is_awaited = next_at is not None or self._sick
            pause = self._clock.longest_sleep if is_awaited else math.inf
            if next_at is not None:
                pause = min(pause, (next_at - self._clock.instant()) / MICROSECONDS)
            if pause <= 0:
                self._rise()
                if self._is_courteous:
                    await self._news.wait(self._clock.monotonic() + COURTESY)
                return
            if not self._has_heard:
                self._rested.set()
            if await self._news.wait(self._clock.monotonic() + pause):
                return
            if self._sick:
                self._sick.clear()
                return

    async def _first_look(self, guards: trio.Nursery) -> int | None:
        """The time zone database may have changed since the next instants were computed."""
        last: str | None = None
        while True:
            page = await self._read(guards, FindSchedules(SLICE, after=last))
            for kept in page.found:
                last = kept.schedule.request.name
                await self._recompute(kept)
                await trio.lowlevel.checkpoint()
            if len(page.found) < SLICE:
                return None if last is None else await self._look(guards)

    async def _recompute(self, kept: KeptSchedule) -> None:
        name, version = kept.schedule.request.name, kept.schedule.version
        try:
            again = recomputed(kept.schedule)
        except Exception as error:  # noqa: BLE001 - one bad schedule must not stop the others
            self._complain(name, error)
            return
        if again is not kept.schedule:
            await self._desk.ask(PutSchedule(name, version, again))

    async def _look(self, guards: trio.Nursery) -> int | None:
        """Fire everything that is due; returns the next instant at which there is more."""
        while True:
            now = self._clock.instant()
            page = await self._read(guards, FindSchedules(SLICE + len(self._sick), due_by=now))
            due = [kept for kept in page.found if kept.schedule.request.name not in self._sick]
            if not due:
                return page.next_at
            await self._fire_all(due, now)

    async def _read(self, guards: trio.Nursery, query: FindSchedules) -> Schedules:
        page = await self._desk.read(query)
        self._holder.hold(page.held, guards)
        for fault in page.unreadable:
            self._complain(fault.key, fault)
        return page

    # --- firing ---

    async def _fire_all(self, due: Sequence[KeptSchedule], now: int) -> None:
        bundles: list[Bundle] = []
        jobs = 0
        for kept in due:
            try:
                bundle = _fire(kept, now)
            except Exception as error:  # noqa: BLE001 - one bad schedule must not stop the others
                self._complain(kept.schedule.request.name, error)
                continue
            bundles.append(bundle)
            jobs += len(bundle.message.requests)
            if jobs >= MANY:
                await self._store(bundles, now)
                bundles, jobs = [], 0
            await trio.lowlevel.checkpoint()
        if bundles:
            await self._store(bundles, now)

    async def _store(self, bundles: Sequence[Bundle], now: int) -> None:
        letters = [self._desk.post(bundle.message) for bundle in bundles]
        for bundle in bundles:
            for state in bundle.message.states:
                if isinstance(state, Ready | Scheduled):
                    self._on_due(state.due)  # now, so that its claim joins the transaction
        too_late = 0
        for bundle, letter in zip(bundles, letters, strict=True):
            reply = await letter.answer()
            if isinstance(reply, Committed):
                await self._tell_the_world(bundle, now)
            elif isinstance(reply, Conflict):
                too_late += 1
            elif isinstance(reply, StorageError):
                raise reply
            else:
                self._complain(bundle.message.schedule.request.name, reply)
        self._is_courteous = too_late == len(bundles)

    def _complain(self, name: str, error: object) -> None:
        self._sick.add(name)
        logger.error("the schedule %r could not be fired: %s", name, error)

    async def _tell_the_world(self, bundle: Bundle, now: int) -> None:
        message = bundle.message
        if any(request.expire_on is not None for request in message.requests):
            self._on_expiring()
        if self._probe.listening:
            self._announce(bundle, now)
        if self._probe.gate is not None:
            await self._probe.gate.pass_through("schedule_fired", message)

    def _announce(self, bundle: Bundle, now: int) -> None:
        at, name = to_datetime(now), bundle.message.schedule.request.name
        for fired in bundle.firing.jobs:
            fire_time, job_id = to_datetime(fired.fire_time), to_uuid(fired.job_id)
            self._probe.announce(
                ScheduleFired(at=at, schedule_name=name, fire_time=fire_time, job_id=job_id)
            )
        for skip in bundle.firing.skipped:
            self._probe.announce(
                OccurrenceSkipped(
                    at=at,
                    schedule_name=name,
                    fire_time=to_datetime(skip.fire_time),
                    job_id=to_uuid(skip.job_id),
                    reason=skip.reason.value,
                    count=skip.count,
                    at_least=skip.at_least,
                )
            )
        for request, state in zip(bundle.message.requests, bundle.message.states, strict=True):
            self._probe.announce(
                JobEnqueued(
                    at=at,
                    job_id=to_uuid(request.id),
                    name=request.name,
                    queue=request.queue,
                    state=state.word,
                )
            )


def _fire(kept: KeptSchedule, now: int) -> Bundle:
    """What comes of a schedule that is due, in the order of its instants."""
    asked = kept.schedule.request
    firing = fire(kept.schedule, now, kept.unfinished, kept.last_ended_at)
    made: list[tuple[int, JobRequest, State]] = []
    for fired in firing.jobs:
        request = request_of(asked, fired, now)
        made.append((fired.fire_time, request, Waiting() if fired.wait_for else admit(request)))
    for skip in firing.skipped:
        request = request_of_skip(asked, skip, now)
        made.append((skip.fire_time, request, Skipped(now, skip.sentence)))
    made.sort(key=lambda one: one[0])
    requests = [request for _, request, _ in made]
    states = [state for _, _, state in made]
    return Bundle(firing, Fire(kept.schedule.version, firing.schedule, requests, states))

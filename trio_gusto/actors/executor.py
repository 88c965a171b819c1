"""The executors: a bounded pool of long-lived tasks that run claimed jobs.

The way of a job: take it from the backlog → find its handler → decode its arguments → enter the
handler under timeout and lease → judge what came out → settle.

Rules. Whatever a handler raises fails its own attempt and nothing else, `SystemExit` and its kin
included; only a real Ctrl-C and the cancellation of the pool itself go through. A handler is
cancelled through its slot's scope, and the lease says why (`Cause`). The scope lives as long as the
executor and is renewed only after it was used: one scope per job would cost more than the rest.
A plain handler's thread cannot be killed: its slot stays taken until the thread has ended.
"""

from __future__ import annotations

import contextvars
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import trio

from ..clock import Clock
from ..model.errors import GustoError, UnreadableRecord
from ..model.failure import leaves
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS
from ..model.job import ClaimedJob, Details
from ..model.outcomes import RETURNED, AttemptFailed, Fail, Outcome
from ..serialization.handler import Handler
from .announcements import job_started
from .context import node_context
from .entrance import Entrance
from .isolation import clean_stack, drive, is_real_interrupt, place_of, step
from .judge import Judge
from .lease import Lease, NewJob, Slot
from .parents import Parents, has_parents
from .probe import Probe
from .reports import Reports
from .roster import Roster
from .settler import Settler
from .workplace import Station, Workplace

logger = logging.getLogger("trio_gusto")

BREATH = 250
"""Microseconds that handlers which never wait may run in a row before the loop gets its turn."""


class Executors:
    """The pool."""

    def __init__(
        self,
        workplace: Workplace,
        roster: Roster,
        settler: Settler,
        probe: Probe,
        clock: Clock,
        parents: Parents,
        reports: Reports,
    ) -> None:
        self._workplace = workplace
        self._parents = parents
        self._reports = reports
        self._roster = roster
        self._settler = settler
        self._probe = probe
        self._judge = Judge(workplace)
        self._entrance = Entrance(workplace, roster, clock)
        self._context: contextvars.Context
        """What each job's context is a copy of; set as they begin to run, as `_monotonic` is."""
        self._monotonic: Callable[[], float]
        # Looked up once: these are used for every job.
        self._is_watched = probe.gate is not None or probe.observer is not None
        self._instant = clock.instant
        self._nanoseconds = clock.nanoseconds
        self._stations = workplace.stations

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run jobs until cancelled."""
        self._monotonic = trio.lowlevel.current_clock().current_time
        self._context = node_context(self._roster, self._workplace, self._reports)
        async with trio.open_nursery() as nursery:
            served: set[Slot] = set()
            task_status.started()
            while True:
                for slot in self._roster.slots:
                    if slot not in served:
                        nursery.start_soon(self._serve, slot)
                served = set(self._roster.slots)
                await self._roster.grown.wait()

    @trio.lowlevel.enable_ki_protection
    async def _serve(self, slot: Slot) -> None:
        backlog = self._roster.backlog
        begin = self._begin
        task = slot.task = trio.lowlevel.current_task()
        while self._roster.keeps(slot):
            slot.used_up = False
            last_turn = now = self._take_turn(slot)  # a cancelled handler's comes back much later
            with clean_stack(slot), trio.CancelScope() as slot.scope:
                around = place_of(task)
                while not slot.used_up:
                    lease = backlog.pop()
                    if lease is None:
                        await backlog.park()
                        last_turn = now = self._take_turn(slot)
                        continue
                    try:
                        rest = begin(slot, lease, now)
                        now = rest if isinstance(rest, int) else await rest
                    except Exception:
                        self._drop(slot, lease)
                        raise
                    if place_of(task) is not around:
                        slot.left_open_by = lease
                        break
                    if lease.waited:
                        last_turn = now = self._take_turn(slot)
                    elif now - last_turn > BREATH:
                        await trio.lowlevel.checkpoint()
                        last_turn = now = self._take_turn(slot)

    def _take_turn(self, slot: Slot) -> int:
        """Note when this turn of the loop began, by both clocks; returns the instant."""
        slot.turned_at = self._monotonic()
        return self._instant()

    def _drop(self, slot: Slot, lease: Lease) -> None:
        """A defect of ours struck: let the lease pass, so that a sweep finds the job."""
        slot.lease = lease.slot = None
        slot.deadline = math.inf
        self._roster.let_go(lease)

    @trio.lowlevel.enable_ki_protection
    def _begin(self, slot: Slot, lease: Lease, now: int) -> int | Coroutine[Any, Any, int]:
        """Run one job from ``now`` on, for as long as it does not wait.

        Most short jobs never do, and have their end recorded here.

        Returns:
            The instant at which it ended, or what is left to be awaited, which answers that.
        """
        request = lease.claimed.request
        station = self._stations.get(request.name) or self._workplace.station(request.name)
        if station is None or lease.cause is not None:
            return self._turn_down(lease, station, now)
        details = request.details
        if (
            self._is_watched
            or not station.is_plain
            or (details is not None and _is_linked(details))
        ):
            return self._attempt(slot, lease, station, now)
        lease.started_at = now
        if self._probe.listening:
            self._probe.announce(job_started(lease.claimed, now))
        context = self._context.copy()
        try:
            args, kwargs = station.decode(request.args)
            coroutine = station.fn(*args, **kwargs) if kwargs else station.fn(*args)
            self._roster.active = lease
            try:
                trap = context.run(step, coroutine, lease)
            except StopIteration as end:
                result = end.value
            else:
                self._occupy(slot, lease)
                rest = drive(coroutine, context, self._roster, lease, trap)
                return self._finish(slot, lease, station, rest)
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            return self._fail(slot, lease, station, error)
        self._roster.active = None
        outcome = RETURNED if result is None else self._workplace.success(station.handler, result)
        ended_at = self._nanoseconds() // 1000
        self._roster.note_duration(ended_at - now)
        if lease.children is not None:
            self._settler.settle(lease, outcome, now=ended_at)
        else:
            self._settler.succeed(lease, outcome, now, ended_at)
        return ended_at

    @trio.lowlevel.enable_ki_protection
    async def _attempt(self, slot: Slot, lease: Lease, station: Station, now: int) -> int:
        """Run one job that is watched, or not entered like most."""
        if self._probe.gate is not None:
            self._roster.share_work()
            await self._pass_start(lease)
            now = self._take_turn(slot)
            if lease.cause is not None:  # called off while a test held it here
                return self._turn_down(lease, station, now)
        if has_parents(lease.claimed.request):
            self._roster.share_work()
            is_there = await self._bring_parents(lease)
            now = self._instant()
            if not is_there or lease.cause is not None:
                return self._turn_down(lease, station, now)
        lease.started_at = now
        if self._probe.listening:
            self._probe.announce(job_started(lease.claimed, now))
        context = self._context.copy()
        span = self._span(context, lease.claimed, station.handler)
        self._occupy(slot, lease)
        rest = self._entrance.enter(slot, lease, station, context)
        return await self._finish(slot, lease, station, rest, span)

    @trio.lowlevel.enable_ki_protection
    async def _finish(
        self,
        slot: Slot,
        lease: Lease,
        station: Station,
        rest: Awaitable[object],
        span: object = None,
    ) -> int:
        """Await the ``rest`` of the handler and have its outcome recorded."""
        try:
            result = await rest
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything
            return await self._fail(slot, lease, station, error, span)
        details = lease.claimed.request.details
        if details is not None and details.errand is not None:
            details.errand.result, details.errand.error = result, None
            result = None  # it goes by hand, and is not stored
        outcome = RETURNED if result is None else self._workplace.success(station.handler, result)
        callback = None
        if details is not None and details.callback is not None:
            try:
                callback = self._workplace.call_back(lease.claimed, outcome.result)
            except GustoError as fault:  # handlers are declared otherwise where it was enqueued
                failure = Fail(f"its callback cannot be called here: {fault}")
                return await self._fail(slot, lease, station, failure, span)
        ended_at = self._vacate(slot, lease)
        if self._is_watched or lease.children is not None or callback is not None:
            await self._wind_up(lease, outcome, span, ended_at, callback=callback)
        else:
            assert lease.started_at is not None
            self._settler.succeed(lease, outcome, lease.started_at, ended_at)
        return ended_at

    @trio.lowlevel.enable_ki_protection
    async def _fail(
        self,
        slot: Slot,
        lease: Lease,
        station: Station,
        error: BaseException,
        span: object = None,
    ) -> int:
        """Have the outcome of a handler recorded that has raised ``error``; returns the instant."""
        details = lease.claimed.request.details
        if details is not None and details.errand is not None:
            details.errand.error = error
        outcome = self._judge.outcome_of(slot, lease, error)
        ended_at = self._vacate(slot, lease)
        delay = self._judge.retry_delay(station.handler, lease.claimed, outcome)
        await self._wind_up(lease, outcome, span, ended_at, error, delay)
        return self._instant()  # a retry policy may have taken its time

    def _occupy(self, slot: Slot, lease: Lease) -> None:
        """The handler does not end at once: see to it that it can be interrupted."""
        slot.lease = lease
        lease.slot = slot
        timeout = lease.claimed.request.timeout
        if timeout is not None:
            assert lease.started_at is not None
            # The wall clock may have been set since; it cannot have been longer than this turn.
            now = self._monotonic()
            spent = max(0, self._instant() - lease.started_at) / MICROSECONDS
            slot.deadline = now + timeout / MICROSECONDS - min(spent, now - slot.turned_at)
            self._roster.watch(slot.deadline)

    def _vacate(self, slot: Slot, lease: Lease) -> int:
        """The handler has ended: free the slot; returns the instant."""
        assert lease.started_at is not None
        self._roster.active = None
        slot.lease = lease.slot = None
        slot.deadline = math.inf
        ended_at = self._instant()
        self._roster.note_duration(ended_at - lease.started_at)
        return ended_at

    async def _wind_up(
        self,
        lease: Lease,
        outcome: Outcome,
        span: object,
        ended_at: int,
        error: BaseException | None = None,
        delay: int | None = None,
        callback: NewJob | None = None,
    ) -> None:
        """Settle what is no plain success, or is watched."""
        if self._probe.gate is not None and lease.cause is None:
            # Nobody can stand in a scope that was cancelled; then the settler notes the passing.
            lease.recorded = trio.Event()
        state = self._settler.settle(lease, outcome, now=ended_at, delay=delay, callback=callback)
        if span is not None and self._probe.observer is not None:
            self._probe.observer.job_ended(span, outcome.word, state.word, error)
        if error is not None:
            await self._let_through(error)
        if lease.recorded is not None:
            await self._stand_at_barriers(lease, lease.recorded)

    async def _let_through(self, error: BaseException) -> None:
        """Raise what is not the handler's business: a real Ctrl-C, and the pool's cancellation."""
        for leaf in leaves(error):
            if is_real_interrupt(leaf):
                raise KeyboardInterrupt from leaf
        await trio.lowlevel.checkpoint_if_cancelled()

    # --- the rest ---

    def _turn_down(self, lease: Lease, station: Station | None, now: int) -> int:
        """Give back a job that was called off, or whose handler nobody knows here."""
        name = lease.claimed.request.name
        if station is None and name not in self._roster.unknown_names:
            self._roster.unknown_names.add(name)
            logger.warning(
                "no handler is registered as %r here; its jobs stay ready until a node knows it",
                name,
            )
        self._settler.give_back(lease)
        return now

    def _span(
        self, context: contextvars.Context, claimed: ClaimedJob, handler: Handler[..., Any]
    ) -> object:
        observer = self._probe.observer
        if observer is None:
            return None
        return observer.job_started(context, claimed, handler.job_type, handler.method_name)

    async def _pass_start(self, lease: Lease) -> None:
        """A barrier stands before the handler; a stop gives the job back."""
        assert self._probe.gate is not None
        try:
            await self._probe.gate.pass_through("job_started", lease.claimed)
        except trio.Cancelled:
            self._settler.give_back(lease)
            raise

    async def _bring_parents(self, lease: Lease) -> bool:
        """Read what a continuation will ask for; if that cannot be, the job is given back."""
        try:
            lease.parents = await self._parents.of(lease.claimed.request)
        except UnreadableRecord as fault:  # now and at every other attempt
            reason = "its parents cannot be read"
            self._settler.settle(lease, AttemptFailed(fault, final=True, reason=reason))
            return False
        except GustoError as fault:
            job_id = to_uuid(lease.claimed.request.id)
            logger.warning("the parents of job %s could not be read: %s", job_id, fault)
            return False
        except trio.Cancelled:
            self._settler.give_back(lease)
            raise
        return True

    async def _stand_at_barriers(self, lease: Lease, recorded: trio.Event) -> None:
        """Barriers stand behind the recorded outcome; the last of a batch passes the batch's too."""
        await recorded.wait()
        gate = self._probe.gate
        assert gate is not None
        await gate.pass_through("job_settled", lease.settled())
        if lease.batch.outstanding == 0 and lease.batch.take_end():
            await gate.pass_through("batch_completed", lease.batch)


def _is_linked(details: Details) -> bool:
    """Whether somebody has to be seen to, before the handler is entered or after."""
    linked = details.callback is not None or details.errand is not None
    return linked or bool(details.parents)

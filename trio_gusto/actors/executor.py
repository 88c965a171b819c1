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
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import trio

from ..clock import Clock
from ..model.facts import JobStarted
from ..model.failure import leaves
from ..model.ids import to_uuid
from ..model.instants import MICROSECONDS, to_datetime
from ..model.job import ClaimedJob
from ..model.outcomes import Outcome, Succeeded
from ..serialization.handler import Handler
from .context import enter
from .isolation import drive, is_real_interrupt, step
from .judge import Judge
from .probe import Probe
from .roster import Lease, Roster, Slot
from .settler import Settler
from .workplace import Workplace

logger = logging.getLogger("trio_gusto")

RETURNED_NONE = Succeeded()
"""The outcome of most jobs, made once."""

BREATH = 250
"""Microseconds that handlers which never wait may run in a row before the loop gets its turn."""


class Executors:
    """The pool."""

    def __init__(
        self, workplace: Workplace, roster: Roster, settler: Settler, probe: Probe, clock: Clock
    ) -> None:
        self._workplace = workplace
        self._roster = roster
        self._settler = settler
        self._probe = probe
        self._judge = Judge(workplace)
        self._threads = trio.CapacityLimiter(len(roster.slots))
        self._context = contextvars.Context()
        # Looked up once: these are called for every job.
        self._observer = probe.observer
        self._monotonic = clock.monotonic
        self._instant = clock.instant
        self._standing_still = clock.standing_still
        self._find = workplace.find
        self._decode = workplace.decode
        self._view = workplace.view

    @trio.lowlevel.enable_ki_protection
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run jobs until cancelled."""
        self._monotonic = trio.lowlevel.current_clock().current_time
        self._context = contextvars.copy_context()  # what the host set up, every job may see
        async with trio.open_nursery() as nursery:
            for slot in self._roster.slots:
                nursery.start_soon(self._serve, slot)
            task_status.started()

    @trio.lowlevel.enable_ki_protection
    async def _serve(self, slot: Slot) -> None:
        backlog = self._roster.backlog
        last_turn = 0
        while True:
            slot.used_up = False
            with trio.CancelScope() as slot.scope:
                while not slot.used_up:
                    lease = backlog.pop()
                    if lease is None:
                        await backlog.park()
                        last_turn = self._instant()
                        continue
                    try:
                        ended_at = await self._attempt(slot, lease)
                    except Exception:
                        self._drop(slot, lease)
                        raise
                    if lease.waited:
                        last_turn = ended_at
                    elif ended_at - last_turn > BREATH:
                        await trio.lowlevel.checkpoint()
                        last_turn = self._instant()

    def _drop(self, slot: Slot, lease: Lease) -> None:
        """A defect of ours struck: let the lease pass, so that a sweep finds the job."""
        slot.lease = lease.slot = None
        slot.deadline = math.inf
        self._roster.let_go(lease)

    @trio.lowlevel.enable_ki_protection
    async def _attempt(self, slot: Slot, lease: Lease) -> int:
        """Run one job to its recorded end; returns the instant at which it ended."""
        claimed = lease.claimed
        request = claimed.request
        handler = self._find(request.name)
        if handler is None or lease.cause is not None:
            return self._turn_down(lease, handler)
        gate = self._probe.gate
        if gate is not None:
            self._roster.share_work()
            await self._pass_start(lease)
            if lease.cause is not None:  # called off while a test held it here
                return self._turn_down(lease, handler)
        started_at = lease.started_at = self._instant()
        slot.lease = lease
        lease.slot = slot
        if request.timeout is not None:
            slot.deadline = self._monotonic() + request.timeout / MICROSECONDS
            if slot.deadline < self._roster.next_deadline:
                self._roster.watch(slot.deadline)
        if self._probe.listening:
            self._announce_start(claimed, started_at)
        context = self._context.copy()
        span = None if self._observer is None else self._span(context, claimed, handler)
        error: BaseException | None = None
        try:
            args, kwargs = self._decode(handler, request.args)
            enter(context, lease, self._roster, self._view)
            if handler.is_async and handler.service is None:
                # Step into the coroutine here; most short jobs end without ever waiting.
                coroutine = handler.fn(*args, **kwargs)
                self._roster.active = lease
                try:
                    trap = context.run(step, coroutine)
                except StopIteration as end:
                    result = end.value
                else:
                    result = await drive(coroutine, context, self._roster, lease, trap)
            else:
                result = await self._enter(slot, lease, handler, context, args, kwargs)
        except BaseException as caught:  # noqa: BLE001 - a handler may raise anything
            error = caught
            outcome = self._judge.outcome_of(slot, lease, caught)
        else:
            outcome = RETURNED_NONE if result is None else self._workplace.success(handler, result)
        ended_at = self._vacate(slot, lease, started_at)
        if isinstance(outcome, Succeeded) and gate is None and span is None:
            self._settler.succeed(lease, outcome, started_at, ended_at)
        else:
            await self._wind_up(lease, handler, outcome, error, span, ended_at)
        return ended_at

    def _vacate(self, slot: Slot, lease: Lease, started_at: int) -> int:
        """The handler has ended: free the slot; returns the instant."""
        self._roster.active = None
        slot.lease = None
        lease.slot = None
        slot.deadline = math.inf
        ended_at = self._instant()
        self._roster.note_duration(ended_at - started_at)
        return ended_at

    async def _wind_up(
        self,
        lease: Lease,
        handler: Handler[..., Any],
        outcome: Outcome,
        error: BaseException | None,
        span: object,
        ended_at: int,
    ) -> None:
        """Settle what is no plain success, or is watched."""
        if self._probe.gate is not None and lease.cause is None:
            # Nobody can stand in a scope that was cancelled; then the settler notes the passing.
            lease.recorded = trio.Event()
        delay = None if error is None else self._judge.retry_delay(handler, lease.claimed, outcome)
        state = self._settler.settle(lease, outcome, now=ended_at, delay=delay)
        if span is not None and self._observer is not None:
            self._observer.job_ended(span, outcome.word, state.word, error)
        if error is not None:
            await self._let_through(error)
        if lease.recorded is not None:
            await self._stand_at_barriers(lease, lease.recorded)

    # --- entering the handler ---

    async def _enter(
        self,
        slot: Slot,
        lease: Lease,
        handler: Handler[..., Any],
        context: contextvars.Context,
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        """Enter a handler that is no plain coroutine function."""
        if handler.service is not None:
            coroutine = self._with_service(slot, handler, args, kwargs)
            self._roster.active = lease
            try:
                trap = context.run(step, coroutine)
            except StopIteration as end:
                return end.value
            return await drive(coroutine, context, self._roster, lease, trap)
        if handler.thread is False:
            self._roster.active = lease
            return context.run(handler.fn, *args, **kwargs)
        lease.waited = True
        self._roster.share_work()
        return await self._in_thread(slot, partial(context.run, handler.fn, *args, **kwargs))

    async def _with_service(
        self,
        slot: Slot,
        handler: Handler[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        """Call a method of a service: its instance is made for this job and cleaned up after it."""
        assert handler.service is not None
        async with self._workplace.scope() as scope:
            instance = await scope.get(cast("type[object]", handler.service))
            method = partial(handler.fn, instance, *args, **kwargs)
            if handler.is_async:
                return await method()
            if handler.thread is False:
                return method()
            context = contextvars.copy_context()
            self._roster.share_work()
            return await self._in_thread(slot, partial(context.run, method))

    async def _in_thread(self, slot: Slot, call: Callable[[], object]) -> object:
        """Run ``call`` in a worker thread; when cancelled, still wait until the thread has ended."""
        ended = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def body() -> object:
            try:
                return call()
            finally:
                try:
                    token.run_sync_soon(ended.set)
                except trio.RunFinishedError:
                    pass  # abandoned, and the program's loop has ended meanwhile

        try:
            with self._standing_still():
                return await trio.to_thread.run_sync(
                    body, abandon_on_cancel=True, limiter=self._threads
                )
        except trio.Cancelled:
            # The thread runs on, and so the slot is taken still. The shield has no deadline of its
            # own on purpose: a stopping node cancels `thread_wait` when its patience is over.
            with trio.CancelScope(shield=True) as slot.thread_wait:
                await ended.wait()
            slot.thread_wait = None
            raise

    async def _let_through(self, error: BaseException) -> None:
        """Raise what is not the handler's business: a real Ctrl-C, and the pool's cancellation."""
        for leaf in leaves(error):
            if is_real_interrupt(leaf):
                raise KeyboardInterrupt from leaf
        await trio.lowlevel.checkpoint_if_cancelled()

    # --- the rest ---

    def _turn_down(self, lease: Lease, handler: Handler[..., Any] | None) -> int:
        """Give back a job that was called off, or whose handler nobody knows here."""
        name = lease.claimed.request.name
        if handler is None and name not in self._roster.unknown_names:
            self._roster.unknown_names.add(name)
            logger.warning(
                "no handler is registered as %r here; its jobs stay ready until a node knows it",
                name,
            )
        self._settler.give_back(lease)
        return 0

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
        if not self._probe.gate.watches("job_started"):
            return
        try:
            await self._probe.gate.pass_through("job_started", lease.claimed)
        except trio.Cancelled:
            self._settler.give_back(lease)
            raise

    async def _stand_at_barriers(self, lease: Lease, recorded: trio.Event) -> None:
        """Barriers stand behind the recorded outcome; the last of a batch passes the batch's too."""
        await recorded.wait()
        gate = self._probe.gate
        assert gate is not None
        await gate.pass_through("job_settled", lease.settled())
        if lease.batch.outstanding == 0 and lease.batch.take_end():
            await gate.pass_through("batch_completed", lease.batch)

    def _announce_start(self, claimed: ClaimedJob, started_at: int) -> None:
        self._probe.announce(
            JobStarted(
                at=to_datetime(started_at),
                job_id=to_uuid(claimed.request.id),
                name=claimed.request.name,
                queue=claimed.request.queue,
                attempt=claimed.attempt,
                node_id=claimed.node,
            )
        )

"""How a handler is entered: an async function, a method of a service, or a function in a thread.

A plain handler's thread cannot be killed: its slot stays taken until the thread has ended.
"""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import trio

from ..clock import Clock
from ..serialization.handler import Handler
from .context import make_current
from .isolation import drive, step
from .lease import Lease, Slot
from .roster import Roster
from .workplace import Station, Workplace


class Entrance:
    """Enters handlers for the executors of one node."""

    def __init__(self, workplace: Workplace, roster: Roster, clock: Clock) -> None:
        self._workplace = workplace
        self._roster = roster
        self._standing_still = clock.standing_still
        self._threads = trio.CapacityLimiter(math.inf)  # a thread needs a slot, and those are few

    @trio.lowlevel.enable_ki_protection
    async def enter(
        self, slot: Slot, lease: Lease, station: Station, context: contextvars.Context
    ) -> object:
        """Run the handler to its end and return what it returned, whatever its kind."""
        handler = station.handler
        args, kwargs = station.decode(lease.claimed.request.args)
        self._roster.active = lease
        is_surrounded = self._workplace.around is not None
        if is_surrounded or handler.is_async or handler.service is not None:
            coroutine = self._coroutine(slot, handler, args, kwargs)
            try:
                trap = context.run(step, coroutine, lease)
            except StopIteration as end:
                return end.value
            return await drive(coroutine, context, self._roster, lease, trap)
        context.run(make_current, lease)
        if handler.thread is False:
            return context.run(handler.fn, *args, **kwargs)
        self._roster.active = None
        lease.waited = True
        self._roster.share_work()
        return await self._in_thread(slot, partial(context.run, handler.fn, *args, **kwargs))

    def _coroutine(
        self,
        slot: Slot,
        handler: Handler[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> Coroutine[Any, Any, object]:
        """The call of a handler, with what is around it."""
        if self._workplace.around is not None:
            return self._workplace.around(partial(self._call, slot, handler, args, kwargs))
        if handler.service is not None:
            return self._call(slot, handler, args, kwargs)
        return cast("Coroutine[Any, Any, object]", handler.fn(*args, **kwargs))

    async def _call(
        self,
        slot: Slot,
        handler: Handler[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, object],
    ) -> object:
        """Call a handler of any kind. A service is made for this call and cleaned up after it."""
        if handler.service is None:
            return await self._invoke(slot, handler, partial(handler.fn, *args, **kwargs))
        async with self._workplace.scope() as scope:
            instance = await scope.get(cast("type[object]", handler.service))
            method = partial(handler.fn, instance, *args, **kwargs)
            return await self._invoke(slot, handler, method)

    async def _invoke(
        self, slot: Slot, handler: Handler[..., Any], call: Callable[[], Any]
    ) -> object:
        if handler.is_async:
            return await call()
        if handler.thread is False:
            return call()
        self._roster.share_work()
        return await self._in_thread(slot, call)

    async def _in_thread(self, slot: Slot, call: Callable[[], object]) -> object:
        """Run ``call`` in a worker thread; when cancelled, still wait until the thread has ended."""
        ended = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def body() -> object:
            slot.thread = threading.get_ident()
            try:
                return call()
            finally:
                slot.thread = None
                try:
                    token.run_sync_soon(ended.set)
                except trio.RunFinishedError:
                    pass  # abandoned, and the program's loop has ended meanwhile

        # Whoever is cancelled already gets no thread, and must not wait for the end of one. Behind this
        # nothing else is between here and the thread, as the limiter has no limit.
        await trio.lowlevel.checkpoint_if_cancelled()
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

"""`FaultyStorage`: any storage, failing where a test wants it to.

Two ways to fail: *before*, when nothing was done and the caller may simply try again, and *after
the commit*, when everything was done and only the reply is lost. Real storages fail both ways, and
the caller cannot tell which it was.

Under a mock clock a call takes no time, except what a fault adds: the clock stands still while the
storage, perhaps in a thread of its own, does its work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal

import attrs
import trio

from ..model.errors import GustoError, OptionsError, StorageBusy, StorageError
from ..model.instants import MICROSECONDS, to_duration
from ..storage.lease_messages import Renew, Renewed
from ..storage.messages import Query, Write, WriteReply
from ..storage.news import News
from ..storage.storage import Storage
from .clock import standing_still

Verb = Literal["apply", "read"]


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong, and when.

    Args:
        on: ``"apply"`` (a group of writes, one transaction) or ``"read"`` (a query).
        nth: the how-manieth call of that kind, counted from 1.
        error: what is raised; ``None`` raises nothing, for a fault that is only slow.
        after_commit: whether the call is performed first and only its reply is lost.
        delay: seconds of Trio's clock, or a timedelta, by which the call is late.

    Raises:
        OptionsError: one of them is not of its kind.
    """

    on: Verb = "apply"
    nth: int = 1
    error: StorageError | None = attrs.field(
        factory=lambda: StorageBusy("the storage is busy: a fault of this test")
    )
    after_commit: bool = False
    delay: float | timedelta = 0

    def __attrs_post_init__(self) -> None:
        if self.on not in ("apply", "read"):
            raise OptionsError("on", self.on, 'give "apply" or "read"')
        if self.nth < 1:
            raise OptionsError("nth", self.nth, "calls are counted from 1")
        if to_duration(self.delay) < 0:
            raise OptionsError("delay", self.delay, "give 0 or more seconds")


@attrs.frozen
class Asked:
    """A call that a plan may let fail: the ``nth`` of its kind, with its messages."""

    on: Verb
    nth: int
    messages: Sequence[Write | Query]


Plan = Callable[[Asked], Fault | None]
"""Decides about every call; only ``error``, ``after_commit`` and ``delay`` of its answer count."""


class FaultyStorage(Storage):
    """Passes everything on to ``storage``, except where ``plan`` says otherwise.

    A plan is an iterable of `Fault`, each of which happens once, or a function that decides about
    each call by its messages:

    >>> from trio_gusto import MemoryStorage
    >>> from trio_gusto.storage.messages import Commit, Complete
    >>> def lose_first_outcome(asked: Asked) -> Fault | None:
    ...     commits = any(isinstance(message, Commit | Complete) for message in asked.messages)
    ...     return Fault(after_commit=True) if commits and not storage.happened else None
    >>> storage = FaultyStorage(MemoryStorage(), lose_first_outcome)

    ``happened`` lists the faults that came to pass, for a test to assert that its plan did.
    """

    def __init__(self, storage: Storage, plan: Iterable[Fault] | Plan = ()) -> None:
        self.storage = storage
        self.take_after(storage)
        self.happened: list[Fault] = []
        self._decide = plan if callable(plan) else None
        self._planned = [] if callable(plan) else list(plan)
        self._calls: dict[Verb, int] = {"apply": 0, "read": 0}

    @property
    def pending(self) -> tuple[Fault, ...]:
        """Faults that are planned and have not happened yet."""
        return tuple(self._planned)

    def fail_next(
        self, error: StorageError | None = None, *, on: Verb = "apply", after_commit: bool = False
    ) -> None:
        """Let the next call of a kind fail, with `StorageBusy` unless another ``error`` is given."""
        nth = self._calls[on] + 1
        if error is None:
            self._planned.append(Fault(on=on, nth=nth, after_commit=after_commit))
        else:
            self._planned.append(Fault(on=on, nth=nth, error=error, after_commit=after_commit))

    # --- the storage, as others see it ---

    async def attach(self, node: str) -> None:
        with standing_still():
            await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        with standing_still():
            await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        fault = self._next_fault("apply", writes)
        await self._before(fault)
        with standing_still():
            replies = await self.storage.apply(writes)
        self._after(fault)
        return replies

    async def read(self, query: Query) -> Any:
        fault = self._next_fault("read", (query,))
        await self._before(fault)
        with standing_still():
            reply = await self.storage.read(query)
        self._after(fault)
        return reply

    async def wait_changed(self, node: str) -> News | None:
        return await self.storage.wait_changed(node)

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        return self.storage.renew_blocking(renew)

    # --- what goes wrong ---

    def _next_fault(self, on: Verb, messages: Sequence[Write | Query]) -> Fault | None:
        self._calls[on] += 1
        asked = Asked(on, self._calls[on], messages)
        fault = self._planned_for(asked) if self._decide is None else self._decide(asked)
        if fault is not None:
            self.happened.append(fault)
        return fault

    def _planned_for(self, asked: Asked) -> Fault | None:
        for fault in self._planned:
            if fault.on == asked.on and fault.nth == asked.nth:
                self._planned.remove(fault)
                return fault
        return None

    async def _before(self, fault: Fault | None) -> None:
        if fault is None:
            return
        delay = to_duration(fault.delay)
        if delay:
            await trio.sleep(delay / MICROSECONDS)
        if fault.error is not None and not fault.after_commit:
            raise fault.error

    def _after(self, fault: Fault | None) -> None:
        if fault is not None and fault.error is not None and fault.after_commit:
            raise fault.error

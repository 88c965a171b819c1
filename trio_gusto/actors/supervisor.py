"""The supervisor: starts children in order, restarts those that die, stops them in reverse order.

Children are data (`Child`). Each one reports ready before the next is started. A child that dies of
an exception is started again as long as the budget lasts; past it the supervisor fails, and the app
with it: no half-dead scheduler. Stopping means cancelling; there are no stop messages.

The supervisor knows no particular actor.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from ..clock import Clock
from ..model.facts import ActorRestarted
from ..model.failure import JobError, leaves
from .probe import Probe

logger = logging.getLogger("trio_gusto")


@attrs.define
class Child:
    """One actor to look after."""

    name: str
    run: Callable[..., Awaitable[None]]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)


class RestartBudget:
    """At most ``restarts`` within any ``seconds``."""

    def __init__(self, restarts: int, seconds: float) -> None:
        self._restarts = restarts
        self._seconds = seconds
        self._spent: deque[float] = deque()

    def allows_one(self, now: float) -> bool:
        """Spend one restart, if one is left."""
        while self._spent and self._spent[0] <= now - self._seconds:
            self._spent.popleft()
        if len(self._spent) >= self._restarts:
            return False
        self._spent.append(now)
        return True


class _Readiness:
    """Reports that a child is ready once, in whichever of its lives it came that far."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status: trio.TaskStatus[None] | None = task_status

    def started(self, value: None = None) -> None:  # noqa: ARG002 - as Trio calls it
        """The child is ready."""
        task_status, self._task_status = self._task_status, None
        if task_status is not None:
            task_status.started()


class Supervisor:
    """Looks after children in one nursery."""

    def __init__(self, budget: RestartBudget, probe: Probe, clock: Clock) -> None:
        self._budget = budget
        self._probe = probe
        self._clock = clock
        self._children: list[Child] = []
        self.failed = trio.Event()
        """Set when a child died and may not be started again, or died of a real Ctrl-C."""
        self.fault: BaseException | None = None

    async def start(self, nursery: trio.Nursery, children: Sequence[Child]) -> None:
        """Start ``children`` in order, each when the one before it is ready; none after a fault."""
        for child in children:
            if self.failed.is_set():
                return
            self._children.append(child)
            await nursery.start(self._look_after, child)

    async def stop(self, *names: str) -> None:
        """Cancel the named children (all, if none is named), last started first, and await their end."""
        for child in reversed(self._children):
            if not names or child.name in names:
                child.scope.cancel()
                await child.ended.wait()

    @trio.lowlevel.enable_ki_protection
    async def _look_after(
        self, child: Child, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        readiness = _Readiness(task_status)
        try:
            with child.scope:
                while not await self._live(child, readiness):
                    pass
            readiness.started()  # it may have died for good before, and nobody is to wait for it
        finally:
            child.ended.set()

    async def _live(self, child: Child, task_status: trio.TaskStatus[None]) -> bool:
        """One life of a child. Returns whether it was its last."""
        try:
            await child.run(task_status=task_status)
        except BaseException as error:
            members = leaves(error)
            if all(isinstance(leaf, trio.Cancelled) for leaf in members):
                raise
            if not all(isinstance(leaf, Exception | trio.Cancelled) for leaf in members):
                return self._give_up(error)
            if not self._budget.allows_one(trio.current_time()):
                logger.exception("actor %s died once too often; the app stops", child.name)
                return self._give_up(error)
            logger.exception("actor %s died and is started again", child.name)
            if self._probe.listening:
                self._probe.announce(
                    ActorRestarted(at=self._clock.now(), actor=child.name, error=JobError.of(error))
                )
            await trio.lowlevel.checkpoint()
            return False
        return True

    def _give_up(self, error: BaseException) -> bool:
        if self.fault is None:
            self.fault = _sole(error)
        self.failed.set()
        return True


def _sole(error: BaseException) -> BaseException:
    """The one exception in nested groups of one; a Ctrl-C comes out as itself."""
    members = leaves(error)
    for leaf in members:
        if isinstance(leaf, KeyboardInterrupt):
            return leaf
    ours = [leaf for leaf in members if not isinstance(leaf, trio.Cancelled)]
    return ours[0] if len(ours) == 1 else error

"""An alarm: how one actor wakes another without a mailbox."""

from __future__ import annotations

import math

import trio


class Alarm:
    """Wakes one task, at once or at an instant; a ring that comes before the wait is kept."""

    __slots__ = ("_rung", "_task")

    def __init__(self) -> None:
        self._rung = False
        self._task: trio.lowlevel.Task | None = None

    def ring(self) -> None:
        """Wake the task that waits, or the next one that will."""
        if not self._rung:
            self._rung = True
            if self._task is not None:
                trio.lowlevel.reschedule(self._task)
                self._task = None

    async def wait(self, until: float = math.inf) -> bool:
        """Wait for a ring, or for the monotonic instant ``until``. Returns whether it rang."""
        if self._rung:
            await trio.lowlevel.checkpoint()
        elif until == math.inf:
            await self._sleep()
        else:
            with trio.CancelScope(deadline=until):
                await self._sleep()
        rung, self._rung = self._rung, False
        return rung

    async def _sleep(self) -> None:
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

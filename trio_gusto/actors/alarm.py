"""An alarm: how one actor wakes another without a mailbox."""

from __future__ import annotations

import math

import trio


class Alarm:
    """Wakes one task, at once or at an instant; a ring that comes before the wait is kept."""

    __slots__ = ("_rung", "_scope")

    def __init__(self) -> None:
        self._rung = False
        self._scope: trio.CancelScope | None = None

    def ring(self) -> None:
        """Wake the task that waits, or the next one that will."""
        if not self._rung:
            self._rung = True
            if self._scope is not None:
                self._scope.cancel()

    async def wait(self, until: float = math.inf) -> bool:
        """Wait for a ring, or for the monotonic instant ``until``. Returns whether it rang."""
        if not self._rung:
            with trio.CancelScope(deadline=until) as scope:
                self._scope = scope
                try:
                    await trio.sleep_forever()
                finally:
                    self._scope = None
        else:
            await trio.lowlevel.checkpoint()
        rung, self._rung = self._rung, False
        return rung

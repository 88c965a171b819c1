"""The listener: hears that somebody outside this process changed the storage, and passes it on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import trio

from ..storage.storage import Storage

CALM = 0.02
"""Seconds between two rounds of passing on, so that a busy neighbour does not keep us busy too."""


class Listener:
    """Waits for changes; ``hear`` are called in order, ``act`` awaited after them."""

    def __init__(
        self,
        node: str,
        storage: Storage,
        hear: Sequence[Callable[[], None]],
        act: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._node = node
        self._storage = storage
        self._hear = hear
        self._act = act

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        task_status.started()
        while True:
            await self._storage.wait_changed(self._node)
            for hear in self._hear:
                hear()
            if self._act is not None:
                await self._act()
            await trio.sleep(CALM)

"""The listener: hears that somebody outside this process changed the storage, and passes it on."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from ..model.errors import StorageError
from ..storage.storage import Storage

logger = logging.getLogger("trio_gusto")

FAULT_PAUSE = 1.0
"""Seconds between two looks while the storage cannot tell of changes."""


class Listener:
    """Waits for changes; ``hear`` are called in order, ``act`` awaited after them."""

    def __init__(
        self,
        node: str,
        storage: Storage,
        hear: Sequence[Callable[[], None]],
        act: Callable[[], Awaitable[None]] | None = None,
        *,
        calm: float,
    ) -> None:
        self._node = node
        self._storage = storage
        self._hear = hear
        self._act = act
        self._calm = calm

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        task_status.started()
        while True:
            try:
                await self._storage.wait_changed(self._node)
            except StorageError as fault:
                # Changes may be missed meanwhile, so everybody looks for himself now and then.
                logger.warning("changes by other processes cannot be heard of: %s", fault)
                await trio.sleep(FAULT_PAUSE)
            for hear in self._hear:
                hear()
            if self._act is not None:
                await self._act()
            if self._calm:
                await trio.sleep(self._calm)

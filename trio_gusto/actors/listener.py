"""The listener: hears that somebody outside this process changed the storage, and tells whom it concerns."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from ..model.errors import StorageError
from ..storage.news import EVERYTHING, News
from ..storage.storage import Storage

logger = logging.getLogger("trio_gusto")

FAULT_PAUSE = 1.0
"""Seconds between two looks while the storage cannot tell of changes."""


class Listener:
    """Waits for changes.

    ``hear`` are called in order, each when there is news of its kind; ``heed`` is awaited after them, when
    somebody wants something of running jobs.
    """

    def __init__(
        self,
        node: str,
        storage: Storage,
        hear: Sequence[tuple[News, Callable[[], None]]],
        heed: Callable[[], Awaitable[None]] | None = None,
        *,
        calm: float,
    ) -> None:
        self._node = node
        self._storage = storage
        self._hear = hear
        self._heed = heed
        self._calm = calm

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled."""
        task_status.started()
        while True:
            news: News | None = None
            try:
                news = await self._storage.wait_changed(self._node)
            except StorageError as fault:
                # Changes may be missed meanwhile, so everybody looks for himself now and then.
                logger.warning("changes by other processes cannot be heard of: %s", fault)
                await trio.sleep(FAULT_PAUSE)
            if news is None:
                news = EVERYTHING
            for kind, hear in self._hear:
                if kind in news:
                    hear()
            if self._heed is not None and News.WISHES in news:
                await self._heed()
            if self._calm:
                await trio.sleep(self._calm)

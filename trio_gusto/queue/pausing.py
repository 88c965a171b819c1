"""The verbs of `JobQueue` that hold work back, and let it go on."""

from __future__ import annotations

import trio

from ..model.pauses import Pause, view
from ..options.values import text
from ..storage.pause_messages import LiftPauses, Pauses, PutPause
from .part import QueuePart

LOOK = 1.0
"""Seconds between two looks at whether others have heard of a pause, if nothing is heard from them."""


class Pausing(QueuePart):
    """The part of a `JobQueue` that is about pauses."""

    async def pause(
        self, *, queue: str | None = None, tenant: str | None = None, reason: str = ""
    ) -> None:
        """Start no more jobs of this queue, of this tenant, of both together, or, without either, at all.

        It holds in every process that shares the storage, and through restarts, until `resume`. When this
        returns, nothing that it covers is started any more, wherever it may have been prefetched. Jobs that
        run already run on. Others may be enqueued, and wait. What is paused already stays so, with
        its first reason.

        It returns as soon as every process that holds jobs which it covers has heard of it. One that is
        stuck is waited for until its leases have passed. The pause holds also if you give up waiting.

        Raises:
            OptionsError: a name or the reason is no text, or too long.
            NotSupported: the storage keeps no pauses.
            StorageError: the storage failed. If that was while waiting for others, the pause is kept.
        """
        _check(queue, tenant)
        text("reason", reason, may_be_empty=True)
        await self._desk.ask(PutPause(queue, tenant, reason, self._clock.instant()))
        # Nobody is notified of this id alone; but everybody is when others have changed something.
        with self._waiters.waiting(self._drafter.new_id()) as waiter:
            while True:
                found = await self._desk.read(Pauses(self._clock.instant()))
                own = self._ears.paused(found.pauses)
                if not set(found.unheard) - {own}:
                    return
                with trio.move_on_after(LOOK):
                    await waiter.wait()

    async def resume(self, *, queue: str | None = None, tenant: str | None = None) -> None:
        """Lift the pause of exactly this queue and tenant; without either, all pauses there are.

        Raises:
            OptionsError: a name is no text, or too long.
            NotSupported: the storage keeps no pauses.
            StorageError: the storage failed; nothing was changed.
        """
        _check(queue, tenant)
        await self._desk.ask(LiftPauses(queue, tenant))
        self._ears.ready()

    async def paused(self) -> tuple[Pause, ...]:
        """The pauses that hold, oldest first.

        Raises:
            NotSupported: the storage keeps no pauses.
            StorageError: the storage failed.
        """
        found = await self._desk.read(Pauses(self._clock.instant()))
        return tuple(view(pause) for pause in found.pauses)


def _check(queue: str | None, tenant: str | None) -> None:
    if queue is not None:
        text("queue", queue)
    if tenant is not None:
        text("tenant", tenant, may_be_empty=True)

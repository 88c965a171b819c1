"""Storing jobs, and telling whom it concerns, also when the caller does not wait for it any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..actors.desk import StorageDesk
from ..actors.waiters import Waiters
from ..model.ids import JobId
from ..model.states import Ready, Scheduled, Waiting
from ..storage.messages import Insert, Inserted

if TYPE_CHECKING:
    from .ears import Ears


async def store(desk: StorageDesk, waiters: Waiters, ears: Ears, insert: Insert) -> Sequence[JobId]:
    """Store jobs, some of which may have unique keys, and so may turn out to be there already.

    Returns:
        For each of them its id, or that of the job that has its key.

    Raises:
        DuplicateJob: a live job has the key of one of them; nothing was stored.
        UnknownJob: one of them waits for a job that there is not; nothing was stored.
        StorageError: the storage failed; nothing was stored.
    """

    def heed(reply: object) -> None:
        if isinstance(reply, Inserted):
            _tell(waiters, ears, insert, reply)

    reply = await desk.ask(insert, heed)
    return [
        reply.existing.get(position, request.id) for position, request in enumerate(insert.requests)
    ]


def _tell(waiters: Waiters, ears: Ears, insert: Insert, reply: Inserted) -> None:
    for replaced in reply.replaced:
        waiters.notify(replaced)
    if reply.awaited:
        ears.awaited(reply.awaited)
    for position, (request, state) in enumerate(zip(insert.requests, insert.states, strict=True)):
        if position in reply.existing:
            continue
        if isinstance(state, Ready | Scheduled):
            ears.due(state.due)
        elif isinstance(state, Waiting):
            # They may have ended already, or between any two steps; then nobody else will look.
            ears.awaited(state.parents)
        if request.expire_on is not None:
            ears.expiring()

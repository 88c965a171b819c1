"""Storing jobs that have a unique key, and so may turn out to be there already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..actors.desk import StorageDesk
from ..actors.waiters import Waiters
from ..model.errors import OptionsError
from ..model.ids import JobId
from ..model.job import JobRequest
from ..model.states import Ready, Scheduled
from ..model.uniqueness import OnConflict
from ..storage.messages import Insert, Inserted

if TYPE_CHECKING:
    from .ears import Ears


async def store_unique(
    desk: StorageDesk, waiters: Waiters, ears: Ears, insert: Insert
) -> Sequence[JobId]:
    """Store jobs, and tell of those that they replaced.

    Returns:
        For each of them its id, or that of the job that has its key.

    Raises:
        DuplicateJob: a live job has the key of one of them; nothing was stored.
    """
    reply = await desk.ask(insert)
    assert isinstance(reply, Inserted)
    for replaced in reply.replaced:
        waiters.notify(replaced)
    if reply.awaited:
        ears.awaited(reply.awaited)
    for position, state in enumerate(insert.states):
        if position not in reply.existing and isinstance(state, Ready | Scheduled):
            ears.due(state.due)
    return [
        reply.existing.get(position, request.id) for position, request in enumerate(insert.requests)
    ]


def require_durable(request: JobRequest, where: str) -> None:
    """See that ``request`` may be kept with others in the storage.

    Raises:
        OptionsError: it is to be kept in memory only.
    """
    if request.details is not None and not request.details.durable:
        raise OptionsError(
            "durable",
            False,
            f"{where} is stored with others; leave durable out, or enqueue it alone",
        )


def require_own(request: JobRequest, where: str) -> None:
    """See that ``request`` is stored or refused, and no other job takes its part.

    Raises:
        OptionsError: it would give way to another.
    """
    details = request.details
    if details is None or details.unique_key is None:
        return
    if details.on_conflict != OnConflict.RAISE:
        raise OptionsError(
            "on_conflict",
            details.on_conflict,
            f'{where} is stored as it is described, or not at all; use "raise" there',
        )

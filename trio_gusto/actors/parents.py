"""What a continuation sees of the jobs it waited for: read from the storage before it is entered."""

from __future__ import annotations

from ..model.dependencies import Parent
from ..model.job import JobRequest
from ..storage.messages import Get
from .desk import StorageDesk
from .workplace import Workplace


class Parents:
    """Reads the parents of claimed jobs."""

    def __init__(self, desk: StorageDesk, workplace: Workplace) -> None:
        self._desk = desk
        self._workplace = workplace

    async def of(self, request: JobRequest) -> tuple[Parent, ...]:
        """The parents that are stored still, in the order in which they were given.

        Raises:
            StorageError: they could not be read.
        """
        details = request.details
        assert details is not None
        found = await self._desk.read(Get(details.parents))
        return tuple([self._workplace.parent(stored) for stored in found.jobs])


def has_parents(request: JobRequest) -> bool:
    """Whether a job is a continuation."""
    return request.details is not None and bool(request.details.parents)

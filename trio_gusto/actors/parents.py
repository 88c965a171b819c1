"""What a continuation sees of the jobs it waited for: read from the storage before it is entered."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.dependencies import Parent
from ..model.ids import JobId
from ..model.job import JobRequest, StoredJob
from ..storage.finding_messages import Find, Get
from .desk import StorageDesk
from .workplace import Workplace

SLICE = 500
"""Jobs of a batch that are read in one go."""


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
        jobs = {job.request.id: job for job in (await self._desk.read(Get(details.parents))).jobs}
        parents: list[StoredJob] = []
        for parent in details.parents:
            parents += [jobs[parent]] if parent in jobs else await self._members(parent)
        return tuple(map(self._workplace.parent, parents))

    async def _members(self, batch: JobId) -> list[StoredJob]:
        """The jobs of a batch, in the order in which they were stored."""
        members: list[StoredJob] = []
        page: Sequence[StoredJob] = ()
        while not members or len(page) == SLICE:
            before = members[-1].sequence if members else None
            page = (await self._desk.read(Find(SLICE, before, batch=batch))).jobs
            members += page
            if not page:
                break
        return members[::-1]


def has_parents(request: JobRequest) -> bool:
    """Whether a job is a continuation."""
    return request.details is not None and bool(request.details.parents)

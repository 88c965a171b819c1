"""Looking at stored jobs: what queue and refs share."""

from __future__ import annotations

from ..actors.desk import StorageDesk
from ..actors.waiters import Waiters
from ..model.errors import UnknownJob
from ..model.ids import JobId, to_uuid
from ..model.job import Job, StoredJob
from ..model.states import Completed
from ..serialization.codec import Codec
from ..serialization.registry import Registry
from ..serialization.views import view
from ..storage.finding_messages import Get


class Reader:
    """Reads jobs from the storage and turns them into what users see."""

    def __init__(
        self, desk: StorageDesk, waiters: Waiters, registry: Registry, codec: Codec
    ) -> None:
        self._waiters = waiters
        self._registry = registry
        self._codec = codec
        self.desk = desk

    async def find(self, job_id: JobId) -> StoredJob | None:
        """The job as it is stored now, if there is one."""
        found = await self.desk.read(Get([job_id]))
        return found.jobs[0] if found.jobs else None

    async def known(self, job_id: JobId) -> StoredJob:
        """The job as it is stored now.

        Raises:
            UnknownJob: it is gone, since retention removed it, or it never was.
        """
        stored = await self.find(job_id)
        if stored is None:
            raise UnknownJob(to_uuid(job_id))
        return stored

    async def ended(self, job_id: JobId) -> StoredJob:
        """The job as it is stored once it has ended; waits for that.

        Raises:
            UnknownJob: there is no such job.
        """
        with self._waiters.waiting(job_id) as waiter:
            while True:
                stored = await self.known(job_id)
                if stored.state.word.is_ended:
                    return stored
                await waiter.wait()

    def view(self, stored: StoredJob) -> Job:
        """The record that users look at."""
        return view(stored, self._registry, self._codec)

    def result_of(self, stored: StoredJob) -> object:
        """What the handler of a completed job returned."""
        assert isinstance(stored.state, Completed)
        return self._codec.load_result(
            stored.state.result, self._registry.find(stored.request.name)
        )

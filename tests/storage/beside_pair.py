"""A storage with jobs in memory beside it, as tests need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from trio_gusto.model.errors import GustoError, StorageBusy
from trio_gusto.model.job import ClaimedJob, Details, JobRequest
from trio_gusto.model.states import JobState
from trio_gusto.storage.beside import Beside, Transient
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import ids


class Main(MemoryStorage):
    """The storage, which may be out of order."""

    is_busy = False
    refusal: GustoError | None = None

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        if self.is_busy:
            raise StorageBusy("somebody else holds it")
        if self.refusal is not None:
            return [self.refusal for _ in writes]
        return await super().apply(writes)

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        reply = self.perform(renew)
        assert isinstance(reply, Renewed)
        return reply


class Pair(Subject):
    """A storage with jobs in memory beside it. Jobs that are durable stand in ``main``."""

    def __init__(self) -> None:
        self.main, self.memory = Main(), Transient()
        super().__init__(Beside(self.main, self.memory), "node")

    async def put(self, *durable: bool, **parts: Any) -> list[JobRequest]:
        """A job of each kind, in this order."""
        details = [parts.pop("details", None) or Details()] * len(durable)
        requests = [
            self.request(details=attrs.evolve(each, durable=is_durable), **parts)
            for each, is_durable in zip(details, durable, strict=True)
        ]
        for request in requests:
            await self.insert(request)
        return requests

    async def running(self, *durable: bool, **parts: Any) -> list[ClaimedJob]:
        """The same, claimed."""
        requests = await self.put(*durable, **parts)
        by_id = {job.request.id: job for job in (await self.claim()).jobs}
        return [by_id[request.id] for request in requests]

    async def state(self, job: ClaimedJob | JobRequest) -> JobState:
        (job_id,) = ids([job])
        return (await self.get(job_id)).state.word

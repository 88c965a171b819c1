"""Jobs named by letters, so that a claim can be told as a word."""

from __future__ import annotations

from typing import Any

from trio_gusto.model.job import ClaimedJob, Details
from trio_gusto.model.states import Cancelled, Ready
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW, success


class Line(Subject):
    """A storage to which jobs come that are named by a letter."""

    async def put(self, names: str, lane: str | None = None, room: int = 1, **parts: Any) -> None:
        """A job for each letter, in this order; ``lane`` is their concurrency key."""
        details = None
        if lane is not None:
            details = Details(concurrency_key=lane, concurrency_limit=room)
        for name in names:
            await self.enqueue(name=name, details=details, **parts)

    async def put_ready(self, name: str, due: int, lane: str | None, **parts: Any) -> None:
        """A job that is ready, and yet not due: the clock stepped back."""
        details = None if lane is None else Details(concurrency_key=lane, concurrency_limit=9)
        request = self.request(name=name, details=details, **parts)
        await self.insert(request, states=[Ready(due)])

    async def take(self, limit: int = 99, now: int = NOW, **claim: Any) -> list[ClaimedJob]:
        return list((await self.claim(now, limit=limit, **claim)).jobs)

    async def names(self, limit: int = 99, now: int = NOW, **claim: Any) -> str:
        return "".join(job.request.name for job in await self.take(limit, now, **claim))

    async def end(self, *jobs: ClaimedJob) -> None:
        for job in jobs:
            await self.expect(Committed, success(job))

    async def call_off(self, name: str) -> None:
        (job,) = [job for job in await self.everything() if job.request.name == name]
        write = Commit(job.request.id, job.version, Cancelled(NOW, "no"), 0)
        await self.expect(Committed, write)

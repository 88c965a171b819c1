"""Runs a scenario in virtual time, on a storage that remembers what it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobQueue, MemoryStorage, Options, Progress, Storage
from trio_gusto.model.errors import GustoError
from trio_gusto.storage.messages import Write, WriteReply
from trio_gusto.storage.report_messages import Report
from trio_gusto.testing import VirtualClock


class Recording(MemoryStorage):
    """Remembers the groups of writes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[list[Write]] = []

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
        self.groups.append(list(writes))
        return await super().apply(writes)

    def reports(self) -> list[Report]:
        return [write for group in self.groups for write in group if isinstance(write, Report)]


def run(
    app: Gusto, scenario: Callable[[JobQueue], Awaitable[None]], *, clock: MockClock | None = None
) -> None:
    async def main() -> None:
        with trio.fail_after(100_000):
            async with app.running() as queue:
                await scenario(queue)

    trio.run(main, clock=clock or MockClock(autojump_threshold=0))


def make_app(storage: Storage | None = None, **options: Any) -> Gusto:
    return Gusto(storage, clock=VirtualClock(), options=Options(**options))


async def progress_of(queue: JobQueue, job_id: Any) -> Progress | None:
    job = await queue.get(job_id)
    assert job is not None
    return job.progress

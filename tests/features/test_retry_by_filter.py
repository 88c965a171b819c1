"""Running all jobs again that satisfy a filter: with their history, and nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trio_gusto import Gusto, JobFilter, JobQueue, JobRef, JobState, MemoryStorage, call, no_retry
from trio_gusto.model.errors import GustoError
from trio_gusto.model.states import Ready
from trio_gusto.queue import retrying
from trio_gusto.storage.messages import Commit, Conflict, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Weather:
    """Handlers that fail while it storms."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.app = Gusto(storage, clock=VirtualClock())
        self.storms = True
        self.sail = self.app.job(name="sail", retry=no_retry())(self._sail)

    async def _sail(self, ship: str) -> str:
        if self.storms:
            raise OSError("storm")
        return ship


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_all_failed_jobs_of_a_filter_run_again_with_their_history(
    kind: str, tmp_path: Path
) -> None:
    storage = MemoryStorage() if kind == "memory" else SqliteStorage(tmp_path / "j", inline=True)
    weather = Weather(storage)
    async with weather.app.running() as queue:
        refs = await queue.enqueue_many(
            [call(weather.sail, f"s{n}", tags={"even" if n % 2 == 0 else "odd"}) for n in range(6)]
        )
        for ref in refs:
            await ref.wait()
        weather.storms = False
        assert await queue.retry(JobFilter(tags_any={"even"})) == 3
        assert [await refs[n].result() for n in (0, 2, 4)] == ["s0", "s2", "s4"]
        assert [await refs[n].status() for n in (1, 3, 5)] == [JobState.FAILED] * 3
        words = [attempt.outcome for attempt in await queue.attempts(refs[0])]
        assert words == ["failed", "succeeded"]
        assert await queue.retry(JobFilter(states=["completed"])) == 0


async def test_more_than_one_page_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "SLICE", 2)
    weather = Weather()
    async with weather.app.connected() as queue:
        refs = await queue.enqueue_many([call(weather.sail, f"s{n}") for n in range(5)])
        for ref in refs:
            await ref.cancel()
        assert await queue.retry(JobFilter()) == 5
        assert [await ref.status() for ref in refs] == [JobState.READY] * 5


async def test_a_job_whose_key_is_taken_stays_as_it_was() -> None:
    weather = Weather()
    async with weather.app.connected() as queue:
        old = [await cancelled(queue, weather, f"old{n}") for n in range(2)]
        new = await queue.enqueue(weather.sail, "new", unique_key="ship")
        free = await queue.enqueue(weather.sail, "free")
        await free.cancel()
        assert await queue.retry(JobFilter()) == 1
        assert await free.status() is JobState.READY
        await new.cancel()
        assert await queue.retry(JobFilter()) == 1  # of three with one key, the newest
        assert await new.status() is JobState.READY
        assert [await ref.status() for ref in old] == [JobState.CANCELLED] * 2


async def cancelled(queue: JobQueue, weather: Weather, ship: str) -> JobRef[str]:
    ref = await queue.enqueue(weather.sail, ship, unique_key="ship")
    await ref.cancel()
    return ref


class ChangesMeanwhile(MemoryStorage):
    """Somebody else is quicker, once."""

    has_happened = False

    def perform(self, write: Write) -> WriteReply | GustoError:
        if isinstance(write, Commit) and isinstance(write.state, Ready) and not self.has_happened:
            self.has_happened = True
            return Conflict()
        return super().perform(write)


async def test_a_job_that_changed_meanwhile_is_looked_at_again() -> None:
    weather = Weather(ChangesMeanwhile())
    async with weather.app.connected() as queue:
        ref = await queue.enqueue(weather.sail, "s")
        await ref.cancel()
        assert await queue.retry(JobFilter()) == 1
        assert await ref.status() is JobState.READY


@given(st.lists(st.sampled_from(["cancel", "leave"]), max_size=8), st.integers(1, 3))
def test_a_filter_retries_what_one_by_one_would(ends: list[str], size: int) -> None:
    async def left(by_filter: bool) -> list[JobState]:
        weather = Weather()
        async with weather.app.connected() as queue:
            refs = [
                await queue.enqueue(weather.sail, str(n), queue="ab"[n % 2])
                for n in range(len(ends))
            ]
            for ref, end in zip(refs, ends, strict=True):
                if end == "cancel":
                    await ref.cancel()
            if by_filter:
                count = await queue.retry(JobFilter(queues={"a"}))
            else:
                count = sum([await queue.retry(ref) for ref in refs[::2]])
            assert count == sum(end == "cancel" for end in ends[::2])
            return [await ref.status() for ref in refs]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "SLICE", size)
        assert trio.run(left, True) == trio.run(left, False)

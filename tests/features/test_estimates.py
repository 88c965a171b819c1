"""How long a job will take, and how far it is, by how long earlier ones took."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
import trio
import trio.testing

from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import Gusto, JobState, MemoryStorage, Storage, UnknownJob, current_job
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock


@pytest.fixture(
    params=[MemoryStorage, lambda: SqliteStorage(":memory:", inline=True)], ids=["memory", "sqlite"]
)
def app(request: pytest.FixtureRequest) -> Gusto:
    storage: Storage = request.param()
    return Gusto(storage, clock=VirtualClock())


async def test_a_running_job_is_as_far_as_earlier_ones_were(
    app: Gusto, autojump_clock: trio.testing.MockClock
) -> None:
    @app.job(timeout=None)
    async def work(seconds: int) -> None:
        await trio.sleep(seconds)

    async with app.running() as queue:
        for seconds in (90, 100, 110):
            ref = await queue.enqueue(work, seconds)
            if seconds == 90:
                assert await queue.estimate(ref) is None, "nothing has run yet"
            await ref.wait()
        ref = await queue.enqueue(work, 400)
        await trio.sleep(40)

        estimate = await queue.estimate(ref)
        assert estimate is not None
        assert (estimate.runs, estimate.is_estimated) == (3, True)
        assert estimate.duration == pytest.approx(100, abs=0.1)
        assert estimate.spread == pytest.approx((90, 110), abs=0.1)
        assert estimate.percent == pytest.approx(40, abs=0.1)
        assert estimate.remaining == pytest.approx(60, abs=0.1)

        await trio.sleep(200)
        late = await queue.estimate(await ref.job())
        assert late is not None
        assert (late.percent, late.remaining) == (99.0, None)

        await ref.wait()
        ended = await queue.estimate(ref.id)
        assert ended is not None
        assert (ended.runs, ended.percent, ended.is_estimated) == (4, None, False)


async def test_what_a_job_reports_goes_before_the_guess(
    app: Gusto, autojump_clock: trio.testing.MockClock
) -> None:
    @app.job
    async def work() -> None:
        await trio.sleep(10)
        current_job().progress(75, "nearly there")
        await trio.sleep(90)

    async with app.running() as queue:
        await (await queue.enqueue(work)).wait()
        ref = await queue.enqueue(work)
        await trio.sleep(50)

        estimate = await queue.estimate(ref)
        assert estimate is not None
        assert (estimate.percent, estimate.is_estimated) == (75.0, False)
        assert estimate.remaining == pytest.approx(25, abs=0.1)
        await ref.wait()


async def test_failures_other_handlers_and_other_workers_do_not_count(
    app: Gusto, autojump_clock: trio.testing.MockClock
) -> None:
    @app.job(max_attempts=1)
    async def work(seconds: int) -> None:
        await trio.sleep(abs(seconds))
        if seconds < 0:
            raise ValueError(seconds)

    @app.job
    async def other() -> None:
        await trio.sleep(500)

    async with app.running() as queue:
        await (await queue.enqueue(work, 10)).wait()
        await (await queue.enqueue(work, 70, worker="smtp")).wait()
        await (await queue.enqueue(work, -300)).wait()
        await (await queue.enqueue(other)).wait()
        free = await queue.enqueue(work, 1, execute_after=9999)
        bound = await queue.enqueue(work, 1, execute_after=9999, worker="smtp")
        stranger = await queue.enqueue(work, 1, execute_after=9999, worker="printer")

        for ref, seconds in ((free, 10), (bound, 70)):
            estimate = await queue.estimate(ref)
            assert estimate is not None
            assert estimate.runs == 1
            assert estimate.duration == pytest.approx(seconds, abs=0.1)
        assert await queue.estimate(stranger) is None


async def test_a_job_of_a_schedule_is_compared_with_those_of_the_schedule(
    app: Gusto, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many others have ended since."""
    monkeypatch.setattr("trio_gusto.queue.looking.LOOK", 2)

    @app.job
    async def work(seconds: int) -> None:
        await trio.sleep(seconds)

    async with app.running() as queue:
        await queue.schedule("nightly", work, 100, trigger=timedelta(days=1))
        await trio.sleep(86_400 + 200)
        for _ in range(3):
            await (await queue.enqueue(work, 1)).wait()
        ref = await queue.trigger_schedule("nightly")
        await trio.sleep(25)

        estimate = await queue.estimate(ref)
        assert estimate is not None
        assert estimate.runs == 1
        assert estimate.percent == pytest.approx(25, abs=0.1)
        assert await ref.status() is JobState.PROCESSING
        assert (await ref.wait()).state is JobState.COMPLETED


async def test_an_unknown_job_has_none(app: Gusto) -> None:
    async with app.connected() as queue:
        with pytest.raises(UnknownJob):
            await queue.estimate(uuid4())


async def test_a_provider_knows_of_no_earlier_runs() -> None:
    app = Gusto(ProviderStorage(Shelf(), MyRecord))

    @app.job
    async def work() -> None:
        await trio.sleep_forever()

    async with app.running() as queue:
        ref = await queue.enqueue(work)
        assert await queue.estimate(ref) is None
        await ref.cancel()

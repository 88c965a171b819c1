"""At most so many jobs of a concurrency key run at once, and jobs that run alone are leased in a row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Unpack

import pytest
import trio
from trio.testing import MockClock

from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    Call,
    Gusto,
    JobFilter,
    JobOptions,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    Options,
    OptionsError,
    call,
    fixed,
)
from trio_gusto.model.explanation import Reason
from trio_gusto.provider import ProviderStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Shop:
    """An app whose handler notes which jobs begin, and how many of a kind run at once."""

    def __init__(self, storage: Storage | None = None, **options: object) -> None:
        settings = {"concurrency": 8, "prefetch": 0} | options
        self.app = Gusto(
            storage or MemoryStorage(),
            clock=VirtualClock(),
            options=Options(**settings),  # type: ignore[arg-type]
        )
        self.begun: list[tuple[str, int]] = []
        self.running = Counter[str]()
        self.most = Counter[str]()
        self.serve = self.app.job(name="serve", retry=fixed(60))(self._serve)

    async def _serve(self, kind: str, number: int, seconds: float = 10) -> None:
        self.begun.append((kind, number))
        self.running[kind] += 1
        self.most[kind] = max(self.most[kind], self.running[kind])
        try:
            await trio.sleep(seconds)
            if number == 13 and self.begun.count((kind, 13)) == 1:
                raise ConnectionError
        finally:
            self.running[kind] -= 1

    def orders(
        self, count: int, kind: str = "acme", **options: Unpack[JobOptions[None]]
    ) -> list[Call[None]]:
        return [call(self.serve, kind, number, **options) for number in range(count)]


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
async def test_at_most_the_limit_run_at_once(
    storage: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    kept = (
        MemoryStorage()
        if storage == "memory"
        else SqliteStorage(tmp_path / "jobs.db", inline=True, synchronous="NORMAL")
    )
    shop = Shop(kept)
    async with shop.app.running() as queue:
        started = trio.current_time()
        refs = await queue.enqueue_many(
            [
                *shop.orders(7, concurrency_key="acme", concurrency_limit=3),
                *shop.orders(2, "other", concurrency_key="other"),
                *shop.orders(3, "plain"),
            ]
        )
        for ref in refs:
            await ref.wait()
    assert shop.most == {"acme": 3, "other": 1, "plain": 3}
    assert trio.current_time() - started == pytest.approx(30, abs=1)
    assert [number for kind, number in shop.begun if kind == "acme"] == [*range(7)]


async def test_a_handler_may_have_a_key_and_a_call_another_or_none(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())

    @app.job(concurrency_key="acme", concurrency_limit=3)
    async def serve() -> None: ...

    async with app.connected() as queue:
        await queue.enqueue(serve)
        await queue.enqueue(serve, concurrency_key="other")
        await queue.enqueue(serve, concurrency_limit=1)
        await queue.enqueue(serve, concurrency_key=None)
        found = (await queue.find(JobFilter())).items
        assert [(job.concurrency_key, job.concurrency_limit) for job in reversed(found)] == [
            ("acme", 3),
            ("other", 3),
            ("acme", 1),
            (None, None),
        ]
        named = (await queue.find(JobFilter(concurrency_keys=["other", "nobody"]))).items
        assert [job.concurrency_key for job in named] == ["other"]


@pytest.mark.parametrize(
    ("options", "key", "told"),
    [
        ({"concurrency_limit": 3}, "concurrency_limit", "without a key there is nothing to limit"),
        ({"concurrency_key": "a", "concurrency_limit": 0}, "concurrency_limit", "1"),
        ({"concurrency_key": "a", "concurrency_limit": True}, "concurrency_limit", "True"),
        ({"concurrency_key": ""}, "concurrency_key", "cannot be"),
        ({"concurrency_key": "a", "worker": "b"}, "concurrency_key", "named worker 'b' already"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    options: dict[str, object], key: str, told: str, autojump_clock: MockClock
) -> None:
    app = Gusto()

    @app.job
    async def serve() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(OptionsError, match=told) as caught:
            await queue.enqueue(serve, **options)  # type: ignore[call-arg, call-overload]
        assert caught.value.key == key
    with pytest.raises(OptionsError, match=told):
        app.job(name="again", **options)(serve)  # type: ignore[call-overload]


async def test_explain_names_the_jobs_that_hold_the_lane(autojump_clock: MockClock) -> None:
    shop = Shop()
    async with shop.app.running() as queue:
        refs = await queue.enqueue_many(shop.orders(3, concurrency_key="acme", concurrency_limit=2))
        await trio.sleep(1)
        explanation = await queue.explain(refs[2].id)
        assert explanation.reason is Reason.CONCURRENCY_LIMIT
        assert set(explanation.blocking) == {refs[0].id, refs[1].id}
        assert explanation.details["concurrency_limit"] == 2
        await trio.sleep(10)
        assert (await queue.explain(refs[2].id)).reason is Reason.PROCESSING


async def test_providers_know_no_keys(autojump_clock: MockClock) -> None:
    app = Gusto(ProviderStorage(Shelf(), MyRecord))

    @app.job
    async def serve() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="concurrency keys"):
            await queue.enqueue(serve, concurrency_key="acme")


# --- jobs leased in a row -------------------------------------------------------------------------


async def leased(queue: JobQueue) -> int:
    return (await queue.stats()).by_state.get(JobState.PROCESSING, 0)


async def test_jobs_of_a_named_worker_are_leased_in_a_row_and_run_one_after_another(
    autojump_clock: MockClock,
) -> None:
    shop = Shop(prefetch=3)
    async with shop.app.running() as queue:
        refs = await queue.enqueue_many(shop.orders(6, worker="acme"))
        await trio.sleep(1)
        assert await leased(queue) == 4
        for ref in refs:
            await ref.wait()
    assert shop.most == {"acme": 1}
    assert [number for _, number in shop.begun] == [*range(6)]


async def test_no_job_on_its_last_attempt_is_leased_behind_another(
    autojump_clock: MockClock,
) -> None:
    shop = Shop(prefetch=3)
    async with shop.app.running() as queue:
        await queue.enqueue_many(shop.orders(3, worker="acme", max_attempts=1))
        await trio.sleep(1)
        assert await leased(queue) == 1


async def test_slow_jobs_are_not_leased_ahead(autojump_clock: MockClock) -> None:
    shop = Shop(prefetch=None)
    async with shop.app.running() as queue:
        await queue.enqueue_many(shop.orders(6, worker="acme"))
        await trio.sleep(25)
        assert len(shop.begun) == 3
        assert await leased(queue) == 1


async def test_a_failed_job_of_a_row_lets_the_next_one_go_on(autojump_clock: MockClock) -> None:
    shop = Shop(prefetch=3)
    async with shop.app.running() as queue:
        refs = [
            await queue.enqueue(shop.serve, "acme", number, worker="a") for number in (13, 1, 2)
        ]
        for ref in refs:
            await ref.wait()
    assert [number for _, number in shop.begun] == [13, 1, 2, 13]
    assert shop.most == {"acme": 1}


async def test_what_is_called_off_in_a_row_is_passed_over(autojump_clock: MockClock) -> None:
    shop = Shop(prefetch=3)
    async with shop.app.running() as queue:
        refs = await queue.enqueue_many(shop.orders(4, worker="acme"))
        await trio.sleep(1)
        await refs[1].cancel()
        await refs[0].cancel()
        for ref in refs:
            await ref.wait()
        states = [await ref.status() for ref in refs]
    assert [number for _, number in shop.begun] == [0, 2, 3]
    assert states == ["cancelled", "cancelled", "completed", "completed"]


async def test_a_pause_gives_back_what_of_a_row_is_not_begun(autojump_clock: MockClock) -> None:
    shop = Shop(prefetch=3)
    async with shop.app.running() as queue:
        await queue.enqueue_many(shop.orders(4, worker="acme"))
        await trio.sleep(1)
        await queue.pause()
        await trio.sleep(60)
        assert [number for _, number in shop.begun] == [0]
        held = (await queue.find(JobFilter(states=["ready"]))).items
        assert [job.attempt for job in held] == [0, 0, 0]
        await queue.resume()
        await trio.sleep(60)
    assert [number for _, number in shop.begun] == [0, 1, 2, 3]


async def test_a_stop_gives_back_what_of_a_row_is_not_begun(autojump_clock: MockClock) -> None:
    storage = MemoryStorage()
    shop = Shop(storage, prefetch=3)
    async with shop.app.running() as queue:
        await queue.enqueue_many(shop.orders(4, worker="acme"))
        await trio.sleep(1)
    assert [number for _, number in shop.begun] == [0]
    async with Shop(storage).app.connected() as office:
        held = (await office.find(JobFilter(states=["ready"]))).items
        assert [job.attempt for job in held] == [0, 0, 0]

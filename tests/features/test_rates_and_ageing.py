"""Jobs start no faster than they may, and those that wait long enough go first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.features.conftest import MakeNode
from tests.storage.own_providers import MyRecord, Shelf
from trio_gusto import (
    Gusto,
    MemoryStorage,
    NotSupported,
    Options,
    OptionsError,
    RateLimit,
    Retry,
    call,
)
from trio_gusto.model.explanation import Reason
from trio_gusto.provider import ProviderStorage
from trio_gusto.testing import VirtualClock


class Shop:
    """Nodes whose handlers note when they begin."""

    def __init__(self, make_node: MakeNode) -> None:
        self._make_node = make_node
        self._clock = VirtualClock()
        self.began: list[tuple[float, object]] = []

    def node(self, **options: Any) -> Gusto:
        settings: dict[str, Any] = {"concurrency": 4} | options
        return Gusto(self._make_node(), clock=self._clock, options=Options(**settings))

    def note(self, what: object) -> None:
        self.began.append((round(trio.current_time(), 6), what))


async def test_two_processes_share_the_tokens_of_a_key(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    shop = Shop(make_node)
    one, other = shop.node(), shop.node()

    async def ask(number: int) -> None:
        shop.note(number)

    handlers = [
        app.job(name="ask", rate_limit=RateLimit(2, per=timedelta(minutes=1)))(ask)
        for app in (one, other)
    ]
    async with one.running() as here, other.running() as there:
        refs = [await here.enqueue(handlers[0], number) for number in range(3)]
        refs += [await there.enqueue(handlers[1], number) for number in range(3, 6)]
        assert (await refs[0].job()).rate_key == "ask"
        assert (await refs[0].job()).rate_limit == RateLimit(2, per=60)
        for ref in refs:
            await ref.wait()
    assert [at for at, _ in shop.began] == [0, 0, 30, 60, 90, 120]


async def test_others_are_not_held_up(make_node: MakeNode, autojump_clock: MockClock) -> None:
    shop = Shop(make_node)
    app = shop.node()

    @app.job
    async def work(what: str) -> None:
        shop.note(what)

    async with app.running() as queue:
        once = RateLimit(1, per=60)
        limited = call(work, "limited", priority=9, rate_key="api", rate_limit=once)
        await queue.enqueue_many([*[limited] * 3, *[call(work, "free")] * 3])
        await trio.sleep(200)
    assert [at for at, what in shop.began if what == "free"] == [0, 0, 0]
    assert [at for at, what in shop.began if what == "limited"] == [0, 60, 120]


async def test_a_retry_takes_a_token(make_node: MakeNode, autojump_clock: MockClock) -> None:
    shop = Shop(make_node)
    app = shop.node()

    @app.job(rate_limit=RateLimit(1, per=10))
    async def flaky() -> None:
        shop.note("flaky")
        if len(shop.began) < 3:
            raise Retry(after=1)

    async with app.running() as queue:
        await (await queue.enqueue(flaky)).result()
    assert [at for at, _ in shop.began] == [0, 10, 20]


async def test_jobs_of_slow_queues_are_not_fetched_ahead(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    shop = Shop(make_node)
    app = shop.node(concurrency=1, prefetch=8, queue_rates={"slow": RateLimit(4, per=8)})

    @app.job(queue="slow")
    async def work(seconds: float) -> None:
        shop.note(seconds)
        await trio.sleep(seconds)

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(work, 20), *(call(work, 0) for _ in range(8))])
        for ref in refs:
            await ref.wait()
    # The tokens of jobs that wait for an executor are not taken, and the bucket holds no more than four.
    assert [at for at, _ in shop.began] == [0, 20, 20, 20, 20, 22, 24, 26, 28]


async def test_explain_names_the_limit_and_the_instant(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    shop = Shop(make_node)
    app = shop.node(queue_rates={"slow": RateLimit(1, per=3600)})

    @app.job
    async def work() -> None: ...

    async with app.running() as queue:
        limited = await queue.enqueue_many(
            [call(work, rate_key="api", rate_limit=RateLimit(1, per=60)) for _ in range(2)]
        )
        slow = await queue.enqueue_many([call(work, queue="slow") for _ in range(2)])
        await trio.sleep(1)
        by_key, by_queue = await queue.explain(limited[1]), await queue.explain(slow[1])
    began = datetime(2026, 1, 1, tzinfo=UTC)
    assert by_key.reason is by_queue.reason is Reason.RATE_LIMITED
    assert by_key.until == began + timedelta(minutes=1)
    assert by_queue.until == began + timedelta(hours=1)
    assert by_key.sentence == (
        "It is due since 2026-01-01 00:00:00 UTC, and the rate limit of the rate key 'api' allows "
        "1 in 60 s; the next one may start at 2026-01-01 00:01:00 UTC."
    )
    assert by_key.details["rate_key"] == "api"
    assert by_queue.details["bucket"] == "queue 'slow'"


async def test_run_until_idle_leaves_what_has_no_token(
    make_node: MakeNode, autojump_clock: MockClock
) -> None:
    shop = Shop(make_node)
    app = shop.node()

    @app.job(rate_limit=RateLimit(2, per=60))
    async def work() -> None:
        shop.note("work")

    async with app.connected() as queue:
        await queue.enqueue_many([call(work) for _ in range(5)])
    await app.run_until_idle()
    assert len(shop.began) == 2


async def test_a_call_overrides_key_and_limit(autojump_clock: MockClock) -> None:
    app = Gusto(clock=VirtualClock())
    minute, hour = RateLimit(1, per=60), RateLimit(1, per=3600)

    @app.job(rate_key="api", rate_limit=minute)
    async def work() -> None: ...

    async with app.connected() as queue:

        async def rate_of(**options: Any) -> tuple[str | None, RateLimit | None]:
            job = await (await queue.enqueue(work, **options)).job()
            return job.rate_key, job.rate_limit

        assert await rate_of() == ("api", minute)
        assert await rate_of(rate_key="acme") == ("acme", minute)
        assert await rate_of(rate_limit=hour) == ("api", hour)
        assert await rate_of(rate_key=None) == (None, None)
        assert await rate_of(rate_limit=None) == (None, None)
        with pytest.raises(OptionsError, match="rate_key"):
            await rate_of(rate_key=None, rate_limit=hour)
        with pytest.raises(OptionsError, match="rate_limit"):
            await rate_of(rate_key="acme", rate_limit=None)


async def test_a_key_without_a_limit_says_nothing() -> None:
    app = Gusto()
    text: Any = "1/minute"

    @app.job
    async def work() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(OptionsError, match="without a rate_limit"):
            await queue.enqueue(work, rate_key="api")
        with pytest.raises(OptionsError, match="without a rate_key"):
            await queue.enqueue(work, rate_limit=RateLimit(1, per=60))
        with pytest.raises(OptionsError, match="give a RateLimit"):
            await queue.enqueue(work, rate_key="api", rate_limit=text)
    with pytest.raises(OptionsError, match="without a rate_limit"):
        app.job(rate_key="api")(lambda: None)


async def test_a_provider_limits_no_rates() -> None:
    for options in (
        Options(queue_rates={"mail": RateLimit(1, per=60)}),
        Options(priority_ageing=60),
    ):
        with pytest.raises(NotSupported, match="leave the option out"):
            Gusto(ProviderStorage(Shelf(), MyRecord), options=options)
    app = Gusto(ProviderStorage(Shelf(), MyRecord))

    @app.job(rate_limit=RateLimit(1, per=60))
    async def work() -> None: ...

    async with app.connected() as queue:
        with pytest.raises(NotSupported, match="rate limits"):
            await queue.enqueue(work)


@pytest.mark.parametrize(("ageing", "last"), [(None, 30), (10, 10), (5, 5)])
async def test_low_priorities_do_not_starve_with_ageing(
    make_node: MakeNode, autojump_clock: MockClock, ageing: float | None, last: float
) -> None:
    shop = Shop(make_node)
    app = shop.node(concurrency=1, priority_ageing=ageing)

    @app.job
    async def work(what: str) -> None:
        shop.note(what)
        await trio.sleep(1)

    async with app.running() as queue, trio.open_nursery() as nursery:

        async def flood() -> None:
            for _ in range(30):
                await queue.enqueue(work, "high", priority=1)
                await trio.sleep(1)

        nursery.start_soon(flood)
        await trio.sleep(0.5)
        low = await queue.enqueue(work, "low")
        await low.wait()
    (at,) = [at for at, what in shop.began if what == "low"]
    assert at == pytest.approx(last, abs=1)


async def test_what_is_fetched_ahead_ages_too(autojump_clock: MockClock) -> None:
    shop = Shop(MemoryStorage)
    app = shop.node(concurrency=1, prefetch=8, priority_ageing=5)

    @app.job
    async def work(what: str) -> None:
        shop.note(what)
        await trio.sleep(20)

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(work, "first"), call(work, "old")])
        await trio.sleep(15)
        refs.append(await queue.enqueue(work, "new", priority=1))
        for ref in refs:
            await ref.wait()
    assert [what for _, what in shop.began] == ["first", "old", "new"]

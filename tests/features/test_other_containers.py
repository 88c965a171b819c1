"""Services from containers that people have already: svcs and dishka."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import svcs
import trio
from dishka import Provider, Scope, make_async_container
from trio.testing import MockClock

from trio_gusto import Gusto, JobFailed, JobQueue, JobState, ServiceResolver, no_retry
from trio_gusto.services.dishka import DishkaResolver
from trio_gusto.services.svcs import SvcsResolver
from trio_gusto.testing import VirtualClock


class Connection:
    """Needs to be opened, used and closed in one task."""

    def __init__(self, life: Life) -> None:
        self.life = life


class Life:
    """What happens to connections, and how long closing one takes."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.closing: float = 0


class Mails:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def send(self, to: str) -> str:
        self.connection.life.events.append(f"sent to {to}")
        if to == "nobody":
            raise LookupError(to)
        if to == "ever":
            await trio.sleep_forever()
        return f"sent to {to}"


async def open_connection(life: Life) -> AsyncIterator[Connection]:
    await trio.lowlevel.checkpoint()
    life.events.append("opened")
    async with trio.open_nursery() as nursery:
        try:
            yield Connection(life)
        finally:
            await trio.sleep(life.closing)
            life.events.append("closed")
            nursery.cancel_scope.cancel()


def with_svcs(life: Life, grace: float) -> ServiceResolver:
    registry = svcs.Registry()
    registry.register_value(Life, life)

    async def connection(container: svcs.Container) -> AsyncIterator[Connection]:
        async for one in open_connection(await container.aget(Life)):
            yield one

    async def mails(container: svcs.Container) -> Mails:
        return Mails(await container.aget(Connection))

    registry.register_factory(Connection, connection)
    registry.register_factory(Mails, mails)
    return SvcsResolver(registry, cleanup_grace=grace)


def with_dishka(life: Life, grace: float) -> ServiceResolver:
    provider = Provider()
    provider.provide(lambda: life, provides=Life, scope=Scope.APP)
    provider.provide(open_connection, scope=Scope.REQUEST)
    provider.provide(Mails, scope=Scope.REQUEST)
    container = make_async_container(provider, lock_factory=trio.Lock)
    return DishkaResolver(container, cleanup_grace=grace)


Make = Callable[[Life, float], ServiceResolver]


@pytest.fixture(params=[with_svcs, with_dishka], ids=["svcs", "dishka"])
def make(request: pytest.FixtureRequest) -> Make:
    chosen: Make = request.param
    return chosen


def run(
    make: Make, life: Life, scenario: Callable[[JobQueue], Awaitable[None]], grace: float = 5
) -> None:
    async def main() -> None:
        app = Gusto(services=make(life, grace), clock=VirtualClock())
        app.service(Mails)
        with trio.fail_after(1000):
            async with app.running() as queue:
                await scenario(queue)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_service_is_made_for_a_job_and_cleaned_up_after_it(make: Make) -> None:
    life = Life()

    async def scenario(queue: JobQueue) -> None:
        for name in ("Ann", "Bob"):
            ref = await queue.enqueue(Mails.send, name)
            assert await ref.result() == f"sent to {name}"

    run(make, life, scenario)
    assert life.events == [
        *("opened", "sent to Ann", "closed"),
        *("opened", "sent to Bob", "closed"),
    ]


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
def test_clean_up_comes_to_its_end_however_the_job_ends(make: Make, how: str) -> None:
    life = Life()
    life.closing = 3

    async def scenario(queue: JobQueue) -> None:
        if how == "fails":
            ref = await queue.enqueue(Mails.send, "nobody", retry=no_retry())
            with pytest.raises(JobFailed, match="nobody"):
                await ref.result()
        else:
            ref = await queue.enqueue(Mails.send, "ever")
            await trio.sleep(1)
            await queue.cancel(ref)
            assert (await ref.wait()).state is JobState.CANCELLED

    run(make, life, scenario)
    assert life.events[-1] == "closed"


# What was cancelled is not closed, and svcs says so.
@pytest.mark.filterwarnings("ignore:.*with pending cleanups:ResourceWarning")
def test_clean_up_has_a_deadline(make: Make) -> None:
    life = Life()
    life.closing = 1000

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(Mails.send, "Ann", retry=no_retry())
        with pytest.raises(JobFailed, match="longer than 2 seconds"):
            await ref.result()

    run(make, life, scenario, grace=2)
    gc.collect()
    assert "closed" not in life.events


def test_what_is_not_registered_fails_the_job_that_wants_it(make: Make) -> None:
    life = Life()

    class Unknown:
        async def work(self) -> None:
            pass

    async def main() -> None:
        app = Gusto(services=make(life, 5), clock=VirtualClock())
        app.service(Unknown)
        async with app.running() as queue:
            ref: Any = await queue.enqueue(Unknown.work, retry=no_retry())
            with pytest.raises(JobFailed, match="Unknown"):
                await ref.result()

    trio.run(main, clock=MockClock(autojump_threshold=0))

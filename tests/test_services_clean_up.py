"""Cleaning up after jobs and apps: it runs to its end, in order, and not for ever."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from trio_gusto.services import Lifetime, ServiceError, Services


async def get(services: Services, kind: type[Any]) -> Any:
    """What one job gets."""
    async with services.scope() as scope:
        return await scope.get(kind)


async def fail_with(services: Services, kind: type[Any]) -> None:
    """A job that fails after it got its service."""
    async with services.scope() as scope:
        await scope.get(kind)
        raise ValueError("of the job")


def with_cleanup(journal: list[str], name: str, pause: float = 1.0) -> Any:
    """A factory whose clean-up waits, so that a cancellation could cut it short."""

    @asynccontextmanager
    async def open_() -> AsyncGenerator[str]:
        try:
            yield name
        finally:
            journal.append(f"{name} closing")
            await trio.sleep(pause)
            journal.append(f"{name} closed")

    return open_


@pytest.mark.parametrize("lifetime", ["scoped", "transient"])
async def test_clean_up_of_a_cancelled_job_runs_to_its_end(
    lifetime: Any, autojump_clock: MockClock
) -> None:
    journal: list[str] = []
    services = Services()
    services.provide(str, with_cleanup(journal, "a"), lifetime)
    with trio.move_on_after(3) as job:
        async with services.scope() as scope:
            assert await scope.get(str) == "a"
            await trio.sleep_forever()

    assert job.cancelled_caught
    assert journal == ["a closing", "a closed"]
    assert trio.current_time() == 4.0


async def test_clean_up_is_in_the_reverse_order_of_building(autojump_clock: MockClock) -> None:
    journal: list[str] = []
    services = Services()
    services.provide(str, with_cleanup(journal, "first"), "scoped")

    @contextmanager
    def second(before: str) -> Generator[int]:
        yield 2
        journal.append("second closed")

    services.provide(int, second, "scoped")
    await get(services, int)

    assert journal == ["second closed", "first closing", "first closed"]


async def test_clean_up_sees_the_error_of_the_job_and_may_not_hide_it() -> None:
    seen: list[BaseException] = []

    @asynccontextmanager
    async def transaction() -> AsyncGenerator[str]:
        try:
            yield "begun"
        except ValueError as error:
            seen.append(error)
            raise

    services = Services()
    services.provide(str, transaction, "scoped")
    with pytest.raises(ValueError, match="of the job") as caught:
        await fail_with(services, str)

    assert seen == [caught.value]


async def test_clean_up_that_takes_too_long_is_cancelled_and_fails_the_job(
    autojump_clock: MockClock,
) -> None:
    journal: list[str] = []
    services = Services(cleanup_grace=2)
    services.provide(str, with_cleanup(journal, "slow", pause=3), "scoped")
    with pytest.raises(ServiceError, match="longer than 2 seconds"):
        await get(services, str)

    assert journal == ["slow closing"]
    assert trio.current_time() == 2.0


async def test_the_error_of_a_job_outlives_a_clean_up_that_takes_too_long(
    autojump_clock: MockClock,
) -> None:
    services = Services(cleanup_grace=2)
    services.provide(str, with_cleanup([], "slow", pause=3), "scoped")
    with pytest.raises(ValueError, match="of the job"):
        await fail_with(services, str)


async def test_an_error_in_clean_up_fails_the_job() -> None:
    @asynccontextmanager
    async def breaks() -> AsyncGenerator[str]:
        yield "fine"
        raise OSError("cannot commit")

    services = Services()
    services.provide(str, breaks, "scoped")
    with pytest.raises(OSError, match="cannot commit"):
        await get(services, str)


async def test_a_service_may_hold_a_nursery(autojump_clock: MockClock) -> None:
    @asynccontextmanager
    async def open_() -> AsyncGenerator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            yield nursery
            nursery.cancel_scope.cancel()

    lifetimes: tuple[Lifetime, ...] = ("scoped", "singleton")
    for lifetime in lifetimes:
        services = Services()
        services.provide(trio.Nursery, open_, lifetime)
        async with services.running(), services.scope() as scope:
            (await scope.get(trio.Nursery)).start_soon(trio.sleep_forever)


async def test_singletons_are_cleaned_up_when_the_app_stops_the_last_first(
    autojump_clock: MockClock,
) -> None:
    journal: list[str] = []
    services = Services()
    services.provide(str, with_cleanup(journal, "a"))

    @asynccontextmanager
    async def after(before: str) -> AsyncGenerator[int]:
        yield 2
        journal.append("b closed")

    services.provide(int, after)
    async with services.running():
        await get(services, int)
        await get(services, int)
        assert journal == []

    assert journal == ["b closed", "a closing", "a closed"]


async def test_singletons_of_a_cancelled_app_are_cleaned_up_to_their_end(
    autojump_clock: MockClock,
) -> None:
    journal: list[str] = []
    services = Services()
    services.provide(str, with_cleanup(journal, "a"))
    with trio.move_on_after(3) as app:
        async with services.running():
            await get(services, str)
            await trio.sleep_forever()

    assert app.cancelled_caught
    assert journal == ["a closing", "a closed"]


async def test_a_singleton_that_cannot_be_cleaned_up_in_time_stops_neither_the_app_nor_the_others(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    journal: list[str] = []
    services = Services(cleanup_grace=2)
    services.provide(str, with_cleanup(journal, "a"))
    services.provide(bytes, with_cleanup(journal, "slow", pause=60))
    async with services.running():
        await get(services, str)
        await get(services, bytes)

    assert journal == ["slow closing", "a closing", "a closed"]
    assert "longer than 2 seconds" in caplog.text


async def test_a_singleton_whose_background_task_dies_is_logged_and_built_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def die() -> None:
        raise OSError("connection reset")

    names = iter(["first", "second"])

    @asynccontextmanager
    async def pool() -> AsyncGenerator[str]:
        async with trio.open_nursery() as nursery:
            name = next(names)
            if name == "first":
                nursery.start_soon(die)
            yield name

    services = Services()
    services.provide(str, pool)
    async with services.running():
        assert await get(services, str) == "first"
        await trio.testing.wait_all_tasks_blocked()
        assert await get(services, str) == "second"

    assert "connection reset" in caplog.text


async def test_an_error_of_the_app_is_not_wrapped_in_a_group() -> None:
    services = Services()
    services.provide(str, lambda: "made", "singleton")

    async def app() -> None:
        async with services.running():
            await fail_with(services, str)

    with pytest.raises(ValueError, match="of the job"):
        await app()

"""The built-in service resolver: how services are found, built, shared and cleaned up."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest
import trio
from trio.testing import MockClock

from trio_gusto.services import ServiceError, Services


class Smtp:
    def __init__(self, host: str = "localhost") -> None:
        self.host = host


class Mailer:
    def __init__(self, smtp: Smtp) -> None:
        self.smtp = smtp


class Newsletter:
    def __init__(self, mailer: Mailer, smtp: Smtp, greeting: str = "hi") -> None:
        self.mailer = mailer
        self.smtp = smtp
        self.greeting = greeting


class Chicken:
    def __init__(self, egg: Egg) -> None: ...


class Egg:
    def __init__(self, chicken: Chicken) -> None: ...


async def get(services: Services, kind: type[Any]) -> Any:
    """What one job gets."""
    async with services.scope() as scope:
        return await scope.get(kind)


# --- finding and building -------------------------------------------------------------------------


async def test_constructor_parameters_are_matched_by_annotation() -> None:
    services = Services()
    services.provide(Smtp, lambda: Smtp("mx"), "scoped")
    services.provide(Newsletter, Newsletter, "scoped")
    services.provide(Mailer, Mailer, "scoped")
    found = await get(services, Newsletter)

    assert found.smtp.host == "mx"
    assert found.mailer.smtp is found.smtp
    assert found.greeting == "hi"


async def test_a_class_that_nobody_provides_is_built_if_its_constructor_can_be_filled() -> None:
    assert (await get(Services(), Newsletter)).mailer.smtp.host == "localhost"


async def test_a_default_gives_way_to_a_provider() -> None:
    services = Services()
    services.provide(str, lambda: "mx", "transient")

    assert (await get(services, Smtp)).host == "mx"


async def test_a_factory_may_be_async_and_may_want_services() -> None:
    async def connect(smtp: Smtp) -> Mailer:
        await trio.lowlevel.checkpoint()
        return Mailer(smtp)

    services = Services()
    services.provide(Mailer, connect, "scoped")

    assert isinstance(await get(services, Mailer), Mailer)


async def test_a_protocol_is_provided_by_whatever_its_factory_returns() -> None:
    class Sends(Protocol):
        host: str

    services = Services()
    services.provide(Sends, Smtp, "scoped")

    assert (await get(services, Sends)).host == "localhost"


async def test_the_last_provider_of_a_type_counts() -> None:
    services = Services()
    services.provide(Smtp, lambda: Smtp("one"), "scoped")
    services.provide(Smtp, lambda: Smtp("two"), "scoped")

    assert (await get(services, Smtp)).host == "two"


def make_lock() -> trio.Lock:
    return trio.Lock()


async def test_a_lock_that_a_factory_returns_is_not_entered() -> None:
    services = Services()
    services.provide(trio.Lock, make_lock, "transient")

    assert not (await get(services, trio.Lock)).locked()


# --- mistakes -------------------------------------------------------------------------------------


async def test_a_type_without_provider_is_named_with_the_way_to_it() -> None:
    class Store:
        def __init__(self, where: Path) -> None: ...

    class Shop:
        def __init__(self, store: Store) -> None: ...

    Shop.__init__.__annotations__["store"] = Store  # local classes cannot be looked up by name
    with pytest.raises(ServiceError, match=r"app\.provide") as caught:
        await get(Services(), Shop)

    assert caught.value.kind is Path
    assert caught.value.path == (Shop, Store, Path)


def test_a_parameter_without_annotation_is_refused_when_its_factory_is_provided() -> None:
    class Bare:
        def __init__(self, thing) -> None: ...  # type: ignore[no-untyped-def]  # that is refused

    with pytest.raises(ServiceError, match=r"'thing'.*annotat") as caught:
        Services().provide(Bare, Bare)

    assert caught.value.kind is Bare


def test_a_circle_is_refused_when_it_is_closed() -> None:
    services = Services()
    services.provide(Chicken, Chicken)
    with pytest.raises(ServiceError, match="would need itself") as caught:
        services.provide(Egg, Egg)

    assert caught.value.path == (Egg, Chicken, Egg)


async def test_a_circle_of_classes_that_nobody_provides_is_refused_when_it_is_wanted() -> None:
    with pytest.raises(ServiceError, match="would need itself"):
        await get(Services(), Chicken)


async def test_a_provider_that_was_refused_leaves_the_former_in_place() -> None:
    services = Services()
    services.provide(Egg, lambda: object.__new__(Egg), "scoped")
    services.provide(Chicken, Chicken, "scoped")
    with pytest.raises(ServiceError):
        services.provide(Egg, Egg, "scoped")

    assert isinstance(await get(services, Chicken), Chicken)


def test_a_singleton_may_not_keep_what_is_scoped_to_a_job() -> None:
    services = Services()
    services.provide(Smtp, Smtp, "scoped")
    with pytest.raises(ServiceError, match="beyond its job"):
        services.provide(Mailer, Mailer, "singleton")


@pytest.mark.parametrize(("factory", "lifetime"), [(Smtp, "eternal"), (Smtp(), "scoped")])
def test_an_unknown_lifetime_and_a_factory_that_is_none_are_refused(
    factory: Any, lifetime: Any
) -> None:
    with pytest.raises(ServiceError):
        Services().provide(Smtp, factory, lifetime)


async def test_a_singleton_is_refused_while_the_app_does_not_run() -> None:
    services = Services()
    services.provide(Smtp, Smtp)
    with pytest.raises(ServiceError, match="not running"):
        await get(services, Smtp)


async def test_an_error_of_a_factory_reaches_the_job_as_it_is_and_no_other_job() -> None:
    attempts = iter([OSError("refused"), None])

    def connect() -> Smtp:
        error = next(attempts)
        if error is not None:
            raise error
        return Smtp("mx")

    services = Services()
    services.provide(Smtp, connect)
    async with services.running():
        with pytest.raises(OSError, match="refused"):
            await get(services, Smtp)
        assert (await get(services, Smtp)).host == "mx"


# --- lifetimes ------------------------------------------------------------------------------------


async def test_a_scoped_service_is_one_per_job() -> None:
    services = Services()
    services.provide(Smtp, Smtp, "scoped")
    async with services.scope() as scope:
        first = await scope.get(Smtp)
        assert await scope.get(Smtp) is first
    assert await get(services, Smtp) is not first


async def test_a_transient_service_is_one_each_time() -> None:
    services = Services()
    services.provide(Smtp, Smtp, "transient")
    async with services.scope() as scope:
        assert await scope.get(Smtp) is not await scope.get(Smtp)


async def test_a_singleton_is_built_once_though_many_jobs_want_it_at_once(
    autojump_clock: MockClock,
) -> None:
    built: list[Smtp] = []

    async def connect() -> Smtp:
        await trio.sleep(1)
        built.append(Smtp())
        return built[-1]

    services = Services()
    services.provide(Smtp, connect)
    found: list[Smtp] = []

    async def job() -> None:
        found.append(await get(services, Smtp))

    async with services.running(), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(job)
    assert found == built * 5


async def test_a_cancelled_job_does_not_take_a_half_built_singleton_from_the_others(
    autojump_clock: MockClock,
) -> None:
    async def connect() -> Smtp:
        await trio.sleep(10)
        return Smtp()

    services = Services()
    services.provide(Smtp, connect)
    async with services.running():
        with trio.move_on_after(5) as impatient:
            await get(services, Smtp)
        assert impatient.cancelled_caught
        with trio.fail_after(11):
            assert isinstance(await get(services, Smtp), Smtp)


async def test_each_run_of_the_app_has_singletons_of_its_own() -> None:
    services = Services()
    services.provide(Smtp, Smtp)
    async with services.running():
        first = await get(services, Smtp)
    async with services.running():
        assert await get(services, Smtp) is not first

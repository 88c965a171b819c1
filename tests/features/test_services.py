"""Handlers that are methods of services: built for the job, cleaned up after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobFailed, JobState, Options, OptionsError, current_job
from trio_gusto.testing import VirtualClock

Journal = list[str]


@pytest.fixture
def app() -> Gusto:
    return Gusto(clock=VirtualClock(), options=Options(concurrency=3))


class Smtp:
    """What a service needs, with a connection to open and to close."""

    def __init__(self, journal: Journal, number: int) -> None:
        self.journal = journal
        self.number = number

    def send(self, email: str) -> str:
        return f"{email} by connection {self.number}"


def provide_smtp(app: Gusto, journal: Journal, lifetime: Any) -> None:
    numbers = iter(range(1, 100))

    @asynccontextmanager
    async def connect() -> AsyncGenerator[Smtp]:
        smtp = Smtp(journal, next(numbers))
        journal.append(f"open {smtp.number}")
        try:
            yield smtp
        finally:
            await trio.lowlevel.checkpoint()
            journal.append(f"close {smtp.number}")

    app.provide(Smtp, connect, lifetime=lifetime)


class Mail:
    def __init__(self, smtp: Smtp) -> None:
        self.smtp = smtp

    async def welcome(self, email: str, pause: float = 1) -> str:
        await trio.sleep(pause)
        return self.smtp.send(email)

    def goodbye(self, email: str) -> str:
        return f"{self.smtp.send(email)}, job {current_job().attempt}"


async def test_a_scoped_service_is_built_for_each_job_and_cleaned_up_after_it(
    app: Gusto, autojump_clock: MockClock
) -> None:
    journal: Journal = []
    provide_smtp(app, journal, "scoped")
    app.service(Mail)
    async with app.running() as queue:
        refs = [await queue.enqueue(Mail.welcome, f"{name}@example.org") for name in "ab"]
        results = {await ref.result() for ref in refs}
        assert results == {"a@example.org by connection 1", "b@example.org by connection 2"}
        assert sorted(journal) == ["close 1", "close 2", "open 1", "open 2"]


async def test_a_singleton_is_built_once_for_a_run_and_closed_with_the_app(
    app: Gusto, autojump_clock: MockClock
) -> None:
    journal: Journal = []
    provide_smtp(app, journal, "singleton")
    app.service(Mail)
    for number in (1, 2):
        async with app.running() as queue:
            for name in "abc":
                ref = await queue.enqueue(Mail.welcome, name)
                assert await ref.result() == f"{name} by connection {number}"
            assert journal[-1] == f"open {number}"
        assert journal[-1] == f"close {number}"


async def test_a_transient_service_is_built_for_each_that_wants_it(
    app: Gusto, autojump_clock: MockClock
) -> None:
    journal: Journal = []
    provide_smtp(app, journal, "transient")

    @app.service
    class Both:
        def __init__(self, first: Smtp, second: Smtp) -> None:
            self.numbers = [first.number, second.number]

        async def compare(self) -> list[int]:
            return self.numbers

    async with app.running() as queue:
        assert await (await queue.enqueue(Both.compare)).result() == [1, 2]
        assert journal == ["open 1", "open 2", "close 2", "close 1"]


async def test_a_plain_method_runs_in_a_thread(app: Gusto) -> None:
    provide_smtp(app, [], "scoped")
    app.service(Mail)
    async with app.running() as queue:
        ref = await queue.enqueue(Mail.goodbye, "ann")
        assert await ref.result() == "ann by connection 1, job 1"
        stored = await ref.job()
        assert (stored.job_type.rpartition(".")[2], stored.method_name) == ("Mail", "goodbye")


@pytest.mark.parametrize("how", ["cancelled", "timed out", "stopped"])
async def test_what_a_job_opened_is_closed_however_it_ends(
    app: Gusto, autojump_clock: MockClock, how: str
) -> None:
    journal: Journal = []
    provide_smtp(app, journal, "scoped")
    app.service(Mail)
    timeout = 5 if how == "timed out" else None
    async with app.running() as queue:
        ref = await queue.enqueue(
            Mail.welcome, "ann", 1000.0, timeout=timeout, max_attempts=2 - (how == "timed out")
        )
        await trio.sleep(1)
        assert journal == ["open 1"]
        if how == "cancelled":
            await ref.cancel()
        if how != "stopped":
            await ref.wait()
    assert journal == ["open 1", "close 1"]
    expected = {
        "cancelled": JobState.CANCELLED,
        "timed out": JobState.FAILED,
        "stopped": JobState.READY,
    }
    async with app.connected() as queue:
        assert await queue.ref(ref.id).status() is expected[how]


async def test_an_error_while_a_service_is_built_fails_that_job_only(app: Gusto) -> None:
    provide_smtp(app, [], "scoped")
    app.service(Mail)

    @app.service
    class Broken:
        def __init__(self) -> None:
            raise ConnectionError("no route to host")

        async def work(self) -> None: ...

    @app.service
    class Wanting:
        def __init__(self, missing: int) -> None: ...

        async def work(self) -> None: ...

    async with app.running() as queue:
        broken = await queue.enqueue(Broken.work, max_attempts=1)
        wanting = await queue.enqueue(Wanting.work, max_attempts=1)
        fine = await queue.enqueue(Mail.goodbye, "ann")
        assert await fine.result()
        with pytest.raises(JobFailed, match="no route to host") as caught:
            await broken.result()
        assert caught.value.error is not None
        assert caught.value.error.type.endswith("ConnectionError")
        with pytest.raises(JobFailed, match=r"app\.provide"):
            await wanting.result()


async def test_wrong_arguments_for_a_method_are_refused_at_the_caller(app: Gusto) -> None:
    app.service(Mail)
    welcome: Any = Mail.welcome  # mistakes that a type checker would find
    async with app.connected() as queue:
        for args in ((), ("ann", 1.0, 2), (7,)):
            with pytest.raises(ValueError, match="welcome"):
                await queue.enqueue(welcome, *args)
        assert (await queue.find()).items == ()


async def test_an_app_with_a_resolver_of_its_own_provides_nothing_itself() -> None:
    class Scope:
        async def get(self, kind: type) -> Any:
            return kind(Smtp([], 7))

    class Resolver:
        @asynccontextmanager
        async def scope(self) -> AsyncGenerator[Scope]:
            yield Scope()

    app = Gusto(services=Resolver())
    app.service(Mail)
    with pytest.raises(OptionsError, match="the resolver you brought"):
        app.provide(Smtp, Smtp)
    async with app.running() as queue:
        assert await (await queue.enqueue(Mail.goodbye, "ann")).result() == (
            "ann by connection 7, job 1"
        )

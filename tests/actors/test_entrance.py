"""Handlers of every kind are given what is theirs, and run where they belong."""

from __future__ import annotations

import contextvars
import threading
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobContext, Middleware, Options, Proceed, current_job
from trio_gusto.testing import VirtualClock

greeting: contextvars.ContextVar[str] = contextvars.ContextVar("greeting", default="hello")


class Polite(Middleware):
    """Sets a variable around each handler."""

    async def execute(self, job: JobContext, proceed: Proceed) -> object:
        greeting.set("good morning")
        return await proceed()


def seen(*given: object) -> list[object]:
    """What a handler says: what it was given, its greeting, its attempt, and whether it is in a thread."""
    is_in_thread = threading.current_thread() is not threading.main_thread()
    return [*given, greeting.get(), current_job().attempt, is_in_thread]


class Shop:
    def __init__(self) -> None:
        self.clerk = "Bea"

    async def order(self, name: str, *, count: int) -> list[object]:
        return seen(self.clerk, name, count)

    async def deliver(self, name: str, *, count: int) -> list[object]:
        await trio.sleep(1)
        return seen(self.clerk, name, count)

    def tidy(self, name: str, *, count: int) -> list[object]:
        return seen(self.clerk, name, count)


@pytest.mark.parametrize("way", ["alone", "with middleware", "as a continuation"])
@pytest.mark.parametrize(
    ("kind", "is_method", "is_in_thread"),
    [
        ("at once", False, False),
        ("waits", False, False),
        ("in a thread", False, True),
        ("in the loop", False, False),
        ("order", True, False),
        ("deliver", True, False),
        ("tidy", True, True),
    ],
)
async def test_each_is_given_all_its_arguments_and_what_is_around_it(
    autojump_clock: MockClock,
    kind: str,
    is_method: bool,
    is_in_thread: bool,
    way: str,
) -> None:
    is_surrounded = way == "with middleware"
    app = Gusto(middleware=[Polite()] if is_surrounded else [], clock=VirtualClock())
    app.service(Shop)

    @app.job
    async def at_once(name: str, *, count: int = 0) -> list[object]:
        return seen(name, count)

    @app.job
    async def waits(name: str, *, count: int) -> list[object]:
        await trio.sleep(1)
        return seen(name, count)

    @app.job
    def plain(name: str, *, count: int) -> list[object]:
        return seen(name, count)

    @app.job(thread=False)
    def in_the_loop(name: str, *, count: int) -> list[object]:
        return seen(name, count)

    handlers: dict[str, Any] = {
        "at once": at_once,
        "waits": waits,
        "in a thread": plain,
        "in the loop": in_the_loop,
        **{name: getattr(Shop, name) for name in ("order", "deliver", "tidy")},
    }
    async with app.running() as queue:
        work = partial(handlers[kind], "Ann", count=3)
        if way == "as a continuation":
            ref = await queue.continue_with(await queue.enqueue(at_once, "Bob"), work)
        else:
            ref = await queue.enqueue(work)
        said = await ref.result()
    clerk = ["Bea"] if is_method else []
    expected = "good morning" if is_surrounded else "hello"
    assert said == [*clerk, "Ann", 3, expected, 1, is_in_thread]


async def test_as_many_threads_run_as_there_are_executors() -> None:
    """More than Trio would give to one program by itself."""
    count = 45
    app = Gusto(options=Options(concurrency=count))
    together = threading.Barrier(count)

    @app.job(timeout=10)
    def meet() -> None:
        together.wait(5)

    async with app.running() as queue:
        refs = [await queue.enqueue(meet) for _ in range(count)]
        for ref in refs:
            await ref.result()
    assert not together.broken

"""What is done around every enqueue and every execution."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    Call,
    CarryContext,
    Fail,
    Gusto,
    JobContext,
    JobFailed,
    JobQueue,
    JobState,
    LoadUser,
    Middleware,
    Options,
    OptionsError,
    Proceed,
    Retry,
    Storage,
    call,
    current_job,
    no_retry,
)
from trio_gusto.actors.executor import Executors
from trio_gusto.queue.draft import Drafter
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.testing import VirtualClock

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")
locale: contextvars.ContextVar[str] = contextvars.ContextVar("locale", default="en")


def run(app: Gusto, scenario: Callable[[JobQueue], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(10_000):
            async with app.running() as queue:
                await scenario(queue)

    trio.run(main, clock=MockClock(autojump_threshold=0))


class Noting(Middleware):
    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self.notes = notes

    def enqueue(self, call: Call[Any]) -> Call[Any]:
        self.notes.append(f"{self.name} enqueue {call.args}")
        return call

    async def execute(self, job: JobContext, proceed: Proceed) -> object:
        self.notes.append(f"{self.name} before attempt {job.attempt}")
        try:
            return await proceed()
        finally:
            self.notes.append(f"{self.name} after")


class Desk:
    async def serve(self, name: str) -> str:
        return f"served {name}"

    def serve_in_a_thread(self, name: str) -> str:
        return f"served {name}"


@pytest.mark.parametrize("kind", ["async", "thread", "loop", "method", "method in a thread"])
def test_middleware_is_around_handlers_of_every_kind(kind: str) -> None:
    notes: list[str] = []
    app = Gusto(middleware=[Noting("outer", notes), Noting("inner", notes)], clock=VirtualClock())
    app.service(Desk)

    @app.job
    async def waits(name: str) -> str:
        await trio.sleep(1)
        notes.append("handler")
        return f"served {name}"

    @app.job
    def thread(name: str) -> str:
        notes.append("handler")
        return f"served {name}"

    @app.job(thread=False)
    def loop(name: str) -> str:
        notes.append("handler")
        return f"served {name}"

    handlers: dict[str, Any] = {
        "async": waits,
        "thread": thread,
        "loop": loop,
        "method": Desk.serve,
        "method in a thread": Desk.serve_in_a_thread,
    }

    async def scenario(queue: JobQueue) -> None:
        ref = await queue.enqueue(handlers[kind], "Ann")
        assert await ref.result() == "served Ann"

    run(app, scenario)
    assert [note for note in notes if note != "handler"] == [
        "outer enqueue ('Ann',)",
        "inner enqueue ('Ann',)",
        "outer before attempt 1",
        "inner before attempt 1",
        "inner after",
        "outer after",
    ]


def test_every_way_to_enqueue_goes_through_middleware() -> None:
    class Tagged(Middleware):
        def enqueue(self, call: Call[Any]) -> Call[Any]:
            return attrs.evolve(call, options={**call.options, "tenant": "acme"})

    app = Gusto(middleware=[Tagged()], clock=VirtualClock())

    @app.job
    async def work(number: int) -> None:
        pass

    async def scenario(queue: JobQueue) -> None:
        first = await queue.enqueue(work, 1)
        await queue.enqueue_many([call(work, 2), call(work, 3)])
        async with queue.batch() as batch:
            batch.enqueue(work, 4)
            batch.continue_with(work, 5)
        await queue.continue_with(first, work, 6)
        jobs = (await queue.find()).items
        assert {(job.args[0], job.tenant) for job in jobs} == {(n, "acme") for n in range(1, 7)}

    run(app, scenario)


def test_middleware_may_refuse_a_call_and_change_its_arguments() -> None:
    class Strict(Middleware):
        def enqueue(self, call: Call[Any]) -> Call[Any]:
            if call.args == ("secret",):
                raise PermissionError("not that")
            return attrs.evolve(call, args=(str(call.args[0]).upper(),))

    app = Gusto(middleware=[Strict()], clock=VirtualClock())

    @app.job
    async def work(name: str) -> str:
        return name

    async def scenario(queue: JobQueue) -> None:
        with pytest.raises(PermissionError):
            await queue.enqueue(work, "secret")
        assert (await queue.find()).items == ()
        assert await (await queue.enqueue(work, "ann")).result() == "ANN"

    run(app, scenario)


def test_what_middleware_raises_ends_the_attempt_and_what_it_returns_is_the_result() -> None:
    entered: list[int] = []

    class Gate(Middleware):
        async def execute(self, job: JobContext, proceed: Proceed) -> object:
            if job.attempt == 1:
                raise Retry(after=5)
            result = await proceed()
            if result == "bad":
                raise Fail("bad result")
            return f"<{result}>"

    app = Gusto(middleware=[Gate()], clock=VirtualClock())

    @app.job
    async def work(text: str) -> str:
        entered.append(current_job().attempt)
        return text

    async def scenario(queue: JobQueue) -> None:
        good, bad = await queue.enqueue(work, "good"), await queue.enqueue(work, "bad")
        assert await good.result() == "<good>"
        with pytest.raises(JobFailed, match="bad result"):
            await bad.result()

    run(app, scenario)
    assert entered == [2, 2]


def test_a_timeout_and_a_cancellation_reach_middleware() -> None:
    ends: list[str] = []

    class Watching(Middleware):
        async def execute(self, job: JobContext, proceed: Proceed) -> object:
            try:
                return await proceed()
            except trio.Cancelled:
                ends.append("cancelled")
                raise

    app = Gusto(middleware=[Watching()], clock=VirtualClock())

    @app.job(timeout=5, retry=no_retry())
    async def slow() -> None:
        await trio.sleep_forever()

    async def scenario(queue: JobQueue) -> None:
        timed, called_off = await queue.enqueue(slow), await queue.enqueue(slow)
        await trio.sleep(1)
        await queue.cancel(called_off)
        assert (await called_off.wait()).state is JobState.CANCELLED
        assert (await timed.wait()).state is JobState.FAILED

    run(app, scenario)
    assert ends == ["cancelled", "cancelled"]


def test_a_plain_handler_that_is_called_off_before_its_thread_begins_holds_no_executor() -> None:
    """Nobody would ever have said that the thread had ended."""
    began: list[str] = []

    class TooLate(Middleware):
        async def execute(self, job: JobContext, proceed: Proceed) -> object:
            if job.attempt == 1 and not began:
                began.append("middleware")
                with trio.CancelScope(shield=True):
                    await trio.sleep(5)  # longer than the timeout
            return await proceed()

    app = Gusto(middleware=[TooLate()], clock=VirtualClock(), options=Options(concurrency=1))

    @app.job(timeout=1, retry=no_retry())
    def plain(name: str) -> None:
        began.append(name)

    async def scenario(queue: JobQueue) -> None:
        late, next_one = await queue.enqueue(plain, "late"), await queue.enqueue(plain, "next")
        assert (await late.wait()).state is JobState.FAILED
        assert (await next_one.wait()).state is JobState.COMPLETED

    run(app, scenario)
    assert began == ["middleware", "next"]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_context_variables_are_carried_to_where_the_job_runs(kind: str, tmp_path: Path) -> None:
    storage: Storage = (
        MemoryStorage() if kind == "memory" else SqliteStorage(tmp_path / "jobs.db", inline=True)
    )
    seen: list[tuple[str, str | None, str]] = []

    def note(name: str) -> None:
        seen.append((name, request_id.get(None), locale.get()))

    app = Gusto(storage, middleware=[CarryContext(request_id, locale)])

    @app.job(name="look")
    async def look() -> dict[str, object]:
        note("look")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_note_soon, note)
        return dict(current_job().carried)

    @app.job(name="thread")
    def thread() -> None:
        note("thread")

    async def main() -> None:
        with trio.fail_after(60):
            async with app.running() as queue:
                token = request_id.set("r-1")
                refs = [await queue.enqueue(look), await queue.enqueue(thread)]
                request_id.reset(token)
                for ref in refs:
                    await ref.wait()
                assert await refs[0].result() == {"request_id": "r-1"}
                assert await (await queue.enqueue(look)).result() == {}

    trio.run(main)
    assert ("look", "r-1", "en") in seen
    assert ("task of it", "r-1", "en") in seen
    assert ("thread", "r-1", "en") in seen
    assert ("look", None, "en") in seen


async def _note_soon(note: Callable[[str], None]) -> None:
    await trio.lowlevel.checkpoint()
    note("task of it")


def test_what_is_carried_must_be_json_and_have_one_name() -> None:
    with pytest.raises(OptionsError, match="different names"):
        CarryContext(request_id, contextvars.ContextVar("request_id"))
    odd: contextvars.ContextVar[object] = contextvars.ContextVar("odd")
    app = Gusto(middleware=[CarryContext(odd)], clock=VirtualClock())

    @app.job
    async def work() -> None:
        pass

    async def scenario(queue: JobQueue) -> None:
        odd.set(object())
        with pytest.raises(OptionsError, match="carried"):
            await queue.enqueue(work)
        assert (await queue.find()).items == ()

    run(app, scenario)


def test_the_user_is_loaded_by_the_id_the_job_has() -> None:
    async def load(user_id: str) -> dict[str, str]:
        await trio.lowlevel.checkpoint()
        if user_id == "nobody":
            raise LookupError("there is no such user")
        return {"name": user_id.title()}

    app = Gusto(middleware=[LoadUser(load)], clock=VirtualClock())

    @app.job(retry=no_retry())
    async def work() -> object:
        return current_job().user

    @app.job
    def in_thread() -> object:
        return (current_job().user_id, current_job().user)

    async def scenario(queue: JobQueue) -> None:
        refs = [await queue.enqueue(work, user_id=name) for name in ("ann", "bob")]
        assert [await ref.result() for ref in refs] == [{"name": "Ann"}, {"name": "Bob"}]
        assert await (await queue.enqueue(work)).result() is None
        ref = await queue.enqueue(in_thread, user_id="ann")
        assert await ref.result() == ["ann", {"name": "Ann"}]
        with pytest.raises(JobFailed, match="no such user"):
            await (await queue.enqueue(work, user_id="nobody")).result()

    run(app, scenario)


def test_what_is_no_middleware_is_refused() -> None:
    with pytest.raises(OptionsError, match="middleware"):
        Gusto(middleware=[object()])  # type: ignore[list-item]

    class Forgetful(Middleware):
        def enqueue(self, call: Call[Any]) -> Call[Any]:
            return None  # type: ignore[return-value]

    app = Gusto(middleware=[Forgetful()], clock=VirtualClock())

    @app.job
    async def work() -> None:
        pass

    async def scenario(queue: JobQueue) -> None:
        with pytest.raises(OptionsError, match="return the call"):
            await queue.enqueue(work)

    run(app, scenario)


@pytest.mark.parametrize("middleware", [(), (Middleware(),)])
def test_without_middleware_jobs_go_the_short_way(
    middleware: tuple[Middleware, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unexpected(*args: Any) -> int:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(Executors, "_attempt", unexpected)
    app = Gusto(middleware=middleware, clock=VirtualClock())

    @app.job
    async def work() -> str:
        return "done"

    async def scenario(queue: JobQueue) -> None:
        assert type(queue._drafter) is Drafter
        assert await (await queue.enqueue(work)).result() == "done"

    run(app, scenario)

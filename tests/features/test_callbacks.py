"""Callbacks: a handler that is called with the result of a job, as a job of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    ArgumentError,
    DuplicateJob,
    Fact,
    Fail,
    Gusto,
    JobAwaitsCallback,
    JobFailed,
    JobState,
    MemoryStorage,
    Options,
    OptionsError,
    Reason,
    Snooze,
    UnknownHandler,
    call,
    fixed,
)
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Office:
    """An app that counts words, and tells somebody how many."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.app = Gusto(storage, clock=VirtualClock(), options=Options(concurrency=2))
        self.entered: list[str] = []
        self.told: list[int] = []
        self.trouble: Callable[[int], None] = lambda _count: None
        self.count = self.app.job(name="count", max_attempts=3, retry=fixed(1))(self._count)
        self.tell = self.app.job(name="tell", max_attempts=2, retry=fixed(5))(self._tell)
        self.fill = self.app.job(name="fill")(self._fill)

    async def _count(self, text: str) -> int:
        self.entered.append(text)
        return len(text.split())

    async def _tell(self, count: int) -> None:
        self.told.append(count)
        self.trouble(count)

    async def _fill(self) -> None:
        self.entered.append("fill")


@pytest.fixture(params=["memory", "sqlite"])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Office:
    storage = (
        MemoryStorage()
        if request.param == "memory"
        else SqliteStorage(tmp_path / "jobs.db", inline=True)
    )
    return Office(storage)


def fail(_count: int) -> None:
    raise Fail("nobody is at home")


async def test_the_callback_is_called_with_the_result(
    office: Office, autojump_clock: MockClock
) -> None:
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.count, "one two three", callback=office.tell)
        assert await ref.result() == 3
        assert office.told == [3]
        job = await ref.job()
        (attempt,) = await queue.attempts(ref)
    assert job.state is JobState.COMPLETED
    assert attempt.outcome is AttemptOutcome.SUCCEEDED


async def test_until_the_callback_has_ended_the_job_is_waiting(
    office: Office, autojump_clock: MockClock
) -> None:
    async with office.app.running() as queue:
        office.trouble = lambda count: _snooze_once(office.told)
        async with queue.events() as facts:
            ref = await queue.enqueue(
                office.count,
                "one two",
                callback=office.tell,
                worker="smtp",
                unique_key="letter",
                expire_on=timedelta(seconds=10),
            )
            callback = await _callback_of(facts)
        assert await ref.status() is JobState.WAITING
        explained = await queue.explain(ref)
        assert explained.reason is Reason.WAITING_FOR_CALLBACK
        assert explained.blocking == (callback,)
        job = await ref.job()
        assert job.result is None
        assert job.started_at is not None
        assert job.ended_at is None
        # Its named worker is free, and its unique key is not.
        other = await queue.enqueue(office.count, "four", worker="smtp")
        assert await other.result() == 1
        same = await queue.enqueue(
            office.count, "x", unique_key="letter", on_conflict="return_existing"
        )
        assert same.id == ref.id
        assert await ref.result() == 2
        assert office.entered == ["one two", "four"]
        assert office.told == [2, 2]


def _snooze_once(told: list[int]) -> None:
    if len(told) == 1:
        raise Snooze(60)


async def test_a_callback_that_fails_fails_the_job_and_the_handler_is_not_entered_again(
    office: Office, autojump_clock: MockClock
) -> None:
    def trouble(_count: int) -> None:
        raise OSError("no connection")

    office.trouble = trouble
    async with office.app.running() as queue:
        ref = await queue.enqueue(office.count, "one", callback=office.tell)
        after = await queue.continue_with(ref, office.fill, on="failure")
        with pytest.raises(JobFailed, match="its callback failed"):
            await ref.result()
        await after.result()
        job = await ref.job()
    assert office.entered == ["one", "fill"]
    assert office.told == [1, 1]
    assert (job.attempt, job.error) == (1, None)


async def test_continuations_and_batches_follow_the_end_after_the_callback(
    office: Office, autojump_clock: MockClock
) -> None:
    office.trouble = lambda count: _snooze_once(office.told)
    async with office.app.running() as queue:
        async with queue.batch() as batch:
            batch.enqueue(office.count, "a b", callback=office.tell)
            batch.continue_with(office.fill)
        await batch.wait()
        status = await batch.status()
        await queue.work_until_idle()
    assert (status.total, status.completed) == (1, 1)
    assert office.entered == ["a b", "fill"]
    assert office.told == [2, 2]


async def test_cancelling_the_job_cancels_its_callback(
    office: Office, autojump_clock: MockClock
) -> None:
    office.trouble = lambda _count: _snooze_once(office.told)
    async with office.app.running() as queue:
        async with queue.events() as facts:
            ref = await queue.enqueue(office.count, "a", callback=office.tell)
            callback = await _callback_of(facts)
        await trio.sleep(1)
        assert await ref.cancel("not any more")
        assert await ref.status() is JobState.CANCELLED
        assert await queue.ref(callback).status() is JobState.CANCELLED


async def test_cancelling_the_batch_cancels_the_callbacks_of_its_jobs(
    office: Office, autojump_clock: MockClock
) -> None:
    office.trouble = lambda _count: _snooze_once(office.told)
    async with office.app.running() as queue:
        async with queue.events() as facts:
            async with queue.batch() as batch:
                batch.enqueue(office.count, "a", callback=office.tell)
            callback = await _callback_of(facts)
        await trio.sleep(1)
        await batch.cancel()
        assert (await batch.status()).cancelled == 1
        assert await queue.ref(callback).status() is JobState.CANCELLED


async def test_cancelling_the_callback_fails_the_job(
    office: Office, autojump_clock: MockClock
) -> None:
    office.trouble = lambda _count: _snooze_once(office.told)
    async with office.app.running() as queue:
        async with queue.events() as facts:
            ref = await queue.enqueue(office.count, "a", callback=office.tell)
            callback = await _callback_of(facts)
        await trio.sleep(1)
        await queue.cancel(callback)
        with pytest.raises(JobFailed, match="its callback was cancelled"):
            await ref.result()


async def _callback_of(facts: trio.MemoryReceiveChannel[Fact]) -> UUID:
    async for fact in facts:
        if isinstance(fact, JobAwaitsCallback):
            return fact.callback_id
    raise AssertionError("the events ended")


async def test_a_handler_may_declare_its_callback_and_a_call_may_take_it_back(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())
    told: list[str] = []

    @app.job
    async def tell(word: str) -> None:
        told.append(word)

    @app.job(callback=tell)
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with app.running() as queue:
        refs = [
            await queue.enqueue(greet, "Ann"),
            await queue.enqueue(greet, "Bob", callback=None),
        ]
        for ref in refs:
            await ref.result()
        await queue.enqueue_many([call(greet, "Cy")])
        await queue.schedule("greetings", greet, "Di", trigger=timedelta(minutes=1))
        await trio.sleep(90)
    assert told == ["hello Ann", "hello Cy", "hello Di"]


async def test_a_callback_may_have_one_and_it_belongs_to_the_tenant_of_its_job(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())
    seen: list[float] = []

    @app.job(queue="mail")
    async def last(value: float) -> None:
        seen.append(value)

    @app.job(callback=last)
    async def double(value: float) -> float:
        return 2 * value

    @app.job
    async def start() -> int:
        return 4

    async with app.running() as queue:
        ref = await queue.enqueue(start, callback=double, tenant="acme", user_id="ann")
        assert await ref.result() == 4
        jobs = (await queue.find(limit=10)).items
    assert seen == [8.0]
    assert [(job.name.rsplit(".")[-1], job.queue, job.tenant, job.user_id) for job in jobs] == [
        ("last", "mail", "acme", "ann"),
        ("double", "default", "acme", "ann"),
        ("start", "default", "acme", "ann"),
    ]


async def test_a_result_that_cannot_be_stored_fails_a_job_with_a_callback(
    autojump_clock: MockClock,
) -> None:
    app = Gusto(clock=VirtualClock())
    told: list[object] = []

    @app.job
    async def tell(value: object) -> None:
        told.append(value)

    @app.job
    async def odd() -> object:
        return object()

    async with app.running() as queue:
        ref = await queue.enqueue(odd, callback=tell)
        with pytest.raises(JobFailed, match="could not be stored for its callback"):
            await ref.result()
    assert told == []


async def test_what_cannot_be_a_callback_is_refused_at_the_caller() -> None:
    app = Gusto()

    @app.job
    async def count(text: str) -> int:
        return len(text)

    @app.job
    async def two(first: int, second: int) -> None: ...

    @app.job
    async def word(text: str) -> None: ...

    async def unknown(value: int) -> None: ...

    async with app.connected() as queue:
        wrong: list[tuple[Any, type[Exception], str]] = [
            (unknown, UnknownHandler, "unknown"),
            (two, ArgumentError, "cannot be a callback"),
            (partial(two, 1), ArgumentError, "carries arguments"),
            (word, ArgumentError, "takes str, and"),
            ("count", OptionsError, "give a handler"),
        ]
        for callback, error, message in wrong:
            with pytest.raises(error, match=message):
                await queue.enqueue(count, "a", callback=callback)
        assert (await queue.stats()).by_state.get(JobState.READY, 0) == 0


async def test_what_a_crash_left_between_callback_and_job_is_found_at_the_start(
    office: Office, autojump_clock: MockClock
) -> None:
    """The callback has ended, and nobody has told the resolver."""
    async with office.app.running() as queue:
        office.trouble = lambda _count: _snooze_once(office.told)
        async with queue.events() as facts:
            ref = await queue.enqueue(office.count, "a b c", callback=office.tell)
            await _callback_of(facts)
        await trio.sleep(1)
    async with office.app.running() as queue:
        assert await queue.ref(ref.id).result() == 3
    assert office.told == [3, 3]


@pytest.mark.parametrize("on_conflict", ["raise", "return_existing", "replace"])
async def test_each_result_has_its_callback_whatever_key_its_handler_was_declared_with(
    autojump_clock: MockClock, on_conflict: Any
) -> None:
    """A job for which another one stood in waited for ever."""
    app = Gusto(clock=VirtualClock(), options=Options(concurrency=2))
    told: list[int] = []

    @app.job(unique_key="one", on_conflict=on_conflict)
    async def tell(number: int) -> None:
        await trio.sleep(3)
        told.append(number)

    @app.job(callback=tell)
    async def get(number: int) -> int:
        return number

    async with app.running() as queue:
        refs = await queue.enqueue_many([call(get, number) for number in range(3)])
        assert [await ref.result(60) for ref in refs] == [0, 1, 2]
    assert sorted(told) == [0, 1, 2]


async def test_a_callback_of_a_callback_that_cannot_be_is_refused_at_the_caller() -> None:
    app = Gusto()

    async def unknown(value: int) -> None: ...

    @app.job
    async def word(text: str) -> None: ...

    @app.job(callback=unknown)
    async def passes_to_nobody(value: int) -> int:
        return value

    @app.job(callback=word)
    async def passes_what_does_not_fit(value: int) -> int:
        return value

    async def there(value: int) -> int:
        return value

    @app.job(callback=there)
    async def back(value: int) -> int:
        return value

    app.job(callback=back)(there)

    @app.job
    async def count(text: str) -> int:
        return len(text)

    async with app.connected() as queue:
        wrong: list[tuple[Any, type[Exception], str]] = [
            (passes_to_nobody, UnknownHandler, "unknown"),
            (passes_what_does_not_fit, ArgumentError, "takes str, and"),
            (back, ArgumentError, "go in a circle"),
        ]
        for callback, error, message in wrong:
            with pytest.raises(error, match=message):
                await queue.enqueue(count, "a", callback=callback)
        assert not any((await queue.stats()).by_state.values())


async def test_a_callback_that_cannot_be_made_where_the_job_runs_fails_the_job(
    autojump_clock: MockClock,
) -> None:
    """Handlers are declared otherwise there than where the job was enqueued: no executor dies of it."""
    storage, entered = MemoryStorage(), list[str]()

    def make(callback_of_tell: Callable[..., Any] | None) -> tuple[Gusto, Any, Any]:
        app = Gusto(storage, clock=VirtualClock())

        @app.job(name="tell", callback=callback_of_tell)
        async def tell(count: int) -> int:
            return count

        @app.job(name="count", retry=fixed(1))
        async def count(text: str) -> int:
            entered.append(text)
            return len(text)

        return app, count, tell

    async def unknown(value: int) -> None: ...

    app, count, tell = make(None)
    async with app.connected() as queue:
        ref = await queue.enqueue(count, "a", callback=tell)
    app, *_ = make(unknown)
    async with app.running() as queue:
        with pytest.raises(JobFailed, match="its callback cannot be called here"):
            await queue.ref(ref.id).result(60)
    assert entered == ["a"]


async def test_a_job_whose_callback_is_due_is_not_replaced(
    office: Office, autojump_clock: MockClock
) -> None:
    """It has begun, and the callback of one that was replaced would run all the same."""
    office.trouble = lambda _count: _snooze_once(office.told)
    async with office.app.running() as queue:
        async with queue.events() as facts:
            ref = await queue.enqueue(office.count, "a", callback=office.tell, unique_key="k")
            await _callback_of(facts)
        with pytest.raises(DuplicateJob):
            await queue.enqueue(office.count, "b", unique_key="k", on_conflict="replace")
        assert await ref.result() == 1

"""Jobs that are kept in memory only, and calls that are run without being stored."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    ArgumentError,
    Fail,
    Gusto,
    JobCancelled,
    JobExpired,
    JobFilter,
    JobQueue,
    JobState,
    MemoryStorage,
    NotSupported,
    Options,
    OptionsError,
    Snooze,
    UnknownJob,
    call,
    current_job,
    fixed,
)
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


class Works:
    """An app whose jobs say what they did."""

    def __init__(self, storage: Storage) -> None:
        options = Options(concurrency=2, default_retry=fixed(1), retention=timedelta(minutes=10))
        self.storage = storage
        self.app = Gusto(storage, clock=VirtualClock(), options=options)
        self.did: list[str] = []
        self.running = self.most = 0
        self.do = self.app.job(name="do")(self._do)
        self.linger = self.app.job(name="linger")(self._linger)

    async def _do(self, word: str) -> str:
        self.did.append(word)
        return word.upper()

    async def _linger(self, seconds: float) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(seconds)
        finally:
            self.running -= 1


@pytest.fixture(params=["memory", "sqlite"])
def works(request: pytest.FixtureRequest, tmp_path: Path) -> Works:
    if request.param == "memory":
        return Works(MemoryStorage())
    return Works(SqliteStorage(tmp_path / "jobs.db", inline=True))


# --- durable=False --------------------------------------------------------------------------------


async def test_it_runs_like_any_other_job_and_is_found_like_one(
    works: Works, autojump_clock: MockClock
) -> None:
    async with works.app.running() as queue:
        durable = await queue.enqueue(works.do, "a")
        ref = await queue.enqueue(
            works.do, "b", durable=False, ref_id="mine", tags=["t"], created_by="ann"
        )
        later = await queue.enqueue(works.do, "c", durable=False, execute_after=60)
        assert await ref.result() == "B"
        assert await durable.result() == "A"
        assert (await ref.job()).created_by == "ann"
        found = await queue.get_by_ref("mine")
        assert found is not None
        assert found.id == ref.id
        assert [job.id for job in (await queue.find(JobFilter(tags_any=["t"]))).items] == [ref.id]
        assert (await queue.stats()).by_state == {JobState.COMPLETED: 2, JobState.SCHEDULED: 1}
        assert len(await queue.attempts(ref)) == 1
        assert (
            "not due" in (await queue.explain(later)).sentence
            or (await queue.explain(later)).until is not None
        )
        assert await later.cancel("not wanted")
        assert await later.status() is JobState.CANCELLED
        assert await queue.retry(later)
        assert await later.result() == "C"
    assert sorted(works.did) == ["a", "b", "c"]


async def test_nothing_of_it_reaches_the_storage(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    works = Works(SqliteStorage(path))
    async with works.app.running() as queue:
        await (await queue.enqueue(works.do, "a", durable=False)).result()
    other = Works(SqliteStorage(path))
    async with other.app.connected() as queue:
        assert (await queue.stats()).by_state == {}


async def test_it_fails_and_is_tried_again(works: Works, autojump_clock: MockClock) -> None:
    attempts: list[int] = []

    @works.app.job(max_attempts=3)
    async def shaky() -> str:
        attempts.append(current_job().attempt)
        current_job().progress(50, "half")
        current_job().log("trying")
        if len(attempts) == 1:
            raise ValueError
        if len(attempts) == 2:
            raise Snooze(30)
        return "done"

    async with works.app.running() as queue:
        ref = await queue.enqueue(shaky, durable=False)
        assert await ref.result() == "done"
        job = await ref.job()
        assert job.progress is not None
        assert job.progress.percent == 50
        assert [entry.message for entry in await queue.logs(ref)] == ["trying"] * 3
        assert len(await queue.attempts(ref)) == 3
    assert attempts == [1, 2, 2]


async def test_pages_go_from_memory_to_the_storage(works: Works, autojump_clock: MockClock) -> None:
    async with works.app.running() as queue:
        await queue.enqueue_many([call(works.do, str(n)) for n in range(3)])
        await queue.enqueue_many([call(works.do, str(n), durable=False) for n in range(3, 6)])
        await queue.work_until_idle()
        seen: list[object] = []
        after = None
        while True:
            page = await queue.find(JobFilter(), limit=2, after=after)
            seen += [job.args[0] for job in page.items]
            after = page.next
            if after is None:
                break
    assert seen == ["5", "4", "3", "2", "1", "0"]


async def test_neither_kind_keeps_the_other_waiting(
    works: Works, autojump_clock: MockClock
) -> None:
    started: list[str] = []

    @works.app.job
    async def note(word: str) -> None:
        started.append(word)
        await trio.sleep(1)

    async with works.app.running() as queue:
        await queue.pause()
        for word in ("durable", "memory"):
            calls = [call(note, word, durable=word == "durable") for _ in range(40)]
            await queue.enqueue_many(calls)
        await queue.resume()
        await queue.work_until_idle()
    for kind in ("durable", "memory"):
        assert started.count(kind) == 40
        assert 5 < started[:40].count(kind) < 35


async def test_pauses_hold_it_back(works: Works, autojump_clock: MockClock) -> None:
    async with works.app.running() as queue:
        await queue.pause(queue="mail")
        ref = await queue.enqueue(works.do, "a", durable=False, queue="mail")
        await trio.sleep(60)
        assert await ref.status() is JobState.READY
        await queue.resume(queue="mail")
        assert await ref.result() == "A"


async def test_a_named_worker_runs_one_job_of_either_kind(
    works: Works, autojump_clock: MockClock
) -> None:
    async with works.app.running() as queue:
        refs = [
            await queue.enqueue(works.linger, 5, worker="smtp", durable=n % 2 == 0)
            for n in range(6)
        ]
        for ref in refs:
            await ref.result()
    assert works.most == 1


async def test_children_of_it_are_durable(works: Works, autojump_clock: MockClock) -> None:
    @works.app.job
    async def parent() -> None:
        await current_job().queue.enqueue(works.do, "child")

    async with works.app.running() as queue:
        await (await queue.enqueue(parent, durable=False)).result()
        await queue.work_until_idle()
        (child,) = (await queue.find(JobFilter(names=["do"]))).items
        assert child.state is JobState.COMPLETED


async def test_it_expires_and_is_removed_by_retention(
    works: Works, autojump_clock: MockClock
) -> None:
    async with works.app.running() as queue:
        await queue.pause()
        ref = await queue.enqueue(works.do, "a", durable=False, expire_on=10)
        job = await ref.wait()
        assert job.state is JobState.EXPIRED
        await trio.sleep(timedelta(hours=1).total_seconds())
        assert await queue.get(ref.id) is None


async def test_an_app_that_runs_again_goes_on_and_one_that_does_not_is_told_of(
    works: Works, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with works.app.running() as queue:
        ref = await queue.enqueue(works.do, "a", durable=False, execute_after=60)
    assert "1 jobs that are not durable have not ended" in caplog.text
    async with works.app.running() as queue:
        assert await queue.ref(ref.id).result() == "A"


async def test_where_it_cannot_be_is_said_at_the_caller(
    works: Works, autojump_clock: MockClock
) -> None:
    async with works.app.running() as queue:
        parent = await queue.enqueue(works.do, "a")
        enqueue: Any = queue.enqueue
        wrong: list[Any] = [
            partial(enqueue, works.do, "a", durable=False, unique_key="k"),
            partial(enqueue, works.do, "a", durable=False, callback=works.do),
            partial(enqueue, works.do, "a", durable="no"),
            partial(queue.continue_with, parent, works.do, "a", durable=False),
            partial(queue.enqueue_many, [call(works.do, "a"), call(works.do, "a", durable=False)]),
            partial(
                queue.schedule, "s", works.do, "a", trigger=timedelta(minutes=1), durable=False
            ),
        ]
        for attempt in wrong:
            with pytest.raises(OptionsError):
                await attempt()
        async with queue.batch() as batch:
            with pytest.raises(OptionsError):
                batch.enqueue(works.do, "a", durable=False)
        memory = await queue.enqueue(works.do, "b", durable=False)
        with pytest.raises(UnknownJob):
            await queue.continue_with(memory, works.do, "a")


# --- queue.run ------------------------------------------------------------------------------------


async def total(queue: JobQueue) -> int:
    return sum((await queue.stats()).by_state.values())


async def test_a_call_is_run_and_nothing_is_left(works: Works, autojump_clock: MockClock) -> None:
    things: list[object] = []

    @works.app.job
    async def make() -> object:
        things.append(object())
        return things[-1]

    async with works.app.running() as queue:
        assert await queue.run(works.do, "a") == "A"
        made = await queue.run(make)
        assert made is things[0]  # it need not be storable
        assert await total(queue) == 0


async def test_what_the_handler_raises_reaches_the_caller(
    works: Works, autojump_clock: MockClock
) -> None:
    error = ValueError("as it is")

    @works.app.job(max_attempts=7)
    async def fail() -> None:
        works.did.append("attempt")
        raise error

    @works.app.job
    async def give_up() -> None:
        raise Fail("no use")

    async with works.app.running() as queue:
        with pytest.raises(ValueError, match="as it is") as raised:
            await queue.run(fail)
        assert raised.value is error
        assert works.did == ["attempt"]
        with pytest.raises(ValueError, match="as it is"):
            await queue.run(fail, max_attempts=3)
        assert works.did == ["attempt"] * 4
        with pytest.raises(Fail):
            await queue.run(give_up)
        with pytest.raises(trio.TooSlowError):
            await queue.run(works.linger, 60, timeout=1)
        assert await total(queue) == 0


async def test_a_cancelled_caller_cancels_the_handler_and_waits_for_its_end(
    works: Works, autojump_clock: MockClock
) -> None:
    ended: list[float] = []

    @works.app.job
    async def slow_to_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            ended.append(trio.current_time())

    async with works.app.running() as queue:
        with trio.move_on_after(5) as scope:
            await queue.run(slow_to_end)
        assert scope.cancelled_caught
        assert len(ended) == 1
        with trio.move_on_after(5):
            await queue.run(works.do, "never", execute_after=60)
        await trio.sleep(120)
        assert await total(queue) == 0
    assert works.did == []


async def test_it_keeps_within_concurrency_named_workers_and_pauses(
    works: Works, autojump_clock: MockClock
) -> None:
    async with works.app.running() as queue:
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(queue.run, works.linger, 1)
        assert works.most == 2
        works.most = 0
        async with trio.open_nursery() as nursery:
            await queue.enqueue(works.linger, 5, worker="smtp")
            run: Any = queue.run
            for _ in range(3):
                nursery.start_soon(partial(run, works.linger, 1, worker="smtp"))
        assert works.most == 1
        await queue.pause()
        with trio.move_on_after(60) as scope:
            await queue.run(works.do, "paused")
        assert scope.cancelled_caught
        with pytest.raises(JobExpired):
            await queue.run(works.do, "paused", expire_on=10)
    assert works.did == []


async def test_a_stop_of_the_app_ends_the_wait(works: Works, autojump_clock: MockClock) -> None:
    outcome: list[Exception] = []

    async def wait(queue: JobQueue) -> None:
        try:
            await queue.run(works.do, "late", execute_after=600)
        except JobCancelled as error:
            outcome.append(error)

    async with trio.open_nursery() as nursery, works.app.running() as queue:
        nursery.start_soon(wait, queue)
        await trio.sleep(1)
    assert "the app stopped" in str(outcome[0])


async def test_what_makes_no_sense_is_refused(works: Works, autojump_clock: MockClock) -> None:
    errors: list[Exception] = []

    @works.app.job
    async def inside() -> None:
        try:
            await queue.run(works.do, "a")
        except NotSupported as error:
            errors.append(error)

    async with works.app.running() as queue:
        options: list[dict[str, Any]] = [
            {"unique_key": "k"},
            {"ref_id": "r"},
            {"callback": works.do},
            {"durable": True},
        ]
        for option in options:
            with pytest.raises(OptionsError):
                await queue.run(works.do, "a", **option)
        with pytest.raises(ArgumentError):
            await queue.run(works.do, 5)  # type: ignore[arg-type]
        await queue.run(inside)
        assert len(errors) == 1
    async with works.app.connected() as queue:
        with pytest.raises(NotSupported, match="runs no jobs"):
            await queue.run(works.do, "a")


async def test_plain_handlers_run_in_threads(tmp_path: Path) -> None:
    app = Gusto(SqliteStorage(tmp_path / "jobs.db"))

    @app.job
    def double(number: int) -> int:
        return 2 * number

    async with app.running() as queue:
        assert await queue.run(double, 21) == 42


def test_the_log_is_quiet_where_nothing_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = Gusto(SqliteStorage(tmp_path / "jobs.db"))

    @app.job
    async def nothing() -> None: ...

    async def main() -> None:
        async with app.running() as queue:
            await queue.run(nothing)

    with caplog.at_level(logging.WARNING):
        trio.run(main)
    assert caplog.text == ""

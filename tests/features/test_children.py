"""Jobs that a handler enqueues, and that are stored with its success or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import (
    ArgumentError,
    DuplicateJob,
    Fact,
    Gusto,
    GustoError,
    JobChildren,
    JobEnqueued,
    JobFailed,
    JobQueue,
    JobState,
    MemoryStorage,
    NoCurrentJob,
    Options,
    Snooze,
    UnknownHandler,
    call,
    current_job,
    fixed,
)
from trio_gusto.storage.messages import Insert, Write, WriteReply
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock

Act = Callable[[JobChildren], Awaitable[object]]


class Family:
    """An app with a parent whose handler does what the test says."""

    def __init__(self, storage: Storage | None = None) -> None:
        options = Options(concurrency=1, default_retry=fixed(1))
        self.app = Gusto(storage, clock=VirtualClock(), options=options)
        self.ran: list[str] = []
        self.acts: list[Act] = []
        self.parent = self.app.job(name="parent", max_attempts=3)(self._parent)
        self.child = self.app.job(name="child")(self._child)

    async def _parent(self) -> str:
        self.ran.append("parent")
        await self.acts[min(current_job().attempt, len(self.acts)) - 1](current_job().queue)
        return "done"

    async def _child(self, word: str) -> str:
        self.ran.append(word)
        return word

    async def total(self, queue: JobQueue) -> int:
        return sum((await queue.stats()).by_state.values())


@pytest.fixture(params=["memory", "sqlite"])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    if request.param == "memory":
        return Family(MemoryStorage())
    return Family(SqliteStorage(tmp_path / "jobs.db", inline=True))


async def test_children_are_stored_with_the_success_and_not_before(
    family: Family, autojump_clock: MockClock
) -> None:
    refs: list[object] = []

    async def act(children: JobChildren) -> None:
        refs.append(await children.enqueue(family.child, "a"))
        refs.extend(await children.enqueue_many([call(family.child, word) for word in "bc"]))
        await trio.sleep(5)
        assert await family.total(queue) == 1
        family.ran.append("end of parent")

    family.acts = [act]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent)
        assert await ref.result() == "done"
        assert await family.total(queue) == 4
        await queue.work_until_idle()
    assert family.ran == ["parent", "end of parent", "a", "b", "c"]


async def test_children_of_failed_attempts_are_never_stored(
    family: Family, autojump_clock: MockClock
) -> None:
    async def fails(children: JobChildren) -> None:
        await children.enqueue(family.child, "of the first attempt")
        raise ValueError

    async def snoozes(children: JobChildren) -> None:
        await children.enqueue(family.child, "of the second attempt")
        raise Snooze(1)

    async def succeeds(children: JobChildren) -> None:
        await children.enqueue(family.child, "of the last attempt")

    attempts = iter([fails, snoozes, succeeds])

    async def act(children: JobChildren) -> None:
        await next(attempts)(children)

    family.acts = [act]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent)
        await ref.result()
        await queue.work_until_idle()
    assert family.ran == ["parent", "parent", "parent", "of the last attempt"]


async def test_children_of_a_cancelled_attempt_are_never_stored(
    family: Family, autojump_clock: MockClock
) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a")
        await trio.sleep(60)

    family.acts = [act]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent)
        await trio.sleep(1)
        await ref.cancel()
        await ref.wait()
        assert await family.total(queue) == 1


async def test_children_may_be_continuations_of_each_other_and_may_be_scheduled(
    family: Family, autojump_clock: MockClock
) -> None:
    async def act(children: JobChildren) -> None:
        first = await children.enqueue(
            family.child, "first", execute_after=timedelta(seconds=30), expire_on=60
        )
        second = await children.continue_with(first, family.child, "second")
        await children.continue_with([first, second], family.child, "third")
        await children.continue_with(before, family.child, "after what ended long ago")

    family.acts = [act]
    async with family.app.running() as queue:
        before = await queue.enqueue(family.child, "before")
        await before.result()
        await (await queue.enqueue(family.parent)).result()
        await trio.sleep(40)
    assert family.ran == [
        "before",
        "parent",
        "after what ended long ago",
        "first",
        "second",
        "third",
    ]


async def test_children_are_announced_when_they_are_stored(
    family: Family, autojump_clock: MockClock
) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a")

    family.acts = [act]
    async with family.app.running() as queue, queue.events() as facts:
        await queue.enqueue(family.parent)
        names = []
        async for fact in facts:
            if isinstance(fact, JobEnqueued):
                names.append(fact.name)
                if len(names) == 2:
                    break
    assert sorted(names) == ["child", "parent"]  # who enqueues may hear later that it is done


async def test_wrong_calls_fail_in_the_handler(family: Family, autojump_clock: MockClock) -> None:
    async def unknown(word: str) -> None: ...

    async def act(children: JobChildren) -> None:
        with pytest.raises(UnknownHandler):
            await children.enqueue(unknown, "a")
        with pytest.raises(ArgumentError):
            await children.enqueue(family.child, 5)  # type: ignore[arg-type]
        with pytest.raises(ArgumentError):
            await children.enqueue_many([call(family.child, "a"), "b"])  # type: ignore[arg-type]
        with pytest.raises(ArgumentError):
            await children.continue_with([], family.child, "a")

    family.acts = [act]
    async with family.app.running() as queue:
        await (await queue.enqueue(family.parent)).result()
        assert await family.total(queue) == 1


@pytest.mark.parametrize("what", ["ref_id", "unique_key"])
async def test_a_child_that_is_refused_fails_the_job_for_good(
    family: Family, autojump_clock: MockClock, what: str
) -> None:
    option = {what: "taken"}

    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a")
        await children.enqueue(family.child, "b", **option)  # type: ignore[call-overload]

    family.acts = [act]
    async with family.app.running() as queue:
        await queue.enqueue(family.child, "before", execute_after=600, **option)  # type: ignore[call-overload]
        ref = await queue.enqueue(family.parent)
        with pytest.raises(JobFailed, match="what it enqueued was refused"):
            await ref.result()
        job = await ref.job()
        assert job.error is not None
        assert job.error.type.endswith(DuplicateJob.__name__)
        assert family.ran == ["parent"]
        assert await family.total(queue) == 2


async def test_a_job_whose_child_is_refused_has_ended_with_its_handler(
    autojump_clock: MockClock,
) -> None:
    """And not when the storage has answered."""

    class Slow(MemoryStorage):
        async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | GustoError]:
            await trio.sleep(1)
            return await super().apply(writes)

    family = Family(Slow())

    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a", ref_id="taken")

    family.acts = [act]
    async with family.app.running() as queue:
        await queue.enqueue(family.child, "before", execute_after=600, ref_id="taken")
        job = await (await queue.enqueue(family.parent)).wait()
        assert job.state is JobState.FAILED
        assert job.started_at == job.ended_at


async def test_a_child_may_have_the_unique_key_that_its_parent_lets_go_of(
    family: Family, autojump_clock: MockClock
) -> None:
    async def again(children: JobChildren) -> None:
        await children.enqueue(family.child, "the next", unique_key="one at a time")

    family.acts = [again]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent, unique_key="one at a time")
        await ref.result()
        await queue.work_until_idle()
    assert family.ran == ["parent", "the next"]


async def test_a_child_may_replace_another_job(family: Family, autojump_clock: MockClock) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "new", unique_key="k", on_conflict="replace")

    family.acts = [act]
    async with family.app.running() as queue:
        old = await queue.enqueue(family.child, "old", unique_key="k", execute_after=600)
        after = await queue.continue_with(old, family.child, "after old", on="finish")
        await (await queue.enqueue(family.parent)).result()
        assert await old.status() is JobState.CANCELLED
        await after.result(5)
        await queue.work_until_idle()
    assert sorted(family.ran) == ["after old", "new", "parent"]


async def test_a_child_gives_way_to_whoever_holds_its_key(
    family: Family, autojump_clock: MockClock
) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(
            family.child, "second", unique_key="k", on_conflict="return_existing"
        )
        await children.enqueue(family.child, "other")

    family.acts = [act]
    async with family.app.running() as queue:
        await queue.enqueue(family.child, "first", unique_key="k", execute_after=60)
        facts: list[Fact] = []
        queue._probe.subscribe(facts.append)
        await (await queue.enqueue(family.parent)).result()
        await trio.sleep(100)
        told = [fact.name for fact in facts if isinstance(fact, JobEnqueued)]
    assert family.ran == ["parent", "other", "first"]
    assert sorted(told) == ["child", "parent"]


async def test_children_and_callback_are_stored_together(
    family: Family, autojump_clock: MockClock
) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a")

    family.acts = [act]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent, callback=family.child)
        assert await ref.result() == "done"
        await queue.work_until_idle()
    assert sorted(family.ran) == ["a", "done", "parent"]


async def test_a_plain_handler_enqueues_from_its_thread(tmp_path: Path) -> None:
    app = Gusto(SqliteStorage(tmp_path / "jobs.db"))
    ran = trio.Event()

    @app.job
    async def child(word: str) -> None:
        assert word == "from a thread"
        ran.set()

    @app.job
    def parent() -> None:
        trio.from_thread.run(current_job().queue.enqueue, child, "from a thread")

    async with app.running() as queue:
        await (await queue.enqueue(parent)).result()
        with trio.fail_after(10):
            await ran.wait()


async def test_after_the_handler_nothing_can_be_added(
    family: Family, autojump_clock: MockClock
) -> None:
    kept: list[JobChildren] = []

    async def act(children: JobChildren) -> None:
        kept.append(children)

    family.acts = [act]
    async with family.app.running() as queue:
        await (await queue.enqueue(family.parent)).result()
        with pytest.raises(NoCurrentJob):
            await kept[0].enqueue(family.child, "too late")


async def test_workers_for_the_while_know_the_queue_too(family: Family) -> None:
    async def act(children: JobChildren) -> None:
        await children.enqueue(family.child, "a")

    family.acts = [act]
    async with family.app.connected() as queue:
        await queue.enqueue(family.parent)
        await queue.work_until_idle()
    assert family.ran == ["parent", "a"]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("after_commit", [True, False])
async def test_children_are_stored_once_whatever_reply_is_lost(
    autojump_clock: MockClock, durable: bool, after_commit: bool
) -> None:
    """Also those of a job in memory, whose success is not stored where they are."""

    def plan(asked: Asked) -> Fault | None:
        brings = [
            insert
            for message in asked.messages
            if isinstance(insert := getattr(message, "children", message), Insert)
        ]
        names = {request.name for insert in brings for request in insert.requests}
        if "child" in names and not storage.happened:
            return Fault(after_commit=after_commit)
        return None

    async def act(children: JobChildren) -> None:
        await children.enqueue_many([call(family.child, word) for word in "ab"])

    storage = FaultyStorage(MemoryStorage(), plan)
    family = Family(storage)
    family.acts = [act]
    async with family.app.running() as queue:
        ref = await queue.enqueue(family.parent, durable=durable)
        assert await ref.result(60) == "done"
        # A claim may have been lost with the reply, and its leases have to pass.
        await trio.sleep(120)
    assert len(storage.happened) == 1
    assert family.ran == ["parent", "a", "b"]

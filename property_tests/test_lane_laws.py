"""Named workers and pauses through real apps in virtual time: the laws, and that they can fail.

Several nodes share one storage. Handlers themselves note when they begin and end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Literal

import attrs
import pytest
import trio
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.planted import ClaimsWhatIsPaused
from trio_gusto import Gusto, JobQueue, MemoryStorage, Options, call, fixed
from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.lanes import Lanes
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock

Scope = tuple[str | None, str | None]


@attrs.frozen
class Work:
    """A job to enqueue, and whether its first attempt fails."""

    worker: str | None = None
    queue: str = "a"
    tenant: str = ""
    priority: int = 0
    seconds: float = 0.0
    fails: bool = False


@attrs.frozen
class Enqueue:
    """Jobs, all at once, through one of the nodes, which is then the first to claim."""

    jobs: tuple[Work, ...]
    node: int


@attrs.frozen
class Turn:
    """Pause or resume something, through one of the nodes."""

    verb: Literal["pause", "resume"]
    scope: Scope
    node: int


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: float


@attrs.define
class Entry:
    """A handler has been entered."""

    key: int
    work: Work
    began: float
    ended: float | None = None


class Company:
    """Nodes on one storage, what is asked of them, and what their handlers do."""

    def __init__(
        self, storage: Storage, nodes: int, concurrency: int, prefetch: int | None
    ) -> None:
        self.storage = storage
        self.options = Options(concurrency=concurrency, prefetch=prefetch)
        self.node_count = nodes
        self.works: list[Work] = []
        self.entries: list[Entry] = []
        self.paused: list[Scope] = []
        self.violations: list[str] = []

    def expect(self, holds: bool, law: str, *what: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, what))}")

    async def play(self, key: int) -> None:
        work = self.works[key]
        entry = Entry(key, work, trio.current_time())
        running = [other for other in self.entries if other.ended is None]
        overlaps = work.worker is not None and work.worker in [one.work.worker for one in running]
        self.expect(not overlaps, "a named worker does one job at a time", entry, running)
        held = [
            (queue, tenant)
            for queue, tenant in self.paused
            if queue in (None, work.queue) and tenant in (None, work.tenant)
        ]
        self.expect(not held, "after a pause nothing starts that it covers", entry, held)
        is_first = key not in [other.key for other in self.entries]
        self.entries.append(entry)
        try:
            await trio.sleep(work.seconds)
            if work.fails and is_first:
                raise ValueError
        finally:
            entry.ended = trio.current_time()

    async def run(self, operations: Sequence[Enqueue | Turn | Wait]) -> None:
        clock = VirtualClock()
        async with AsyncExitStack() as stack:
            queues: list[JobQueue] = []
            for _ in range(self.node_count):
                app = Gusto(self.storage, clock=clock, options=self.options)
                self.handler = app.job(name="play", retry=fixed(1), max_attempts=2)(self.play)
                queues.append(await stack.enter_async_context(app.running()))
            for operation in operations:
                await self.perform(operation, queues)
            self.paused.clear()
            await queues[0].resume()
            total = sum(work.seconds for work in self.works)
            await trio.sleep(2 * total + 5)
            for queue in queues:
                await queue.work_until_idle()
            completed = (await queues[0].stats()).by_state
            done = completed.get("completed", 0)  # type: ignore[call-overload]
            self.expect(done == len(self.works), "what is resumed is done", completed)
        self.check_order()
        assert not self.violations, "\n".join(self.violations)

    async def perform(self, operation: Enqueue | Turn | Wait, queues: list[JobQueue]) -> None:
        match operation:
            case Enqueue():
                first = len(self.works)
                self.works += operation.jobs
                await queues[operation.node % len(queues)].enqueue_many(
                    [
                        call(
                            self.handler,
                            first + number,
                            worker=work.worker,
                            queue=work.queue,
                            tenant=work.tenant,
                            priority=work.priority,
                        )
                        for number, work in enumerate(operation.jobs)
                    ]
                )
            case Turn():
                queue_name, tenant = operation.scope
                queue = queues[operation.node % len(queues)]
                if operation.verb == "pause":
                    await queue.pause(queue=queue_name, tenant=tenant)
                    self.paused.append(operation.scope)
                else:
                    everything = operation.scope == (None, None)
                    self.paused = [
                        scope
                        for scope in self.paused
                        if not everything and scope != operation.scope
                    ]
                    await queue.resume(queue=queue_name, tenant=tenant)
            case Wait():
                await trio.sleep(operation.seconds)

    def check_order(self) -> None:
        """Of jobs stored together, a named worker does the higher priority first, then the earlier."""
        if self.has_pauses or any(work.fails for work in self.works):
            return  # then some have had to wait for other reasons
        for group in self.groups:
            begun: dict[str | None, list[tuple[int, int]]] = {}
            for entry in self.entries:
                if entry.key in group:
                    place = (-entry.work.priority, entry.key)
                    begun.setdefault(entry.work.worker, []).append(place)
            begun.pop(None, None)
            for worker, places in begun.items():
                in_order = places == sorted(places)
                self.expect(in_order, "a named worker keeps the order", worker, places)

    has_pauses = False
    groups: Sequence[range] = ()


def play(
    make_storage: Callable[[], Storage],
    operations: Sequence[Any],
    *,
    nodes: int = 2,
    concurrency: int = 2,
    prefetch: int | None = None,
) -> None:
    company = Company(make_storage(), nodes, concurrency, prefetch)
    company.has_pauses = any(isinstance(operation, Turn) for operation in operations)
    first, groups = 0, []
    for operation in operations:
        if isinstance(operation, Enqueue):
            groups.append(range(first, first + len(operation.jobs)))
            first += len(operation.jobs)
    company.groups = groups
    trio.run(company.run, operations, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")
storages = pytest.mark.parametrize(
    "make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"]
)


def _failing(work: Work, fails: bool) -> Work:
    return attrs.evolve(work, fails=fails)


works = st.builds(
    Work,
    worker=st.sampled_from([None, "smtp", "smtp", "printer"]),
    queue=st.sampled_from(["a", "b"]),
    tenant=st.sampled_from(["", "t"]),
    priority=st.sampled_from([0, 0, 1]),
    seconds=st.sampled_from([0.0, 0.5, 3.0, 3.0]),
)
failing = st.builds(_failing, works, st.booleans())
waits = st.builds(Wait, st.sampled_from([0.0, 1.0, 4.0, 7.0]))
turns = st.builds(
    Turn,
    st.sampled_from(["pause", "pause", "pause", "resume"]),
    st.sampled_from(
        [(None, None), (None, None), ("a", None), ("b", None), (None, "t"), ("a", ""), ("b", "t")]
    ),
    st.integers(0, 1),
)


def enqueues(of: st.SearchStrategy[Work]) -> st.SearchStrategy[Enqueue]:
    return st.builds(Enqueue, st.lists(of, min_size=1, max_size=8).map(tuple), st.integers(0, 1))


in_order = st.lists(enqueues(works) | waits, min_size=1, max_size=6)
wild = st.lists(enqueues(failing) | waits | turns, min_size=1, max_size=12)
teams = {
    "nodes": st.integers(1, 3),
    "concurrency": st.integers(1, 3),
    "prefetch": st.sampled_from([0, 4, 4, None]),
}


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(operations=in_order, team=st.fixed_dictionaries(teams))
def test_named_workers_do_one_job_at_a_time_in_order(
    make_storage: Callable[[], Storage], operations: list[Any], team: dict[str, Any]
) -> None:
    play(make_storage, operations, **team)


@pytest.mark.timeout(3600)
@storages
@given(operations=wild, team=st.fixed_dictionaries(teams))
def test_after_a_pause_nothing_starts_and_all_is_done_in_the_end(
    make_storage: Callable[[], Storage], operations: list[Any], team: dict[str, Any]
) -> None:
    play(make_storage, operations, **team)


# --- planted faults ---------------------------------------------------------------------------------


class NamesNobodyAtWork(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()

        class ForgetfulIndex(Index):
            def leased_lanes(self, node: str, depth: int) -> Lanes | None:
                for lane in tuple(self.lanes._lines):
                    self.lanes._unpark(lane)
                lanes = super().leased_lanes(node, depth)
                return None if lanes is None else Lanes(lambda _: None, depth)

        self._index = ForgetfulIndex()


class StoresTheLastFirst(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        return super()._insert(Insert(insert.requests[::-1], insert.states[::-1]))


class SaysThatEveryoneHasHeard(MemoryStorage):
    async def read(self, query: Any) -> Any:
        reply = await super().read(query)
        if hasattr(reply, "unheard"):
            return attrs.evolve(reply, unheard=())
        return attrs.evolve(reply, pauses=()) if hasattr(reply, "pauses") else reply


class HidesThatJobsAreHeld(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return attrs.evolve(super()._claim_due(claim), held=False)


@pytest.mark.parametrize(
    ("fault", "operations", "law"),
    [
        (NamesNobodyAtWork, in_order, "one job at a time"),
        (StoresTheLastFirst, in_order, "keeps the order"),
        (ClaimsWhatIsPaused, wild, "nothing starts"),
        (SaysThatEveryoneHasHeard, wild, "nothing starts"),
        (HidesThatJobsAreHeld, in_order, "is done"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_laws_catch(
    fault: type[MemoryStorage], operations: st.SearchStrategy[list[Any]], law: str
) -> None:
    @seed(1)
    @settings(LOOKING, max_examples=5000)
    @given(operations=operations, team=st.fixed_dictionaries(teams))
    def machine(operations: list[Any], team: dict[str, Any]) -> None:
        play(fault, operations, **team)

    check_is_broken(law, machine)

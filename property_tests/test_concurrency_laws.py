"""How many jobs run at once, changed while they run: the laws, and that they can fail.

1. No handler is entered while as many run as may, whatever that number is at this instant.
2. What runs runs on, and every job is run once.
3. When nothing moves, either as many run as may, or no job is left that could.
4. A node holds no more jobs than it runs, or may run, and what it was told to prefetch. (Jobs of
   named workers are not counted; several in a row may be leased to the node that has the first.)
5. What is given back keeps its place: named workers do one job at a time, in order.

Several nodes share one storage, each with its own number. Handlers note when they begin and end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from property_tests.aiming import LOOKING, check_is_broken
from trio_gusto import Gusto, JobFilter, JobQueue, JobState, MemoryStorage, Options, call
from trio_gusto.actors.lease import Slot
from trio_gusto.actors.poller import Poller
from trio_gusto.actors.roster import Roster
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


@attrs.frozen
class Work:
    """A job to enqueue. Without ``steps`` it never waits; with more, it waits so many times."""

    steps: int = 1
    seconds: float = 1.0
    max_attempts: int = 2
    priority: int = 0
    worker: str | None = None


@attrs.frozen
class Enqueue:
    """Jobs, all at once, through one of the nodes, which is then the first to claim."""

    jobs: tuple[Work, ...]
    node: int


@attrs.frozen
class Resize:
    """Change the number of one node."""

    concurrency: int
    node: int


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: float


class Plant:
    """Nodes on one storage, what is asked of them, and what their handlers do."""

    def __init__(
        self, storage: Storage, sizes: Sequence[int], prefetch: int | None, law: str
    ) -> None:
        self.storage = storage
        self.sizes = list(sizes)
        self.prefetch = prefetch
        self.law = law
        self.works: list[Work] = []
        self.entered: list[int] = []
        self.ended = 0
        self.at_work: list[Work] = []
        self.running = [0] * len(sizes)
        self.queues: list[JobQueue] = []
        self.handlers: list[Any] = []
        self.violations: list[str] = []

    def expect(self, holds: bool, law: str, *what: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, what))}")

    async def play(self, node: int, key: int) -> None:
        self.running[node] += 1
        self.expect(
            self.running[node] <= self.sizes[node],
            "never more than may",
            self.running[node],
            self.sizes[node],
        )
        self.expect(key not in self.entered, "every job is run once", key)
        work = self.works[key]
        if work.worker is not None:
            self.check_lane(key, work)
        self.entered.append(key)
        self.at_work.append(work)
        try:
            for _ in range(work.steps):
                await trio.sleep(work.seconds)
            self.ended += 1
        finally:
            self.running[node] -= 1
            self.at_work.remove(work)

    def check_lane(self, key: int, work: Work) -> None:
        is_alone = work.worker not in [other.worker for other in self.at_work]
        self.expect(is_alone, "one job at a time", key, self.at_work)
        overtaken = [
            other
            for other in range(key)
            if other not in self.entered
            and (self.works[other].worker, self.works[other].priority)
            == (work.worker, work.priority)
        ]
        self.expect(not overtaken, "keeps the order", key, overtaken)

    async def run(self, operations: Sequence[Enqueue | Resize | Wait]) -> None:
        clock = VirtualClock()
        async with AsyncExitStack() as stack:
            for node, size in enumerate(self.sizes):
                options = Options(concurrency=size, prefetch=self.prefetch)
                app = Gusto(self.storage, clock=clock, options=options)
                self.handlers.append(app.job(name="play")(partial(self.play, node)))
                self.queues.append(await stack.enter_async_context(app.running()))
            for operation in operations:
                await self.perform(operation)
            total = sum(work.steps * work.seconds for work in self.works)
            await trio.sleep(2 * total + 15)
            await self.look()
            await self.check_the_end()
        found = [violation for violation in self.violations if self.law in violation]
        assert not found, "\n".join(found)

    async def perform(self, operation: Enqueue | Resize | Wait) -> None:
        match operation:
            case Enqueue():
                node = operation.node % len(self.queues)
                first = len(self.works)
                self.works += operation.jobs
                calls = [
                    call(
                        self.handlers[node],
                        first + number,
                        max_attempts=work.max_attempts,
                        priority=work.priority,
                        worker=work.worker,
                    )
                    for number, work in enumerate(operation.jobs)
                ]
                await self.queues[node].enqueue_many(calls)
            case Resize():
                node = operation.node % len(self.queues)
                # It holds from the very step in which it is said; nothing is entered in between.
                await self.queues[node].set_concurrency(operation.concurrency)
                self.sizes[node] = operation.concurrency
                self.expect(
                    self.queues[node].concurrency == operation.concurrency, "it can be read back"
                )
            case Wait():
                await trio.sleep(operation.seconds)
                await self.look()

    async def look(self) -> None:
        """When nothing moves."""
        await wait_all_tasks_blocked()
        processing = JobFilter(states=[JobState.PROCESSING])
        held = [
            job
            for job in (await self.queues[0].find(processing, limit=1000)).items
            if not job.worker
        ]
        rooms = [max(pair) for pair in zip(self.running, self.sizes, strict=True)]
        if self.prefetch is not None:
            most = sum(rooms) + self.prefetch * len(rooms)
            self.expect(len(held) <= most, "no more is held", len(held), most)
        if len(self.queues) == 1:  # several do not hear of each other without time passing
            busy = {work.worker for work in self.at_work} - {None}
            waiting = [
                key
                for key, work in enumerate(self.works)
                if key not in self.entered and work.worker not in busy
            ]
            is_full = self.running[0] >= self.sizes[0]
            self.expect(not waiting or is_full, "as many run as may", waiting, self.sizes)

    async def check_the_end(self) -> None:
        self.expect(
            sorted(self.entered) == list(range(len(self.works))), "every job is run", self.entered
        )
        self.expect(self.ended == len(self.works), "what runs runs on", self.ended)
        jobs = (await self.queues[0].find(limit=1000)).items
        self.expect({job.state for job in jobs} <= {JobState.COMPLETED}, "every job is run", jobs)
        self.expect({job.attempt for job in jobs} <= {1}, "given back with its attempt", jobs)


def play(
    make_storage: Callable[[], Storage],
    operations: Sequence[Any],
    sizes: Sequence[int],
    prefetch: int | None,
    law: str = "",
) -> None:
    """Raises an ``AssertionError`` if the laws are broken; with ``law``, if this one is."""
    plant = Plant(make_storage(), sizes, prefetch, law)
    trio.run(plant.run, operations, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")
storages = pytest.mark.parametrize(
    "make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"]
)

numbers = st.sampled_from([1, 1, 2, 3, 5])
works = st.builds(
    Work,
    steps=st.sampled_from([0, 1, 1, 2]),
    seconds=st.sampled_from([0.0, 1.0, 3.0]),
    max_attempts=st.sampled_from([1, 2]),
    priority=st.sampled_from([0, 0, 1]),
    worker=st.sampled_from([None, None, None, "smtp"]),
)
enqueues = st.builds(Enqueue, st.lists(works, min_size=1, max_size=8).map(tuple), st.integers(0, 1))
resizes = st.builds(Resize, numbers, st.integers(0, 1))
waits = st.builds(Wait, st.sampled_from([0.0, 1.0, 2.5]))
sudden = st.tuples(enqueues, resizes, waits)
"""The number changes before what was just enqueued has begun."""
operations = st.lists(
    st.tuples(enqueues) | st.tuples(resizes) | st.tuples(waits) | sudden, min_size=1, max_size=8
).map(lambda groups: [operation for group in groups for operation in group])
teams = {
    "sizes": st.lists(numbers, min_size=1, max_size=2),
    "prefetch": st.sampled_from([0, 0, 3, None]),
}


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(operations=operations, team=st.fixed_dictionaries(teams))
def test_no_more_run_than_may_and_nothing_is_lost(
    make_storage: Callable[[], Storage], operations: list[Any], team: dict[str, Any]
) -> None:
    play(make_storage, operations, **team)


# --- planted faults ---------------------------------------------------------------------------------


honest_resize = Roster.resize
honest_insert = MemoryStorage._insert


def keeps_everybody(_roster: Roster, _slot: Slot) -> bool:
    return True


def names_who_leaves(roster: Roster, slot: Slot) -> bool:
    """Instead of whoever is free first."""
    if roster.slots.index(slot) < roster.concurrency:
        return True
    roster.slots.remove(slot)
    return False


def hires_nobody(roster: Roster, concurrency: int) -> None:
    roster.concurrency = concurrency
    if concurrency < len(roster.slots):
        honest_resize(roster, concurrency)


def throws_out(roster: Roster, concurrency: int) -> None:
    surplus = roster.slots[concurrency:]
    honest_resize(roster, concurrency)
    for slot in surplus:
        slot.scope.cancel()


def stores_the_last_first(storage: MemoryStorage, insert: Insert) -> Any:
    return honest_insert(storage, Insert(insert.requests[::-1], insert.states[::-1]))


def forgets_the_worker(storage: MemoryStorage, insert: Insert) -> Any:
    requests = [attrs.evolve(request, details=None) for request in insert.requests]
    return honest_insert(storage, Insert(requests, insert.states))


def forgets_the_backlog(poller: Poller) -> None:
    poller._roster.backlog.take_all()


def keeps_what_it_holds(_poller: Poller) -> None:
    """Nothing is given back."""


@pytest.mark.parametrize(
    ("kind", "method", "fault", "law"),
    [
        (Roster, "keeps", keeps_everybody, "never more than may"),
        (Roster, "keeps", names_who_leaves, "never more than may"),
        (Roster, "resize", hires_nobody, "as many run as may"),
        (Roster, "resize", throws_out, "every job is run"),
        (Poller, "shrink", forgets_the_backlog, "every job is run"),
        (Poller, "shrink", keeps_what_it_holds, "no more is held"),
        (MemoryStorage, "_insert", stores_the_last_first, "keeps the order"),
        (MemoryStorage, "_insert", forgets_the_worker, "one job at a time"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_laws_catch(
    kind: type, method: str, fault: Callable[..., Any], law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, method, fault)

    @seed(2)
    @settings(LOOKING, max_examples=5000)
    @given(operations=operations, team=st.fixed_dictionaries(teams))
    def machine(operations: list[Any], team: dict[str, Any]) -> None:
        play(MemoryStorage, operations, **team, law=law)

    check_is_broken(law, machine)

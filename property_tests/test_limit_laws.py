"""Lanes through real apps in virtual time, whose nodes crash: the laws, and that they can fail.

- Whenever a handler is entered, fewer than the limit of its job run in its lane.
- Where there is room for one, jobs stored together are entered in order, whoever runs them.
- No job fails for having been lost but one that was entered in its last attempt.
- All is done in the end.

Handlers themselves note when they begin and end; those of a node that crashed have ended with it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.node import Mortal
from trio_gusto import Gusto, JobFilter, JobQueue, MemoryStorage, Options, call, fixed
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.line import Line
from trio_gusto.actors.roster import Roster
from trio_gusto.model.lanes import Lanes, Occupancy
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import VirtualClock


@attrs.frozen
class Work:
    """A job to enqueue, and whether its first attempt fails."""

    worker: str | None = None
    key: str | None = None
    limit: int = 1
    seconds: float = 0.0
    fails: bool = False
    attempts: int = 9

    @property
    def lane(self) -> tuple[str | None, str | None] | None:
        lane = self.worker, self.key
        return None if lane == (None, None) else lane

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"max_attempts": self.attempts, "worker": self.worker}
        if self.key is not None:
            options |= {"concurrency_key": self.key, "concurrency_limit": self.limit}
        return options


@attrs.frozen
class Enqueue:
    """Jobs, all at once, through one of the nodes."""

    jobs: tuple[Work, ...]
    node: int


@attrs.frozen
class Crash:
    """A node is gone, and another one comes."""

    node: int


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: float


@attrs.define(eq=False)
class Entry:
    """A handler was entered."""

    key: int
    work: Work
    node: Node
    at: float = attrs.field(factory=trio.current_time)
    runs: bool = True


class Node:
    """An app on the common storage, until it crashes."""

    def __init__(self, company: Company) -> None:
        self.mortal = Mortal(company.storage)
        self.app = Gusto(self.mortal, clock=company.clock, options=company.options)
        self.play = self.app.job(name="play", retry=fixed(1))(partial(company.play, self))
        self.scope = trio.CancelScope()
        self.queue: JobQueue

    async def host(self, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            async with self.app.running() as self.queue:
                task_status.started()
                await trio.sleep_forever()


class Company:
    """Nodes on one storage, what is asked of them, and what their handlers do."""

    def __init__(
        self, storage: Storage, nodes: int, concurrency: int, prefetch: int | None
    ) -> None:
        self.storage = storage
        self.clock = VirtualClock()
        self.options = Options(concurrency=concurrency, prefetch=prefetch, lease=10, retention=None)
        self.count = nodes
        self.nodes: list[Node] = []
        self.works: list[Work] = []
        self.groups: list[range] = []
        self.entries: list[Entry] = []
        self.violations: list[str] = []
        self.is_disturbed = False

    def expect(self, holds: bool, law: str, *what: object) -> None:
        if not holds:
            self.violations.append(f"{law}: {', '.join(map(str, what))}")

    async def play(self, node: Node, key: int) -> None:
        work = self.works[key]
        if node.mortal.dead:
            return  # it is a ghost, which nobody sees
        # Whoever comes behind it in its lane may have been leased at the same instant elsewhere, and be quicker to
        # begin: he may run beside it, as his own limit says.
        beside = [
            one
            for one in self.entries
            if one.runs
            and one.work.lane == work.lane
            and (one.at < trio.current_time() or one.key < key)
        ]
        if work.lane is not None:
            self.expect(len(beside) < work.limit, "no more than the limit run at once", key, beside)
        is_first = key not in [other.key for other in self.entries]
        entry = Entry(key, work, node)
        self.entries.append(entry)
        try:
            await trio.sleep(work.seconds)
            if work.fails and is_first:
                raise ValueError
        finally:
            entry.runs = False

    async def run(self, operations: Sequence[Any]) -> None:
        async with trio.open_nursery() as self.nursery:
            for _ in range(self.count):
                await self.start()
            for operation in operations:
                await self.perform(operation)
            await trio.sleep(3 * sum(work.seconds for work in self.works) + 100)
            for node in self.nodes:
                await node.queue.work_until_idle()
            await self.check_ends(self.nodes[0].queue)
            self.nursery.cancel_scope.cancel()
        self.check_order()
        assert not self.violations, "\n".join(self.violations)

    async def start(self) -> None:
        node = Node(self)
        self.nodes.append(node)
        await self.nursery.start(node.host)

    async def perform(self, operation: Enqueue | Crash | Wait) -> None:
        match operation:
            case Enqueue():
                first = len(self.works)
                self.works += operation.jobs
                self.groups.append(range(first, len(self.works)))
                node = self.nodes[operation.node % len(self.nodes)]
                calls = [
                    call(node.play, key, **self.works[key].options()) for key in self.groups[-1]
                ]
                await node.queue.enqueue_many(calls)
                self.is_disturbed |= any(work.fails for work in operation.jobs)
            case Crash():
                await wait_all_tasks_blocked()  # who was given a job has entered its handler
                node = self.nodes.pop(operation.node % len(self.nodes))
                node.mortal.dead = self.is_disturbed = True
                for entry in self.entries:
                    entry.runs = entry.runs and entry.node is not node
                for name in node.mortal.names:
                    await self.storage.detach(name)
                node.scope.cancel()
                await self.start()
            case Wait():
                await trio.sleep(operation.seconds)

    async def check_ends(self, queue: JobQueue) -> None:
        jobs = (await queue.find(JobFilter(), limit=1000)).items
        for job in jobs:
            key = job.args[0]
            assert isinstance(key, int)
            entered = len([entry for entry in self.entries if entry.key == key])
            lost = job.state == "failed" and self.works[key].attempts == 1
            self.expect(job.state == "completed" or lost, "all is done in the end", key, job.state)
            self.expect(not lost or entered > 0, "none is lost that was not entered", key)

    def check_order(self) -> None:
        if self.is_disturbed:
            return  # then some have had to wait for other reasons
        for group in self.groups:
            begun: dict[object, list[int]] = {}
            for entry in self.entries:
                if entry.key in group and entry.work.lane is not None:
                    begun.setdefault(entry.work.lane, []).append(entry.key)
            for lane, keys in begun.items():
                if all(self.works[key].limit == 1 for key in keys):
                    self.expect(keys == sorted(keys), "a lane of one keeps the order", lane, keys)


def play(make_storage: Callable[[], Storage], operations: Sequence[Any], **team: Any) -> None:
    company = Company(make_storage(), **team)
    trio.run(company.run, operations, clock=MockClock(autojump_threshold=0))


seconds = st.sampled_from([0.0, 0.0, 0.5, 3.0])
attempts = st.sampled_from([1, 9, 9])
works = st.one_of(
    st.builds(Work, worker=st.just("a"), seconds=seconds, attempts=attempts),
    st.builds(Work, key=st.just("a"), seconds=seconds, attempts=attempts),
    st.builds(
        Work,
        key=st.just("b"),
        limit=st.sampled_from([1, 2, 2, 3]),
        seconds=seconds,
        attempts=attempts,
    ),
    st.builds(Work, worker=st.just("a"), seconds=seconds, fails=st.booleans()),
    st.builds(Work, seconds=seconds),
)
enqueues = st.builds(Enqueue, st.lists(works, min_size=1, max_size=9).map(tuple), st.integers(0, 2))
waits = st.builds(Wait, st.sampled_from([0.0, 0.2, 1.0, 4.0]))
crashes = st.builds(Crash, st.integers(0, 2))
plays = st.lists(enqueues | enqueues | waits | crashes, min_size=1, max_size=8)
teams = st.fixed_dictionaries(
    {
        "nodes": st.integers(1, 3),
        "concurrency": st.integers(1, 3),
        "prefetch": st.sampled_from([0, 4, 4]),
    }
)

in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(operations=plays, team=teams)
def test_lanes_hold_whatever_becomes_of_nodes(
    make_storage: Callable[[], Storage], operations: list[Any], team: dict[str, Any]
) -> None:
    play(make_storage, operations, **team)


# --- planted faults ---------------------------------------------------------------------------------


def _everybody(_self: Roster, leases: Sequence[Lease]) -> None:
    """Nobody has to wait for others of his lane."""


def _the_last_first(line: Line, lease: Lease) -> Lease | None:
    line.waiting.reverse()
    return _LEAVE(line, lease)


def _carelessly(self: Occupancy, room: int, depth: int, *, spends_last: bool = False) -> int:
    del spends_last
    return _ROOM_FOR(self, room, depth)


def _by_the_widest(self: Lanes, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
    return _ADMIT(self, lane, max(room, 2), count, spends_last=spends_last)


def _of_nobody(self: Index, node: str, depth: int) -> Lanes | None:
    for lane in tuple(self.lanes._lines):
        self.lanes._unpark(lane)
    return None if _LEASED(self, node, depth) is None else Lanes(lambda _lane: None, depth)


_LEAVE, _ROOM_FOR, _ADMIT = Line.leave, Occupancy.room_for, Lanes.admit
_LEASED = Index.leased_lanes

FAULTS: dict[str, tuple[type, str, Callable[..., Any], str]] = {
    "jobs leased in a row run at once": (Roster, "stand_in_lanes", _everybody, "the limit"),
    "a line is handed on from behind": (Line, "leave", _the_last_first, "keeps the order"),
    "last attempts are leased ahead": (Occupancy, "room_for", _carelessly, "none is lost"),
    "a limit of one is forgotten": (Lanes, "admit", _by_the_widest, "the limit"),
    "leases are forgotten": (Index, "leased_lanes", _of_nobody, "the limit"),
}


@contextmanager
def planted(fault: str) -> Generator[None]:
    where, name, what, _ = FAULTS[fault]
    with patch.object(where, name, what):
        yield


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_laws_catch(fault: str) -> None:
    law = FAULTS[fault][3]

    @settings(LOOKING, max_examples=5000)
    @given(operations=plays, team=teams)
    def machine(operations: list[Any], team: dict[str, Any]) -> None:
        play(MemoryStorage, operations, **team)

    with planted(fault):
        check_is_broken(law, machine)

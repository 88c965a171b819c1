"""One node of the world: a real app, handlers that play a script, and a way to the storage that dies
with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
import trio

from trio_gusto import Fail, Gusto, JobQueue, Options, Retry, Snooze, current_job, fixed
from trio_gusto.storage.lease_messages import Renew, Renewed
from trio_gusto.storage.messages import Query, Write, WriteReply
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Fault, FaultyStorage

if TYPE_CHECKING:
    from property_tests.world import World

LEASE = 10.0
TIMEOUT = 20.0
RETRY = 5.0


@attrs.frozen
class Step:
    """What a handler does in one attempt: work for so many seconds, and then this."""

    then: Literal["ok", "raise", "fail", "retry", "snooze", "hang", "exit"]
    work: float = 0.0
    delay: float = 0.0


@attrs.frozen
class Spec:
    """A job to enqueue. ``after`` and ``life`` are seconds from now."""

    script: tuple[Step, ...] = ()
    queue: str = "a"
    priority: int = 0
    after: float | None = None
    life: float | None = None
    max_attempts: int = 2

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "queue": self.queue,
            "priority": self.priority,
            "max_attempts": self.max_attempts,
        }
        if self.after is not None:
            options["execute_after"] = self.after
        if self.life is not None:
            options["expire_on"] = (self.after or 0.0) + self.life
        return options


@attrs.define(eq=False)
class Entry:
    """One entry of a handler into its job."""

    node: Node
    number: int
    at: int
    left: bool = False
    how: str = ""
    stepped: int = 0
    """How often the wall clock had been set when it began."""


@attrs.define(eq=False)
class Promise:
    """What the world knows of a job it has enqueued, and has a right to expect."""

    key: int
    spec: Spec
    stored: bool | None = None
    """``None``: the storage failed, so it may be or not."""
    steps: deque[Step] = attrs.field(factory=deque)
    entries: list[Entry] = attrs.field(factory=list)
    called_off: bool = False


class Mortal(Storage):
    """A node's way to the storage, until it dies: from then on nothing goes through."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.take_after(storage)
        self.names: list[str] = []
        self.dead = False
        self.dies: Literal["before", "after"] | None = None
        self.died = trio.Event()

    async def attach(self, node: str) -> None:
        self.names.append(node)
        await self.storage.attach(node)

    async def detach(self, node: str) -> None:
        if not self.dead:
            await self.storage.detach(node)

    async def apply(self, writes: Sequence[Write]) -> Sequence[WriteReply | Any]:
        await self._live("before")
        replies = await self.storage.apply(writes)
        await self._live("after")
        return replies

    async def read(self, query: Query) -> Any:
        await self._live(None)
        return await self.storage.read(query)

    async def wait_changed(self, node: str) -> None:
        await self._live(None)
        await self.storage.wait_changed(node)

    def renew_blocking(self, renew: Renew) -> Renewed | None:
        return None

    async def _live(self, moment: str | None) -> None:
        if moment is not None and moment == self.dies:
            self.dead = True
            self.died.set()
        if self.dead:
            await trio.sleep_forever()


class Node:
    """One app on the common storage, from its start to its stop or crash."""

    def __init__(self, world: World, concurrency: int) -> None:
        self.world = world
        self.concurrency = concurrency
        self.faults: deque[Fault] = deque()
        self.mortal = Mortal(
            FaultyStorage(
                world.witness,
                lambda asked: (
                    self.faults.popleft() if self.faults and self.faults[0].on == asked.on else None
                ),
            )
        )
        options = Options(
            concurrency=concurrency,
            prefetch=world.prefetch,
            lease=LEASE,
            drain_timeout=4,
            poll_interval=30,
            default_timeout=TIMEOUT,
            default_retry=fixed(RETRY),
            retention=None,
        )
        self.app = Gusto(self.mortal, options=options, clock=world.clock)
        self.play = self.app.job(name="play")(self._play)
        self.tick = self.app.job(name="tick")(self._tick)
        self.scope = trio.CancelScope()
        self.leave = trio.Event()
        self.ended = trio.Event()
        self.queue: JobQueue | None = None
        self.open: set[Entry] = set()

    async def host(self, task_status: trio.TaskStatus[None]) -> None:
        try:
            with self.scope:
                async with self.app.running() as self.queue:
                    task_status.started()
                    await self.leave.wait()
        finally:
            self.queue = None
            self.ended.set()

    async def crash(self, *, noticed: bool) -> None:
        """All of it is gone between two instants; what its handlers held is let go of."""
        self.mortal.dead = True
        for entry in self.open:
            entry.left, entry.how = True, "crashed"
        self.open.clear()
        if noticed:
            for name in self.mortal.names:
                await self.world.witness.detach(name)
        self.scope.cancel()

    async def _play(self, key: int) -> str:
        world = self.world
        entry = world.enter(self, key)
        promise = world.promises[key]
        step = promise.steps.popleft() if promise.steps else Step("ok")
        try:
            await trio.sleep(step.work)
            match step.then:
                case "raise":
                    raise ValueError("a bad value")
                case "fail":
                    raise Fail("of no use")
                case "retry":
                    raise Retry(after=step.delay)
                case "snooze":
                    raise Snooze(for_=step.delay)
                case "exit":
                    raise SystemExit("a handler may raise anything")
                case "hang":
                    await trio.sleep_forever()
                case "ok":
                    entry.how = "ok"
            return "played"
        except BaseException as error:
            entry.how = entry.how or type(error).__name__
            raise
        finally:
            entry.left = True
            self.open.discard(entry)

    async def _tick(self, work: float) -> None:
        """What schedules call."""
        entry = Entry(self, current_job().attempt, self.world.clock.instant())
        self.open.add(entry)
        try:
            await trio.sleep(work)
        finally:
            self.open.discard(entry)

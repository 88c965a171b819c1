"""Executors whose neighbours take notes."""

from __future__ import annotations

import contextvars
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto import (
    AttemptOutcome,
    Fact,
    Gusto,
    JobState,
    MemoryStorage,
    Options,
)
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.executor import Executors
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.parents import Parents
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.reports import Reports
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.settler import Settler
from trio_gusto.actors.workplace import Workplace
from trio_gusto.model.errors import UnknownHandler
from trio_gusto.model.ids import uuid7
from trio_gusto.model.instants import to_instant
from trio_gusto.model.job import ClaimedJob, JobRequest
from trio_gusto.model.outcomes import Outcome
from trio_gusto.model.states import Completed, Ready, State
from trio_gusto.testing import VirtualClock
from trio_gusto.testing.clock import START

NOW = to_instant(START)
PARENT = uuid7(9_000_000, 9)
CHILD = (JobRequest(uuid7(8_000_000, 8), "child", "[]", 0, 1), Ready(0))


class Pool:
    """Executors with a settler, an observer, a gate and parents that only take notes."""

    def __init__(
        self, *, is_gated: bool = False, is_observed: bool = False, concurrency: int = 1
    ) -> None:
        self.clock = VirtualClock()
        self.clock.instant()
        self.app = Gusto(clock=self.clock)
        self.roster = Roster(concurrency)
        self.calls: list[tuple[object, ...]] = []
        """All that was told to neighbours, in order."""
        self.told = trio.Event()
        """Set as the settler is told of an outcome."""
        self.facts: list[Fact] = []
        self.probe = Probe(
            gate=self if is_gated else None,  # type: ignore[arg-type]  # the part that they know
            observer=self if is_observed else None,  # type: ignore[arg-type]
        )
        self.hold: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
        """What the start of a job waits for at the gate, and while its parents are read."""
        self.span: str | None = "the span"
        """What the observer answers as a job begins."""
        self.becomes: State = Completed(0, 0, 0, "node")

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        self.reports = Reports(StorageDesk(MemoryStorage()), self.clock, Options())
        self.workplace: Workplace = self.app._workplace()
        self.workplace.call_back = self.call_back
        executors = Executors(
            self.workplace,
            self.roster,
            cast("Settler", self),
            self.probe,
            self.clock,
            cast("Parents", self),
            self.reports,
        )
        await executors.run(task_status)

    def claim(self, number: int, name: str = "work", **options: Any) -> Lease:
        one = lease(number)
        request = one.claimed.request
        request.name = name
        for option, value in options.items():
            setattr(request, option, value)
        self.roster.leases[request.id] = one
        return one

    # As a settler:

    def succeed(self, lease: Lease, outcome: Outcome, started_at: int, now: int) -> None:
        self.calls.append(("succeed", lease, outcome, started_at - NOW, now - NOW))

    def settle(self, lease: Lease, outcome: Outcome, **rest: Any) -> State:
        now = rest.pop("now") - NOW
        rest = {name: value for name, value in rest.items() if value is not None}
        self.calls.append(("settle", lease, outcome, now, rest))
        self.told.set()
        if lease.recorded is not None:
            lease.state = self.becomes.word
            lease.recorded.set()
        return self.becomes

    def give_back(self, lease: Lease) -> None:
        self.calls.append(("give back", lease))

    # As a gate:

    async def pass_through(self, point: str, record: object) -> None:
        self.calls.append((point, record))
        if point == "job_started":
            await self.hold()

    # As an observer:

    def job_started(
        self, context: contextvars.Context, claimed: ClaimedJob, job_type: str, method: str
    ) -> object:
        assert isinstance(context, contextvars.Context)
        self.calls.append(("span", claimed, job_type.rpartition(".")[2], method))
        return self.span

    def job_ended(
        self, span: object, outcome: AttemptOutcome, state: JobState, error: object
    ) -> None:
        self.calls.append(("ended", span, outcome, state, error))

    # As those who know of parents and callbacks:

    async def of(self, request: JobRequest) -> tuple[object, ...]:
        self.calls.append(("parents", request))
        await self.hold()
        return ("a parent",)

    def call_back(self, claimed: ClaimedJob, result: str | None) -> Any:
        if result == "3":
            raise UnknownHandler("tell", ())
        self.calls.append(("call back", claimed, result))
        return CHILD


@asynccontextmanager
async def at_work(pool: Pool, *leases: Lease) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        await wait_all_tasks_blocked()
        pool.roster.backlog.put([*leases])
        yield
        nursery.cancel_scope.cancel()

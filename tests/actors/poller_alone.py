"""A poller alone, and who is around it in its place."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.doubles import NOW, SECOND, Neighbours, ScriptedDesk, StillClock
from tests.actors.test_roster import lease
from trio_gusto import Options
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.poller import Poller
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.model.facts import Fact
from trio_gusto.model.job import ClaimedJob
from trio_gusto.model.pauses import StoredPause
from trio_gusto.storage.messages import ClaimReply

LONG = 1000.0
NONE = ClaimReply([], more=False, next_due=None)


class Counter(Neighbours):
    """Where claims are handed in and given back, in the order in which that happens."""

    def __init__(self, probe: Probe | None = None, **options: Any) -> None:
        super().__init__()
        usual: dict[str, Any] = {"prefetch": 4, "concurrency": 1, "lease": 60}
        self.options = Options(**{**usual, **options})
        self.probe = Probe() if probe is None else probe
        self.facts: list[Fact] = []
        self.roster = Roster(self.options.concurrency)
        self.clock = StillClock()
        self.clock.longest_sleep = LONG
        self.clock.monotonic = trio.current_time  # type: ignore[method-assign]
        self.clock.nanoseconds = lambda: (NOW + now()) * 1000  # type: ignore[method-assign]
        desk: Any = ScriptedDesk(lambda _message: None)
        self.told: list[Any] = desk.told
        self.claims: list[Any] = []
        self.claimed_at: list[float] = []
        desk.tell_last = self._take_claim
        self.given_back: list[Lease] = []
        settler: Any = self
        self.poller = Poller(
            *("node", desk, self.roster, settler, self.probe, self.clock, self.options),
            "known".__eq__,
        )

    def _take_claim(self, letter: object) -> None:
        self.claims.append(letter)
        self.claimed_at.append(trio.current_time())

    def give_back(self, lease: Lease) -> None:
        """As the settler does."""
        self.given_back.append(lease)
        lease.over = True

    def answer(self, reply: object = NONE) -> None:
        """To the claim that is under way."""
        if not self.claims[-1].is_sealed:
            self.claims[-1].seal()
        self.claims[-1].deliver(reply)

    def bring(self, *jobs: ClaimedJob, **reply: Any) -> None:
        nothing_else: dict[str, Any] = {"more": False, "next_due": None}
        self.answer(ClaimReply(jobs, **{**nothing_else, **reply}))

    def end_all(self) -> None:
        """Every job that was claimed ends, and is recorded."""
        self.roster.backlog.take_all()
        for one in list(self.roster.leases.values()):
            self.roster.let_go(one)

    @asynccontextmanager
    async def open(self, executors: int = 0) -> AsyncGenerator[None]:
        """While it serves, and so many executors wait for their first job."""
        async with trio.open_nursery() as nursery:
            for _ in range(executors):
                nursery.start_soon(self.roster.backlog.park)
            await wait_all_tasks_blocked()
            await nursery.start(self.poller.run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


def now() -> int:
    return round(trio.current_time() * SECOND)


def job(number: int, priority: int = 0, queue: str = "mail") -> ClaimedJob:
    claimed = lease(number, priority).claimed
    claimed.request.queue = queue
    return claimed


def pause(number: int, queue: str = "mail") -> StoredPause:
    return StoredPause(queue, "", "by a test", 0, number)

"""`Exchange`: how the processes of a simulation hear of one another.

Real processes look around now and then, for changes by others and for leases that have passed. Here
nobody need look: whoever has something to hear is told, in its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, cast

import trio

from ...actors.alarm import Alarm
from ...model.ids import JobId
from ...model.instants import MICROSECONDS
from ...storage.lease_messages import Renew, Renewed
from ...storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Write,
)
from ...storage.news import News, news_of
from .seeding import Scheduler

HASTY = 0.125
"""How often a process hears of a change while whoever made it goes on. Otherwise it hears when there is
nothing else to do at that instant, of all that has changed by then."""


class Hearer(Protocol):
    """A process that can be told what others have changed."""

    def ring(self, news: News) -> None:
        """Look at all that this is about."""
        ...


class Exchange:
    """Lets every process hear what others have written, and nobody what he has written himself."""

    def __init__(
        self, scheduler: Scheduler, chance: Callable[[], float], instant: Callable[[], int]
    ) -> None:
        self.hearers: list[Hearer] = []
        self._scheduler = scheduler
        self._chance = chance
        self._instant = instant
        self._leases: dict[JobId, int] = {}
        """Until when; by the clock of whoever holds it."""
        self._first_lease = Alarm()

    def spread(self, writer: Hearer | None, news: News) -> None:
        """Somebody has changed something: ``writer``, or nobody in particular."""
        for hearer in self.hearers:
            if hearer is not writer:
                hearer.ring(news)

    async def pass_on(self) -> None:
        """Take the time, of which no clock knows, that news need from one process to another."""
        if self._chance() >= HASTY:
            await self._scheduler.until_idle(0)

    def note(self, writer: Hearer, writes: Sequence[Write], replies: Sequence[Any]) -> None:
        """A process has written something; whether it will hear the replies is another matter."""
        self._scheduler.writes += 1
        leases = self._leases
        for write, reply in zip(writes, replies, strict=True):
            match reply:
                case ClaimReply():
                    if reply.jobs and not leases:
                        self._first_lease.ring()
                    until = cast("ClaimDue", write).lease_until
                    leases.update([(job.request.id, until) for job in reply.jobs])
                case Completions():
                    for position, claimed in enumerate(cast("Complete", write).claims):
                        if position not in reply.refused:
                            leases.pop(claimed.request.id, None)
                case Committed() if isinstance(write, Commit):
                    leases.pop(write.job_id, None)
                case Renewed():
                    renew = cast("Renew", write)
                    held = {job_id for job_id, _ in renew.leases} - set(reply.lost)
                    leases.update(dict.fromkeys(held & leases.keys(), renew.lease_until))
                case _:
                    pass
        news = news_of(writes, replies)
        if news:
            self.spread(writer, news)

    async def watch_leases(self) -> None:
        """Let everybody look whenever a lease has passed that nobody has ended or renewed."""
        while True:
            if not self._leases:
                await self._first_lease.wait()
                continue
            now = self._instant()
            passed = [job for job, until in self._leases.items() if until <= now]
            if passed:
                for job in passed:
                    del self._leases[job]
                self.spread(None, News.DEADLINES)
            else:
                await trio.sleep((min(self._leases.values()) - now) / MICROSECONDS)

"""A sweeper alone, and who is around it in its place."""

from __future__ import annotations

from typing import Any

from tests.actors.doubles import (
    NOW,
    SECOND,
    Neighbours,
    ScriptedDesk,
    StillClock,
)
from trio_gusto import Options, StorageError
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.sweeper import Sweeper
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord, StoredJob
from trio_gusto.model.outcomes import AttemptOutcome, Lost, describe
from trio_gusto.model.states import Processing
from trio_gusto.storage.batch_messages import Discard, Discarded
from trio_gusto.storage.finding_messages import Find, Found, Get
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import Committed
from trio_gusto.storage.retention_messages import Prune, Pruned

LOST = Processing("ghost", NOW - 90 * SECOND, NOW - SECOND)
CREATED = NOW - 100 * SECOND
WHY = describe(Lost(1, None))
AWAITED, STAGE = JobId(b"a" * 16), JobId(b"s" * 16)
NOTHING = StrandedJobs([], [], None, foreign=False)


class Ward:
    """A sweeper that finds ``found``, and is answered ``reply`` to what it decides."""

    def __init__(
        self,
        found: StrandedJobs | StorageError,
        reply: object = None,
        *,
        probe: Probe | None = None,
        **options: Any,
    ) -> None:
        self.found, self.reply = found, Committed() if reply is None else reply
        self.whole: list[StoredJob] = []
        self.staged = 0
        self.pruned = [Pruned(0)]
        self.facts: list[Fact] = []
        self.probe = Probe() if probe is None else probe
        self.neighbours = Neighbours()
        self.clock = StillClock()
        self.roster = Roster(1)
        self.desk = ScriptedDesk(self._answer)
        around: Any = self.neighbours
        desk: Any = self.desk
        self.sweeper = Sweeper(
            *("here", desk, self.roster, around, around),
            *(self.probe, self.clock, Options(**options)),
        )

    def listen(self) -> None:
        self.probe.subscribe(self.facts.append)

    def _answer(self, message: Any) -> Any:
        match message:
            case Stranded():
                return self.found
            case Get() | Find():
                return Found(self.whole)
            case Discard():
                gone = min(self.staged, message.limit)
                self.staged -= gone
                return Discarded(gone)
            case Prune():
                return self.pruned.pop(0) if len(self.pruned) > 1 else self.pruned[0]
            case _:
                return self.reply

    async def sweep(self) -> float:
        return await self.sweeper.sweep()


def ended(outcome: AttemptOutcome, number: int, token: int = 3) -> AttemptRecord:
    return AttemptRecord(
        number, token, "ghost", NOW - 99 * SECOND, None, NOW - 95 * SECOND, outcome
    )


def lost(number: int, token: int = 7) -> AttemptRecord:
    """The record of an attempt that the sweeper finds lost."""
    return AttemptRecord(
        number, token, "ghost", LOST.claimed_at, None, NOW, AttemptOutcome.LOST, WHY
    )

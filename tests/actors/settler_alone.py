"""A settler alone, and who is around it in its place."""

from __future__ import annotations

from typing import Any

from tests.actors.doubles import NOW, SECOND, Neighbours, ScriptedDesk, StillClock
from tests.actors.test_roster import lease
from trio_gusto.actors.lease import Lease, NewJob
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.settler import Settler
from trio_gusto.model.facts import Fact
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import AttemptRecord
from trio_gusto.model.outcomes import (
    Outcome,
    describe,
)
from trio_gusto.model.states import (
    Ready,
)
from trio_gusto.storage.messages import (
    Insert,
    Inserted,
)

STARTED = NOW - 2 * SECOND
CHILD: NewJob = (lease(8).claimed.request, Ready(NOW))
CALLBACK: NewJob = (lease(9).claimed.request, Ready(NOW))
AWAITED = JobId(b"a" * 16)
NO = ValueError("no")
PARTS = ("desk", "roster", "waiters", "probe", "clock", "reports")


class Waiters(Neighbours):
    def __init__(self) -> None:
        super().__init__()
        self.there = True

    def are_there(self) -> bool:
        return self.there


class Observer:
    """Hears that batches have ended."""

    def __init__(self) -> None:
        self.ended: list[object] = []
        self.batch_ended = self.ended.append


class Office:
    """A settler, what it hands in, and who hears of it."""

    def __init__(self, *leases: Lease, probe: Probe | None = None) -> None:
        self.roster = Roster(1)
        self.roster.leases = {one.claimed.request.id: one for one in leases}
        for one in leases:
            one.started_at = STARTED
        self.probe = Probe() if probe is None else probe
        self.facts: list[Fact] = []
        self.around = Waiters()
        self.order: list[str] = []
        self.born: list[tuple[Insert, Inserted]] = []
        desk: Any = ScriptedDesk(lambda _message: None)
        self.letters: list[Any] = desk.told
        around: Any = self.around
        self.settler = Settler(desk, self.roster, around, self.probe, StillClock(), self)  # type: ignore[arg-type]
        self.settler.on_due = self.around.on_due
        self.settler.on_awaited = self.around.on_awaited
        self.settler.on_children = lambda insert, inserted: self.born.append((insert, inserted))

    def go_before(self) -> None:
        """As `Reports` does: what was said goes before the outcome."""
        self.order.append(f"reports before letter {len(self.letters) + 1}")

    def listen(self) -> None:
        self.probe.subscribe(self.facts.append)

    def commit(self, number: int = 0) -> Any:
        return self.letters[number].seal()

    def answer(self, reply: object) -> None:
        """To the last letter, which is on its way."""
        self.letters[-1].seal()
        self.letters[-1].deliver(reply)

    @property
    def held(self) -> list[Lease]:
        return list(self.roster.leases.values())


def record(outcome: Outcome, *, now: int = NOW, started: int | None = STARTED) -> AttemptRecord:
    return AttemptRecord(1, 1, "node", 0, started, now, outcome.word, describe(outcome))

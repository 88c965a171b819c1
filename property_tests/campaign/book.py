"""`Book`: what callers asked for and were told, and what became of nodes: all that an oracle knows.

Times are seconds of true time since the beginning. Nothing here was asked of the program under test.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import attrs

from .service import Spec

LONG_AGO = 120.0
"""Seconds after which the traces of a mishap are gone."""

ALL = "all"
"""A trouble of this node is one of every node."""


@attrs.define(eq=False)
class Asked:
    """A job that somebody asked for. ``acknowledged``: when he was told that it is stored, if ever."""

    spec: Spec
    by_client: bool
    at: float
    acknowledged: float | None = None


@attrs.define(eq=False)
class Run:
    """A handler at work."""

    job: UUID
    attempt: int
    node: str
    spec: Spec
    since: float
    number: int
    """Which of all; what its handler returns."""
    stopped: bool = False
    """Whether its node has stood still meanwhile, so that it is a zombie's."""


@attrs.define(eq=False)
class Child:
    """A job that a handler asked for, which is stored with its success; ``run`` is the handler's number."""

    spec: Spec
    parent: UUID
    run: int


@attrs.define
class Claim:
    """A claim that a node told of."""

    job: UUID
    attempt: int
    node_id: str
    at: float

    @property
    def node(self) -> str:
        return node_of(self.node_id)


@attrs.define
class AskedSchedule:
    """A schedule that somebody asked for."""

    period: float | None
    """Seconds; ``None`` for a cron expression, every five minutes."""
    overlap: str
    coalesce: str
    added: float
    is_stored: bool = False
    """Whether its caller was told so."""
    ended: float | None = None
    was_paused: bool = False


@attrs.define
class ClockError:
    """How far a clock is wrong since then, in seconds, and what it gains in a second."""

    by: float
    rate: float
    since: float

    def at(self, time: float) -> float:
        """How far it is wrong at that time."""
        return self.by + self.rate * (time - self.since)


@attrs.define
class Book:
    """See the module. ``time`` gives the true time."""

    time: Callable[[], float]
    fair: bool = False
    """Whether tenants take turns."""
    asked: dict[UUID, Asked] = attrs.Factory(dict)
    children: dict[UUID, Child] = attrs.Factory(dict)
    succeeded: set[int] = attrs.Factory(set)
    """The runs of which a result was seen, in their own jobs or in callbacks."""
    runs: list[Run] = attrs.Factory(list)
    claims: dict[UUID, list[Claim]] = attrs.Factory(dict)
    began_at: dict[UUID, str] = attrs.Factory(dict)
    """The node at which a job was begun last."""
    entered: Counter[UUID] = attrs.Factory(Counter)
    returned: Counter[UUID] = attrs.Factory(Counter)
    ended: Counter[UUID] = attrs.Factory(Counter)
    called_off: set[UUID] = attrs.Factory(set)
    retried: Counter[UUID] = attrs.Factory(Counter)
    paused: dict[str, float] = attrs.Factory(dict)
    """Queues, and since when somebody has been told that nothing of them starts."""
    touched: set[str] = attrs.Factory(set)
    """Queues of which a pause was ever asked for."""
    batches: dict[UUID, set[UUID]] = attrs.Factory(dict)
    schedules: dict[str, AskedSchedule] = attrs.Factory(dict)
    clocks: dict[str, ClockError] = attrs.Factory(dict)
    clocks_were_set: bool = False
    failures: Counter[str] = attrs.Factory(Counter)
    """How often the storage has failed a node, or the client."""
    gone: set[str] = attrs.Factory(set)
    """Nodes that have crashed and were not started again."""
    still: set[str] = attrs.Factory(set)
    slow: set[str] = attrs.Factory(set)
    _shaken: dict[str, float] = attrs.Factory(dict)
    _shocks: list[float] = attrs.Factory(list)

    # --- who is well ---

    def shake(self, node: str) -> None:
        """Something has befallen a node, or all."""
        self._shaken[node] = self.time()
        self._shocks.append(self.time())

    def was_unwell(self, node: str, since: float) -> bool:
        """Whether anything has befallen a node since then, so that it may have lost a lease."""
        return (
            node in self.gone
            or node in self.still
            or bool(self.slow & {node, ALL})
            or max(self._shaken.get(node, -1), self._shaken.get(ALL, -1)) >= since
        )

    def all_well_between(self, since: float, until: float) -> bool:
        """Whether nothing has befallen anybody in that time, nor shortly before."""
        return not any(since - LONG_AGO <= shock <= until for shock in self._shocks)

    def was_unwell_since_claim(self, job: UUID, node: str) -> bool:
        """Whether that node may have lost its claim on a job meanwhile."""
        own = [claim for claim in self.claims.get(job, ()) if claim.node == node]
        return not own or self.was_unwell(node, own[-1].at)

    # --- clocks ---

    def clock_of(self, node: str) -> ClockError:
        """What is wrong with its clock now."""
        now, known = self.time(), self.clocks.get(node)
        return (
            ClockError(0.0, 0.0, now)
            if known is None
            else ClockError(known.at(now), known.rate, now)
        )

    # --- jobs ---

    def ask(self, job: UUID, spec: Spec, at: float, *, by_client: bool) -> None:
        """A job was asked for, and its caller was told that it is stored."""
        self.asked[job] = Asked(spec, by_client, at, self.time())

    def spec_of(self, job: UUID) -> Spec | None:
        """What was asked for it, if anybody knows."""
        known = self.asked.get(job) or self.children.get(job)
        return None if known is None else known.spec

    def members(self, parent: UUID) -> set[UUID]:
        """The jobs that a parent stands for: itself, or those of a batch."""
        return self.batches.get(parent, {parent})

    def is_doubtful(self, run: Run) -> bool:
        """Whether this handler may be at work under a lease that has passed: its node stood still; or
        it could not renew, and by another's clock its lease has passed before its own handler gave up.
        """
        return run.stopped or (self.clocks_were_set and self.was_unwell(run.node, run.since - 60))


def node_of(node_id: str) -> str:
    """The node of which this is a life."""
    return node_id.rpartition("-")[0]

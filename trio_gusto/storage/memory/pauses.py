"""The pauses that a `MemoryStorage` keeps, and which nodes have heard of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import attrs

from ...model.job import StoredJob
from ...model.pauses import StoredPause, unheard
from ...model.states import Processing
from ..messages import Committed
from ..pause_messages import HeardPauses, LiftPauses, Pauses, PausesFound, PutPause

_COMMITTED = Committed()


class PauseShelf:
    """Pauses by what they cover, in the order of their numbers."""

    def __init__(self) -> None:
        self._pauses: dict[tuple[str | None, str | None], StoredPause] = {}
        self._heard: dict[str, int] = {}
        self._number = 0
        self.tenants: frozenset[str] = frozenset()
        """Those that are paused in some queue, or in all."""
        self.lifted: object = None
        """Another one whenever some were lifted."""

    def __bool__(self) -> bool:
        return bool(self._pauses)

    def put(self, put: PutPause) -> Committed:
        """Keep a pause, unless there is one."""
        scope = (put.queue, put.tenant)
        if scope not in self._pauses:
            self._number += 1
            self._pauses[scope] = StoredPause(*scope, put.reason, put.since, self._number)
            self._note_tenants()
        return _COMMITTED

    def lift(self, lift: LiftPauses) -> Committed:
        """Forget a pause, or all of them."""
        self.lifted = object()
        if lift.queue is None and lift.tenant is None:
            self._pauses.clear()
        else:
            self._pauses.pop((lift.queue, lift.tenant), None)
        self._note_tenants()
        return _COMMITTED

    def hear(self, heard: HeardPauses) -> Committed:
        """A node has heard."""
        self._heard[heard.node] = max(heard.number, self._heard.get(heard.node, 0))
        return _COMMITTED

    def take_over(self, pauses: Iterable[StoredPause]) -> None:
        """Keep these pauses, which another storage keeps, and no others."""
        pauses_now = {(pause.queue, pause.tenant): pause for pause in pauses}
        if self._pauses.keys() != pauses_now.keys():
            self.lifted = object()
        self._pauses = pauses_now
        self._note_tenants()

    def _note_tenants(self) -> None:
        self.tenants = frozenset(tenant for _, tenant in self._pauses if tenant is not None)

    def cover(self, queue: str, tenant: str | None) -> bool:
        """Whether no job of this tenant in this queue is to be claimed; ``None``: of any tenant."""
        found = self._pauses  # there may be many, and this is asked of each job
        return (
            (None, tenant) in found
            or (queue, tenant) in found
            or (queue, None) in found
            or (None, None) in found
        )

    def cover_everything(self) -> bool:
        """Whether no job is to be claimed."""
        return (None, None) in self._pauses

    def closed_queues(self) -> Collection[str]:
        """Queues of which no job is to be claimed, whosever it is."""
        return [queue for queue, tenant in self._pauses if queue is not None and tenant is None]

    def kept(self) -> tuple[StoredPause, ...]:
        """All of them, by number."""
        return tuple([attrs.evolve(pause) for pause in self._pauses.values()])

    def find(self, query: Pauses, processing: Iterable[StoredJob]) -> PausesFound:
        """Answer a query."""
        running = [
            (job.state.node, job.request.queue, job.request.tenant)
            for job in processing
            if isinstance(job.state, Processing) and job.state.lease_until > query.now
        ]
        return PausesFound(self.kept(), unheard(self._pauses.values(), running, self._heard))

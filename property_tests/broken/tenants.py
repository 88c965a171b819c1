"""Storages that break one promise about tenants that take turns each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from trio_gusto import MemoryStorage
from trio_gusto.model.fairness import Turns
from trio_gusto.model.job import StoredJob
from trio_gusto.storage.memory.fairness import Scope, TurnShelf
from trio_gusto.storage.memory.index import Index
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.messages import ClaimDue, ClaimReply


class ServesWhoeverIsDueFirst(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, tenant_weights=None))


class AlwaysTakesTurns(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, tenant_weights=claim.tenant_weights or {}))


class TakesAllForAlike(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        alike: dict[str, int] | None = None if claim.tenant_weights is None else {}
        return super()._claim_due(attrs.evolve(claim, tenant_weights=alike))


class ForgetsTurns(TurnShelf):
    def remember(self, claim: ClaimDue, jobs: Sequence[StoredJob]) -> None: ...


class MixesUpQueues(TurnShelf):
    def turns(self, scope: Scope, weights: Any) -> Turns:
        return super().turns(("", scope[1]), weights)

    def remember(self, claim: ClaimDue, jobs: Sequence[StoredJob]) -> None:
        super().remember(attrs.evolve(claim, queues=None), jobs)


class LetsWhoWasAwayCatchUp(TurnShelf):
    class Credit(Turns):
        def place(self, tenant: str) -> int:
            return self._passes.get(tenant, 0)

        def ahead(self) -> dict[str, int]:
            return dict(self._passes)

    def turns(self, scope: Scope, weights: Any) -> Turns:
        turns = super().turns(scope, weights)
        return self.Credit(weights, turns.now, turns._passes.items())


class CountsWhatWasOutOfReach(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        found = super()._claimable(claim)

        class Shelf(TurnShelf):
            def remember(self, claim: ClaimDue, jobs: Sequence[StoredJob]) -> None:
                del jobs
                super().remember(claim, found)

        self._index.turns.__class__ = Shelf
        return found


class NeverBringsBack(Index):
    def bring_back(self, pauses: PauseShelf) -> None: ...


class ParksForGood(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = NeverBringsBack()


def on_shelf(shelf: type[TurnShelf]) -> type[MemoryStorage]:
    class Changed(MemoryStorage):
        def __init__(self) -> None:
            super().__init__()
            self._index.turns = shelf()

    Changed.__name__ = shelf.__name__
    return Changed


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (ServesWhoeverIsDueFirst, "tenants take turns where they are asked to"),
    (AlwaysTakesTurns, "tenants take turns where they are asked to"),
    (TakesAllForAlike, "tenants have turns by weight"),
    (on_shelf(ForgetsTurns), "turns go on with the next claim"),
    (on_shelf(LetsWhoWasAwayCatchUp), "being idle earns no turns"),
    (on_shelf(MixesUpQueues), "turns are within a priority and a queue"),
    (CountsWhatWasOutOfReach, "only what is claimed counts as a turn"),
    (ParksForGood, "paused tenants are stepped over and come back in order"),
]

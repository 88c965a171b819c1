"""Storages that break one promise about pauses each."""

from __future__ import annotations

from typing import Any

import attrs

from property_tests.planted import ClaimsWhatIsPaused
from trio_gusto.storage.lease_messages import (
    CancelRequests,
)
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.pauses import PauseShelf
from trio_gusto.storage.messages import (
    Committed,
)
from trio_gusto.storage.pause_messages import HeardPauses, LiftPauses, Pauses, PutPause


class TakesTheNewReason(PauseShelf):
    def put(self, put: PutPause) -> Committed:
        self._pauses.pop((put.queue, put.tenant), None)
        return super().put(put)


class LiftsOnlyItself(PauseShelf):
    def lift(self, lift: LiftPauses) -> Committed:
        self._pauses.pop((lift.queue, lift.tenant), None)
        return Committed()


class CountsFromOneAgain(PauseShelf):
    def lift(self, lift: LiftPauses) -> Committed:
        self._number = 0
        return super().lift(lift)


class HearsOnlyTheLast(PauseShelf):
    def hear(self, heard: HeardPauses) -> Committed:
        self._heard[heard.node] = heard.number
        return Committed()


def pausing_with(shelf: type[PauseShelf]) -> type[MemoryStorage]:
    class Pausing(MemoryStorage):
        def __init__(self) -> None:
            super().__init__()
            pauses = self._pauses = shelf()
            self._verbs = {
                **self._verbs,
                PutPause: pauses.put,
                LiftPauses: pauses.lift,
                HeardPauses: pauses.hear,
            }

    return Pausing


class NamesWhoseLeaseHasPassed(MemoryStorage):
    async def read(self, query: Any) -> Any:
        return await super().read(Pauses(0) if isinstance(query, Pauses) else query)


class HidesPauses(MemoryStorage):
    async def read(self, query: Any) -> Any:
        reply = await super().read(query)
        return attrs.evolve(reply, pauses=()) if isinstance(query, CancelRequests) else reply


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (ClaimsWhatIsPaused, "nothing that is paused is claimed"),
    (ClaimsWhatIsPaused, "paused queues take no share"),
    (pausing_with(TakesTheNewReason), "a pause stays as it was first"),
    (pausing_with(LiftsOnlyItself), "lifting is of one pause or of all"),
    (pausing_with(CountsFromOneAgain), "whoever has not heard of a pause is named"),
    (pausing_with(HearsOnlyTheLast), "whoever has not heard of a pause is named"),
    (NamesWhoseLeaseHasPassed, "whoever has not heard of a pause is named"),
    (HidesPauses, "pauses are told with what is asked of a node"),
]

"""Storages in memory that lose something when everybody has left, and the next one comes."""

from __future__ import annotations

import attrs

from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.fairness import TurnShelf
from trio_gusto.storage.memory.index import lease_of
from trio_gusto.storage.memory.rates import RateShelf
from trio_gusto.storage.memory.uniqueness import Keys


class Opened(MemoryStorage):
    """Is opened again for the first node after the last has left."""

    async def detach(self, node: str) -> None:
        await super().detach(node)
        if not self._bells:
            self.lose()

    def lose(self) -> None:
        """What is not there any more when it is opened again."""


class ForgetsWhichTokensWereUsed(Opened):
    def lose(self) -> None:
        for job in self._jobs.values():
            if job.request.id not in self._index.processing:
                job.version = 0


class ForgetsRequestsToCancel(Opened):
    def lose(self) -> None:
        for job in self._index.processing.values():
            job.state = attrs.evolve(lease_of(job), cancel_reason=None)


class ForgetsPauses(Opened):
    def lose(self) -> None:
        for queue, tenant in tuple(self._pauses._pauses):
            del self._pauses._pauses[queue, tenant]


class ForgetsWhoHasHeard(Opened):
    def lose(self) -> None:
        self._pauses._heard.clear()


class ForgetsTurnsWhenItIsClosed(Opened):
    """Nothing shows it but whose turn is next."""

    def lose(self) -> None:
        self._index.turns = TurnShelf()


class FillsBuckets(Opened):
    def lose(self) -> None:
        self._rates = RateShelf()


class ForgetsUniqueKeys(Opened):
    """Nothing shows it but that another job gets the key."""

    def lose(self) -> None:
        self._keys = Keys()


class ForgetsWhatIsStaged(Opened):
    def lose(self) -> None:
        self._staging._piles.clear()


class ForgetsWhoWaits(Opened):
    def lose(self) -> None:
        self._awaited.by.clear()


class ForgetsLogs(Opened):
    def lose(self) -> None:
        self._reports._logs.clear()


class ForgetsDossiers(Opened):
    def lose(self) -> None:
        self._reports._dossiers.clear()


class ForgetsRecordsOfAttempts(Opened):
    def lose(self) -> None:
        for job in self._jobs.values():
            job.history = job.history[-1:]


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (lost, "all that was told is there when it is opened again in a play of everything")
    for lost in (
        ForgetsWhichTokensWereUsed,
        ForgetsRequestsToCancel,
        ForgetsPauses,
        ForgetsWhoHasHeard,
        ForgetsTurnsWhenItIsClosed,
        FillsBuckets,
        ForgetsUniqueKeys,
        ForgetsWhatIsStaged,
        ForgetsWhoWaits,
        ForgetsLogs,
        ForgetsDossiers,
        ForgetsRecordsOfAttempts,
    )
]

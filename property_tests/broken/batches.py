"""Storages that break one promise about batches and what is staged for them each."""

from __future__ import annotations

import attrs

from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.states import Waiting
from trio_gusto.storage.batch_messages import (
    Discard,
    Discarded,
    InsertBatch,
    Stage,
    Staged,
)
from trio_gusto.storage.lease_messages import (
    Stranded,
    StrandedJobs,
)
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.retention_messages import Prune, Pruned


class StoresTheBatchAloneFirst(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, DuplicateJob | UnknownJob):
            self._shelf.open(write)
        return reply


class NumbersWhatItRefuses(MemoryStorage):
    refused = 0

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, Inserted):
            self._shelf.kept[write.batch.id].sequence += self.refused
        else:
            self.refused += 1
        return reply


class AppendsToAnyBatch(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        return super()._insert_batch(attrs.evolve(write, reopen=True))


class ForgetsThatBatchesAreAwaited(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        if not isinstance(reply, Committed):
            return reply
        return Committed(tuple(name for name in reply.awaited if name in self._jobs))


class KeepsEmptyBatches(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        kept = dict(self._shelf.kept)
        pruned = super()._prune(prune)
        self._shelf.kept.update(kept)
        return pruned


class ShowsWhatIsStaged(MemoryStorage):
    """It takes every slice for a batch of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        reply = self._staging.put(stage)
        if isinstance(reply, Staged):
            self._insert(stage.jobs)
        return reply


class StoresWhateverIsStaged(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        staged = write.staged if pile is None else len(pile.requests)
        return super()._insert_batch(attrs.evolve(write, staged=staged))


class StoresWhatIsStagedAgain(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        piles = dict(self._staging._piles)
        reply = super()._insert_batch(write)
        self._staging._piles = piles
        return reply


class StoresWhatIsStagedLast(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        if pile is None:
            return super()._insert_batch(write)
        waiting = [type(state) is Waiting for state in write.jobs.states].count(True)
        first = len(write.jobs.states) - waiting
        pile.requests[:0] = write.jobs.requests[:first]
        pile.states[:0] = write.jobs.states[:first]
        rest = Insert(write.jobs.requests[first:], write.jobs.states[first:])
        return super()._insert_batch(attrs.evolve(write, jobs=rest, staged=len(pile.requests)))


class LosesWhatIsStagedWhenItIsRefused(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if isinstance(reply, GustoError) and write.stage in self._staging._piles:
            self._staging.drop(write.stage)
        return reply


class DiscardsEverything(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Discard: self._discard}

    def _discard(self, discard: Discard) -> Discarded:
        return self._staging.discard(attrs.evolve(discard, limit=1_000_000))


class MixesUpBlocks(MemoryStorage):
    """It keeps what is staged under the batch, not under the stage."""

    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        return self._staging.put(attrs.evolve(stage, stage=stage.batch))

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        stage = None if write.stage is None else write.batch.id
        return super()._insert_batch(attrs.evolve(write, stage=stage))


class SweepsWhatIsThere(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return attrs.evolve(super()._stranded(query), stages=tuple(self._staging._piles))


class LetsJobsOfABatchGiveWay(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        vars(self._keys)["taken"] = lambda _insert: None
        try:
            return super()._insert_batch(write)
        except KeyError:
            return Inserted()


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (LetsJobsOfABatchGiveWay, "jobs of a batch give way to nobody"),
    (ShowsWhatIsStaged, "staged jobs are seen by nobody"),
    (StoresWhateverIsStaged, "a batch of which staged jobs are missing is refused"),
    (StoresWhatIsStagedAgain, "staged jobs are stored once"),
    (StoresWhatIsStagedLast, "staged jobs become jobs of the batch in their order"),
    (LosesWhatIsStagedWhenItIsRefused, "a refused batch leaves its staged jobs staged"),
    (DiscardsEverything, "what is discarded is gone in slices"),
    (MixesUpBlocks, "two blocks append to one batch"),
    (SweepsWhatIsThere, "what a node that is gone has staged is left behind"),
    (StoresTheBatchAloneFirst, "a batch is stored as a whole or not at all"),
    (NumbersWhatItRefuses, "a refused batch has no place among the others"),
    (AppendsToAnyBatch, "a batch is opened once and appended to while it lives"),
    (ForgetsThatBatchesAreAwaited, "a batch is awaited as all of its jobs"),
    (KeepsEmptyBatches, "jobs of an awaited batch are not pruned"),
]

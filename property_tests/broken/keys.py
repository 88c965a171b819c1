"""Storages that break one promise about unique keys each."""

from __future__ import annotations

import attrs

from property_tests import planted
from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.states import Ready
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.uniqueness import Keys
from trio_gusto.storage.messages import (
    Commit,
    Committed,
    Conflict,
    Insert,
    Inserted,
)


class IgnoresKeys(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        self._keys = Keys()
        return super()._insert(insert)


class HoldsKeysForEver(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        held = dict(self._keys._held)
        reply = super()._commit(commit)
        self._keys._held.update(held)
        return reply


class RefusesInsteadOfGivingWay(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [
            attrs.evolve(
                one, details=one.details and attrs.evolve(one.details, on_conflict="raise")
            )
            for one in insert.requests
        ]
        return super()._insert(attrs.evolve(insert, requests=requests))


class ReplacesInSilence(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        reply = super()._insert(insert)
        return attrs.evolve(reply, awaited=()) if isinstance(reply, Inserted) else reply


class LiveAgainWithoutTheKey(MemoryStorage):
    def _commit_or_refuse(self, commit: Commit) -> Committed | Conflict | GustoError:
        if isinstance(commit.state, Ready):
            self._keys._held.clear()
        return super()._commit_or_refuse(commit)


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (IgnoresKeys, "a live job holds its unique key"),
    (HoldsKeysForEver, "an ended job has given its unique key back"),
    (planted.HoldsKeysForEver, "an ended job has given its unique key back"),
    (RefusesInsteadOfGivingWay, "a new job may give way to the one that has its key"),
    (RefusesInsteadOfGivingWay, "a new job may replace one that has not begun"),
    (ReplacesInSilence, "a new job may replace one that has not begun"),
    (LiveAgainWithoutTheKey, "a job cannot be live again while another has its key"),
]

"""Storages that break one promise about lanes each."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lanes import Lanes, Occupancy
from trio_gusto.model.states import Ready
from trio_gusto.storage.batch_messages import (
    Stage,
    Staged,
)
from trio_gusto.storage.finding_messages import Find, Found
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import Index, lease_of
from trio_gusto.storage.memory.lanes import LaneShelf
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Insert,
    Inserted,
)


class Everywhere(Lanes):
    """With room for everybody."""

    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return True


class OtherIndex(Index):
    """With a fault in what it says of named workers."""

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        for lane in tuple(self.lanes._lines):
            self.lanes._unpark(lane)
        return None if super().leased_lanes(node, depth) is None else Everywhere(lambda _: None)


class NamesNobodyAtWork(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = OtherIndex()


class ForgetsLimits(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        for request in insert.requests:
            if request.details is not None:
                request.details.concurrency_limit = 1
        return super()._insert(insert)


class TakesNamesForOne(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        for request in insert.requests:
            if request.details is not None:
                request.details.worker = request.details.worker or request.details.concurrency_key
        return super()._insert(insert)


class FindsAnyConcurrencyKey(MemoryStorage):
    def _find(self, find: Find) -> Found:
        return super()._find(attrs.evolve(find, concurrency_keys=frozenset()))


class OtherLanes(Lanes):
    """With a fault in which jobs it admits."""

    def __init__(self, find: Callable[[str], Occupancy | None], depth: int) -> None:
        super().__init__(lambda lane: self.seen(find(lane)), depth)

    def seen(self, leased: Occupancy | None) -> Occupancy | None:
        return leased


class ByTheWidest(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return super().admit(lane, max(room, 3), count, spends_last=spends_last)


class Anybodys(OtherLanes):
    def seen(self, leased: Occupancy | None) -> Occupancy | None:
        return leased and attrs.evolve(leased, own=leased.singles)


class Carefree(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        return super().admit(lane, room, count, spends_last=False)


class Mixed(OtherLanes):
    def admit(self, lane: str, room: int, count: int = 1, *, spends_last: bool) -> int:
        occupancy = self._met.get(lane)
        if occupancy is not None and room > 1:
            occupancy.singles = 0
        return super().admit(lane, room, count, spends_last=spends_last)


class OtherLanesIndex(Index):
    lanes_of: type[OtherLanes]

    def leased_lanes(self, node: str, depth: int) -> Lanes | None:
        lanes = super().leased_lanes(node, depth)
        for lane in tuple(self.lanes._lines):
            self.lanes._unpark(lane)
        return lanes and self.lanes_of(lanes._find, depth)


def with_lanes(lanes: type[OtherLanes]) -> Index:
    index = OtherLanesIndex()
    index.lanes_of = lanes
    return index


class AdmitsByTheLimitOfOthers(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(ByTheWidest)


class LeasesInARowToAnybody(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Anybodys)


class LeasesLastAttemptsAhead(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Carefree)


class JoinsRows(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index = with_lanes(Mixed)


class Parking(LaneShelf):
    def lose(self, job: StoredJob, lane: str) -> None:
        """As if its lease alone could be what others wait for."""
        agenda = self._lines[lane][job.request.queue].agendas.get(-job.request.priority)
        if agenda is not None:
            agenda.lose(job)


class LetsThoseWaitWhoStoodBehind(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._index.lanes = Parking()


class IgnoresTheDepth(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, depth=claim.depth and 9))


class ForgetsPriorities(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [attrs.evolve(request, priority=0) for request in insert.requests]
        return super()._insert(attrs.evolve(insert, requests=requests))


class FreesAWorkerWithItsLease(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        for job in self._index.processing.values():
            lease = lease_of(job)
            if lease.lease_until <= claim.now:
                self._index.free(job)
        return super()._claim_due(claim)


class HidesThatJobsAreHeld(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return attrs.evolve(super()._claim_due(claim), held=False)


class SaysThatJobsAreHeld(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(claim)
        named = [job for job in self._jobs.values() if job.request.details]
        return attrs.evolve(reply, held=any(isinstance(job.state, Ready) for job in named))


class ForgetsWorkersOfStagedJobs(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._verbs = {**self._verbs, Stage: self._stage}

    def _stage(self, stage: Stage) -> Staged | GustoError:
        requests = [
            attrs.evolve(request, details=attrs.evolve(request.details, worker=None))
            if request.details is not None
            else request
            for request in stage.jobs.requests
        ]
        return self._staging.put(
            attrs.evolve(stage, jobs=attrs.evolve(stage.jobs, requests=requests))
        )


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (NamesNobodyAtWork, "a named worker has one job at a time"),
    (NamesNobodyAtWork, "several claims of a group share a named worker"),
    (FreesAWorkerWithItsLease, "a named worker is at work until its job is settled"),
    (HidesThatJobsAreHeld, "a named worker has one job at a time"),
    (SaysThatJobsAreHeld, "an expired job does not hold its named worker up"),
    (ForgetsPriorities, "jobs of a named worker come in order"),
    (NamesNobodyAtWork, "named workers are in nobodys way"),
    (ForgetsWorkersOfStagedJobs, "staged jobs keep their named worker"),
    (NamesNobodyAtWork, "a concurrency key has room for its limit"),
    (ForgetsLimits, "a concurrency key has room for its limit"),
    (ForgetsLimits, "staged jobs keep their concurrency key"),
    (AdmitsByTheLimitOfOthers, "a limit goes with each job"),
    (LetsThoseWaitWhoStoodBehind, "a job that has left its lane is in nobodys way"),
    (TakesNamesForOne, "a worker and a key of one name are apart"),
    (FindsAnyConcurrencyKey, "a worker and a key of one name are apart"),
    (LeasesInARowToAnybody, "jobs leased in a row go to one node"),
    (IgnoresTheDepth, "jobs leased in a row go to one node"),
    (LeasesLastAttemptsAhead, "a last attempt is not leased behind another"),
    (JoinsRows, "jobs with room for more do not join a row"),
]

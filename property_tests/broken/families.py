"""Storages that break one promise about jobs that belong together each: parents, batches, schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from property_tests.broken.changed import Changed
from trio_gusto.model.errors import GustoError, UnknownJob
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.states import Waiting
from trio_gusto.storage.batch_messages import Batches, InsertBatch
from trio_gusto.storage.dependency_messages import Dependents
from trio_gusto.storage.finding_messages import Find
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import lease_of
from trio_gusto.storage.messages import Commit, Committed, Conflict, Insert, Write, WriteReply
from trio_gusto.storage.report_messages import Report, Reported
from trio_gusto.storage.schedule_messages import Fire, PutSchedule

Replies = Sequence[WriteReply | GustoError]


def waits(write: Write) -> list[Waiting]:
    """The states of the waiting jobs that a message stores."""
    states = write.states if isinstance(write, Insert) else ()
    return [state for state in states if isinstance(state, Waiting)]


class RefusesParentsOfTheSameInsert(MemoryStorage):
    def perform(self, write: Any) -> Any:
        for state in waits(write):
            for parent in state.parents:
                if parent not in self._jobs and parent not in self._shelf.kept:
                    return UnknownJob(to_uuid(parent))
        return super().perform(write)


class NamesWhoeverIsAwaited(Changed):
    """Also when it runs on."""

    def replied(self, write: Any, reply: Any) -> Any:
        if isinstance(write, Commit) and isinstance(reply, Committed):
            awaited = bool(self._awaited.by.get(write.job_id))
            return attrs.evolve(reply, awaited=(write.job_id,) if awaited else ())
        return reply


class KeepsThoseThatMayBeOver(Changed):
    def is_over(self, each: Any) -> bool:
        raise NotImplementedError

    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Dependents):
            return reply
        return attrs.evolve(reply, jobs=[each for each in reply.jobs if self.is_over(each)])


class WaitsForAllParents(KeepsThoseThatMayBeOver):
    """Though one has failed already."""

    def is_over(self, each: Any) -> bool:
        return all(state.is_ended for state in each.parents)


class WaitsForNothingForEver(KeepsThoseThatMayBeOver):
    def is_over(self, each: Any) -> bool:
        return bool(each.parents)


class CountsAParentTwice(Changed):
    """That it was named twice."""

    def found(self, query: Any, reply: Any) -> Any:
        for each in reply.jobs if isinstance(query, Dependents) else ():
            named = each.job.state.parents
            twice = len(named) // len(set(named)) if named else 1
            each.parents = {state: count * twice for state, count in each.parents.items()}
        return reply


class FindsOnlyWhoStillWaits(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        if not isinstance(query, Find) or query.parent is None:
            return reply
        jobs = [job for job in reply.jobs if isinstance(job.state, Waiting)]
        return attrs.evolve(reply, jobs=jobs)


class LooksForWaitsBeforeTheGroup(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies = await super().apply(writes)
        if not any(map(waits, writes)):
            return replies
        return [Committed() if isinstance(reply, Committed) else reply for reply in replies]


class LosesTagsOfBatches(Changed):
    def told(self, write: Any) -> Any:
        if not isinstance(write, InsertBatch):
            return write
        return attrs.evolve(write, batch=attrs.evolve(write.batch, tags=()))


class CountsOnlyWhatLives(Changed):
    def found(self, query: Any, reply: Any) -> Any:
        for batch in reply.batches if isinstance(query, Batches) else ():
            batch.counts = {
                state: count for state, count in batch.counts.items() if not state.is_ended
            }
        return reply


class FindsBatchesOfAnyTenant(Changed):
    def asked(self, query: Any) -> Any:
        return attrs.evolve(query, tenant=None) if isinstance(query, Batches) else query


class ChangesSchedules(Changed):
    def changed(self, request: Any) -> Any:
        raise NotImplementedError

    def told(self, write: Any) -> Any:
        if not isinstance(write, PutSchedule) or write.schedule is None:
            return write
        request = self.changed(write.schedule.request)
        schedule = attrs.evolve(write.schedule, request=request)
        return attrs.evolve(write, name=request.name, schedule=schedule)


class LosesTheGraceOfSchedules(ChangesSchedules):
    def changed(self, request: Any) -> Any:
        return attrs.evolve(request, misfire_grace_time=None)


class TrimsNamesOfSchedules(ChangesSchedules):
    def changed(self, request: Any) -> Any:
        return attrs.evolve(request, name=request.name.strip())


class RemovesTheJobsWithTheirSchedule(Changed):
    def replied(self, write: Any, reply: Any) -> Any:
        removes = isinstance(write, PutSchedule) and write.schedule is None
        if removes and isinstance(reply, Committed):
            for job in tuple(self._jobs.values()):
                details = job.request.details
                if details is not None and details.schedule_name == write.name:
                    del self._jobs[job.request.id]
        return reply


class FiresNotBesideRefusals(MemoryStorage):
    async def apply(self, writes: Sequence[Write]) -> Replies:
        replies: list[WriteReply | GustoError] = []
        for write in writes:
            beside = isinstance(write, Fire) and bool(replies)
            is_harmed = beside and isinstance(replies[-1], GustoError)
            replies.append(Conflict() if is_harmed else self.perform(write))
        return replies


class RefusesAFiringOfNothing(MemoryStorage):
    def perform(self, write: Any) -> Any:
        if isinstance(write, Fire) and not write.requests:
            return Conflict()
        return super().perform(write)


class FiresAHundred(Changed):
    def told(self, write: Any) -> Any:
        if not isinstance(write, Fire):
            return write
        return attrs.evolve(write, requests=write.requests[:100], states=write.states[:100])


class HearsNobodyWhoIsToStop(MemoryStorage):
    """A job whose cancellation was asked for has nothing more to say."""

    def perform(self, write: Any) -> Any:
        if not isinstance(write, Report):
            return super().perform(write)
        running = self._index.processing
        stopping = {
            job_id for job_id, job in running.items() if lease_of(job).cancel_reason is not None
        }
        heard = [saying for saying in write.sayings if saying.job_id not in stopping]
        reply: Any = super().perform(attrs.evolve(write, sayings=heard))
        return Reported([*reply.refused, *stopping])


class RaisesVersionsForNothing(Changed):
    """At a report that says nothing."""

    def told(self, write: Any) -> Any:
        if isinstance(write, Report) and not write.sayings:
            for job in self._index.processing.values():
                job.version += 1
        return write


PROMISES: list[tuple[type[MemoryStorage], str]] = [
    (RefusesParentsOfTheSameInsert, "jobs stored together may wait for those before them"),
    (NamesWhoeverIsAwaited, "a job that runs on is not named"),
    (WaitsForAllParents, "success may be given up when one parent ends otherwise"),
    (WaitsForNothingForEver, "an empty batch keeps nobody waiting"),
    (CountsAParentTwice, "a job that waits for one twice waits once"),
    (FindsOnlyWhoStillWaits, "continuations are found by parent also after their release"),
    (LooksForWaitsBeforeTheGroup, "a wait is over by what the same group did"),
    (LosesTagsOfBatches, "a batch is kept with its jobs"),
    (CountsOnlyWhatLives, "jobs of a batch are counted whatever becomes of them"),
    (FindsBatchesOfAnyTenant, "batches are found by tenant and in pages"),
    (LosesTheGraceOfSchedules, "a schedule is kept as it was put"),
    (TrimsNamesOfSchedules, "odd names of schedules survive"),
    (RemovesTheJobsWithTheirSchedule, "a removed schedule is gone and its jobs stay"),
    (FiresNotBesideRefusals, "a firing is not harmed by its neighbours"),
    (RefusesAFiringOfNothing, "a firing may make no job"),
    (FiresAHundred, "many jobs go in one firing"),
    (HearsNobodyWhoIsToStop, "a job whose cancellation was asked for may still report"),
    (RaisesVersionsForNothing, "a report of nothing changes nothing"),
]

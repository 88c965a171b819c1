"""A batch is stored whole, counted rightly and waited for as one, whoever dies; and the laws can fail."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.batch_lives import Operation, batch_deaths, plans, play
from property_tests.dying import Death
from property_tests.planted import TakesFailuresForSuccesses
from trio_gusto import MemoryStorage
from trio_gusto.model.errors import GustoError
from trio_gusto.model.states import Cancelled, Condition, JobState, Processing, Waiting
from trio_gusto.storage.batch_messages import BatchesFound, InsertBatch
from trio_gusto.storage.dependency_messages import DependentJobs
from trio_gusto.storage.lease_messages import RequestCancel
from trio_gusto.storage.messages import Commit, Committed, Conflict, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("make", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(plan=plans, dying=batch_deaths)
def test_whoever_dies_a_batch_is_one(
    make: Callable[[], Storage], plan: list[Operation], dying: list[Death]
) -> None:
    play(make, plan, dying)


# --- planted faults -------------------------------------------------------------------------------


class StoresHalfOfABatch(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        members = [
            request
            for request in write.jobs.requests
            if request.details is not None and request.details.batch == write.batch.id
        ]
        kept = [
            (request, state)
            for request, state in zip(write.jobs.requests, write.jobs.states, strict=True)
            if request not in members[2:]
        ]
        half = Insert([one for one, _ in kept], [state for _, state in kept])
        return super()._insert_batch(attrs.evolve(write, jobs=half))


class LetsTheFirstJobSpeakForAll(MemoryStorage):
    """A batch counts as finished with the first of its jobs."""

    async def read(self, query: Any) -> Any:
        for batch in self._shelf.kept.values():
            batch.live = sum(
                not job.state.word.is_ended for job in list(batch.members.values())[:1]
            )
        found = await super().read(query)
        if isinstance(found, DependentJobs):
            for each in found.jobs:
                ended = {word: count for word, count in each.parents.items() if word.is_ended}
                each.parents = ended
        return found


class TakesMoreAtAnyTime(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        return super()._insert_batch(attrs.evolve(write, reopen=True))


class RunsWhatFollowsAgain(MemoryStorage):
    """A batch that is opened again is waited for again by those who have run."""

    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        if write.reopen:
            for job in self._jobs.values():
                details = job.request.details
                is_after = details is not None and write.batch.id in details.parents
                if is_after and job.state.word.is_ended:
                    self._index.leave(job)
                    job.state = Waiting((write.batch.id,), Condition.FINISH)
                    self._index.enter(job)
                    self._awaited.enter(job)
        return reply


class ForgetsWhoWaitsForBatches(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        reply = super()._insert_batch(write)
        self._awaited.by.clear()
        return reply


class DoesNotCancel(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        runs = isinstance(self._jobs[commit.job_id].state, Processing | Waiting)
        if isinstance(commit.state, Cancelled) and not runs:
            return Committed()
        return super()._commit(commit)


class DoesNotAskForCancellation(MemoryStorage):
    def _request_cancel(self, request: RequestCancel) -> Committed | Conflict:
        reply = super()._request_cancel(request)
        job = self._jobs[request.job_id]
        if isinstance(job.state, Processing):
            job.state = attrs.evolve(job.state, cancel_reason=None)
        return reply


class Miscounts(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, BatchesFound):
            for batch in found.batches:
                batch.counts = {JobState.COMPLETED: sum(batch.counts.values())}
        return found


FAULTS = (
    StoresHalfOfABatch,
    LetsTheFirstJobSpeakForAll,
    TakesFailuresForSuccesses,
    TakesMoreAtAnyTime,
    RunsWhatFollowsAgain,
    ForgetsWhoWaitsForBatches,
    DoesNotCancel,
    DoesNotAskForCancellation,
    Miscounts,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_laws_of_batches_catch(fault: type[MemoryStorage]) -> None:
    @settings(LOOKING, max_examples=5000)
    @given(plan=plans, dying=batch_deaths)
    def law(plan: list[Operation], dying: list[Death]) -> None:
        play(fault, plan, dying)

    check_is_broken("", law)

"""The whole scheduler under everything that may happen to it; and the laws can fail.

Real apps run in virtual time (`world`), on operations that Hypothesis draws (`happenings`), beside a
witness that knows the laws (`witness`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.happenings import calm, jumpy, lone, timed, wild
from property_tests.planted import (
    AcceptsStaleLeases,
    ForgetsRecords,
    ForgetsTheEndedInItsCounts,
    HidesLostLeases,
    KeepsNextInstantsToItself,
    TakesFailuresForSuccesses,
)
from property_tests.world import World
from trio_gusto import MemoryStorage
from trio_gusto.model.errors import DuplicateJob, GustoError, UnknownJob
from trio_gusto.model.job import StoredJob
from trio_gusto.model.states import Cancelled, Processing
from trio_gusto.storage.batch_messages import InsertBatch
from trio_gusto.storage.dependency_messages import DependentJobs
from trio_gusto.storage.lease_messages import Stranded, StrandedJobs
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Insert,
    Inserted,
)
from trio_gusto.storage.schedule_messages import Fire
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage


def play(
    make_storage: Callable[[], Storage], operations: Sequence[Any], prefetch: int | None
) -> None:
    world = World(make_storage(), prefetch=prefetch)
    trio.run(world.run, operations, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")
storages = pytest.mark.parametrize(
    "make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"]
)
prefetches = st.sampled_from([0, 3, None])


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@storages
@given(operations=calm, prefetch=prefetches)
def test_in_calm_times_nothing_is_late_lost_or_twice(
    make_storage: Callable[[], Storage], operations: list[Any], prefetch: int | None
) -> None:
    play(make_storage, operations, prefetch)


@pytest.mark.timeout(3600)
@storages
@given(operations=wild, prefetch=prefetches)
def test_whatever_happens_the_laws_hold_and_every_job_ends(
    make_storage: Callable[[], Storage], operations: list[Any], prefetch: int | None
) -> None:
    play(make_storage, operations, prefetch)


# --- planted faults: one for each family of laws --------------------------------------------------


class StartsEarly(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        reply = super()._claim_due(attrs.evolve(claim, now=claim.now + 1_000_000))
        jobs = [attrs.evolve(job, claimed_at=claim.now) for job in reply.jobs]
        return attrs.evolve(reply, jobs=jobs)


class ForgetsDeadlines(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        requests = [attrs.evolve(request, expire_on=None) for request in insert.requests]
        return super()._insert(attrs.evolve(insert, requests=requests))


class ForgetsCancellations(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        is_running = isinstance(self._jobs[commit.job_id].state, Processing)
        if isinstance(commit.state, Cancelled) and not is_running:
            return Committed()
        return super()._commit(commit)


class LosesAJob(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        half = len(insert.requests) // 2 or 1
        return super()._insert(Insert(insert.requests[:half], insert.states[:half]))


class AcceptsStaleSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        return Completions.of(
            [
                self._commit(attrs.evolve(commit, version=self._jobs[commit.job_id].version))
                for commit in complete.commits()
            ]
        )


class LosesASuccess(MemoryStorage):
    """The last of several that are told together, and says that it is recorded."""

    def _complete(self, complete: Complete) -> Completions:
        kept = len(complete.claims) // 2 or 1
        return super()._complete(Complete(complete.claims[:kept], complete.states[:kept]))


class RefusesASuccess(MemoryStorage):
    """The last of several that are told together."""

    def _complete(self, complete: Complete) -> Completions:
        kept = len(complete.claims) // 2 or 1
        reply = super()._complete(Complete(complete.claims[:kept], complete.states[:kept]))
        rest = range(kept, len(complete.claims))
        return Completions({**reply.refused, **dict.fromkeys(rest, Conflict())})


class GivesAttemptsAway(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        return super()._commit(attrs.evolve(commit, attempt=0))


class ClaimsNewestFirst(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return sorted(super()._claimable(claim), key=lambda job: -job.sequence)


class TakesLeasesAway(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return super()._stranded(attrs.evolve(query, now=query.now + 9_000_000))


class KeepsDueTimesToItself(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return attrs.evolve(super()._claim_due(claim), next_due=None)


class ClaimsTooMuch(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        return super()._claim_due(attrs.evolve(claim, limit=claim.limit + 3, free=claim.free + 3))


class ForgetsWhoWaits(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        return DependentJobs([]) if isinstance(found, DependentJobs) else found


class LosesAMember(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        insert = Insert(write.jobs.requests[1:], write.jobs.states[1:])
        return super()._insert_batch(attrs.evolve(write, jobs=insert))


class MovesOnWithoutItsJobs(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        fire.requests, fire.states = (), ()
        return super()._fire(fire)


FAULTS = (
    StartsEarly,
    ForgetsDeadlines,
    ForgetsCancellations,
    LosesAJob,
    AcceptsStaleLeases,
    LosesASuccess,
    RefusesASuccess,
    GivesAttemptsAway,
    ClaimsNewestFirst,
    TakesLeasesAway,
    HidesLostLeases,
    KeepsDueTimesToItself,
    ClaimsTooMuch,
    ForgetsTheEndedInItsCounts,
    ForgetsRecords,
)


FAULTS_OF_DEALINGS = (
    ForgetsWhoWaits,
    TakesFailuresForSuccesses,
    LosesAMember,
)
FAULTS_OF_SCHEDULES = (KeepsNextInstantsToItself, MovesOnWithoutItsJobs)

FOUND_SOON_WITH = {AcceptsStaleSuccesses: 1}
"""Seeds of those that are looked for long otherwise."""


@pytest.mark.parametrize(
    ("fault", "happenings"),
    [
        *((fault, lone) for fault in FAULTS),
        *((fault, wild) for fault in FAULTS_OF_DEALINGS),
        *((fault, timed) for fault in FAULTS_OF_SCHEDULES),
        (AcceptsStaleSuccesses, jumpy),
    ],
    ids=lambda value: getattr(value, "__name__", "drawn"),
)
def test_the_laws_catch(
    fault: type[MemoryStorage], happenings: st.SearchStrategy[list[Any]]
) -> None:
    @settings(LOOKING, max_examples=5000)
    @given(operations=happenings, prefetch=prefetches)
    def machine(operations: list[Any], prefetch: int | None) -> None:
        play(fault, operations, prefetch)

    if fault in FOUND_SOON_WITH:
        machine = seed(FOUND_SOON_WITH[fault])(machine)
    check_is_broken("", machine)

"""Storages agree with `MemoryStorage`, whatever they are told; and the machine that says so can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from property_tests.agreement import Agreement
from property_tests.aiming import Planted, check_is_caught, check_is_passed, planted
from property_tests.pause_agreement import PauseAgreement
from property_tests.planted import (
    AcceptsStaleLeases,
    ClaimsWhatIsPaused,
    ForgetsKeysOfClaimedJobs,
    HoldsKeysForEver,
)
from property_tests.report_agreement import ReportAgreement
from property_tests.schedule_agreement import ScheduleAgreement
from property_tests.side_by_side import SideBySide
from trio_gusto.model.errors import GustoError
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lanes import lane_of
from trio_gusto.storage.batch_messages import BatchesFound, InsertBatch
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.lease_messages import Renew, Renewed, Stranded, StrandedJobs
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.memory.index import lease_of
from trio_gusto.storage.messages import (
    ClaimDue,
    ClaimReply,
    Commit,
    Committed,
    Complete,
    Completions,
    Conflict,
    Inserted,
)
from trio_gusto.storage.pause_messages import Pauses
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.schedule_messages import Fire
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage


class SqliteAgrees(Agreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory() -> None:
    run_state_machine_as_test(SqliteAgrees, settings=settings(stateful_step_count=40))


class SqliteAgreesOnReports(ReportAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory_on_reports() -> None:
    run_state_machine_as_test(SqliteAgreesOnReports, settings=settings(stateful_step_count=40))


class SqliteAgreesOnSchedules(ScheduleAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory_on_schedules() -> None:
    run_state_machine_as_test(SqliteAgreesOnSchedules, settings=settings(stateful_step_count=40))


class SqliteAgreesOnPauses(PauseAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory_on_named_workers_and_pauses() -> None:
    run_state_machine_as_test(SqliteAgreesOnPauses, settings=settings(stateful_step_count=40))


# --- planted faults: one for each family of laws --------------------------------------------------


class AcceptsStaleSuccesses(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        claims = [
            attrs.evolve(claim, token=self._jobs[claim.request.id].version)
            if claim.request.id in self._jobs
            else claim
            for claim in complete.claims
        ]
        return super()._complete(attrs.evolve(complete, claims=claims))


class RefusesTheNeighbours(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        refused = super()._complete(complete).refused
        return Completions(
            dict.fromkeys(range(len(complete.claims)), Conflict()) if refused else {}
        )


class LosesAResultAmongOthers(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        states = [attrs.evolve(state, result=state.result or None) for state in complete.states]
        return super()._complete(attrs.evolve(complete, states=states))


class LosesAnAttempt(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        return super()._commit(attrs.evolve(commit, attempt=max(0, commit.attempt - 1)))


class ClaimsInOrderOfInsertion(MemoryStorage):
    def _claimable(self, claim: ClaimDue) -> list[StoredJob]:
        return sorted(super()._claimable(claim), key=lambda job: job.sequence)


class StartsEarly(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        self._index.look_at(claim.now + 1)
        return super()._claim_due(claim)


class RenewsWhatHasPassed(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        return super()._renew(attrs.evolve(renew, now=0))


class ShortensLeases(MemoryStorage):
    def _renew(self, renew: Renew) -> Renewed:
        return super()._renew(attrs.evolve(renew, lease_until=renew.lease_until - 1))


class ForgetsWhoLeft(MemoryStorage):
    async def detach(self, node: str) -> None:
        pass


class SeesDeadlinesLate(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return super()._stranded(attrs.evolve(query, now=query.now - 1))


class DeletesTooMuch(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, ended_before=prune.ended_before + 1))


class ForgetsWhatIsShielded(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, but=prune.but[:-1]))


class FiresLate(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        stored = self._schedules._schedules.get(fire.schedule.request.name)
        return super()._fire(attrs.evolve(fire, version=stored.version) if stored else fire)


class ForgetsToAdvance(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        reply = super()._fire(fire)
        if isinstance(reply, Committed):
            schedules = self._schedules._schedules
            name = fire.schedule.request.name
            schedules[name] = attrs.evolve(schedules[name], last_at=None)
        return reply


class ForgetsWhoIsAwaited(MemoryStorage):
    def _complete(self, complete: Complete) -> Completions:
        return attrs.evolve(super()._complete(complete), awaited=())


class KeepsWaitingForOne(MemoryStorage):
    async def read(self, query: Any) -> Any:
        if isinstance(query, Dependents):
            found = (await super().read(query)).jobs
            return DependentJobs([each for each in found if len(each.parents) == 1])
        return await super().read(query)


class CountsAJobTwice(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, BatchesFound):
            for batch in found.batches:
                batch.counts = {word: min(2, count) for word, count in batch.counts.items()}
        return found


class ForgetsFailuresOfBatches(MemoryStorage):
    def _commit(self, commit: Commit) -> Committed | Conflict:
        reply = super()._commit(commit)
        for batch in self._shelf.kept.values():
            batch.unhappy = 0
        return reply


class LosesTheLastThatWasStaged(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        if pile is not None and len(pile.requests) > 1 and len(pile.requests) == write.staged:
            del pile.requests[-1], pile.states[-1]
            write = attrs.evolve(write, staged=write.staged - 1)
        return super()._insert_batch(write)


class StoresWhatIsLeftOfABlock(MemoryStorage):
    def _insert_batch(self, write: InsertBatch) -> Inserted | GustoError:
        pile = None if write.stage is None else self._staging._piles.get(write.stage)
        staged = write.staged if pile is None else len(pile.requests)
        return super()._insert_batch(attrs.evolve(write, staged=staged))


class SweepsBlocksThatAreOpen(MemoryStorage):
    def _stranded(self, query: Stranded) -> StrandedJobs:
        return attrs.evolve(super()._stranded(query), stages=tuple(self._staging._piles))


class FreesAWorkerWithItsLease(MemoryStorage):
    def _claim_due(self, claim: ClaimDue) -> ClaimReply:
        lanes = self._index.lanes
        passed = {
            lane_of(job.request)
            for job in self._index.processing.values()
            if lease_of(job).lease_until <= claim.now
        }
        hidden = {lane: lanes._leases.pop(lane) for lane in passed if lane in lanes._leases}
        for lane in hidden:
            lanes._unpark(lane)
        reply = super()._claim_due(claim)
        for lane, leases in hidden.items():
            kept = lanes._leases.setdefault(lane, {})
            for holder, count in leases.items():
                kept[holder] = kept.get(holder, 0) + count
        return reply


class SaysThatEveryoneHasHeard(MemoryStorage):
    async def read(self, query: Any) -> Any:
        reply = await super().read(query)
        return attrs.evolve(reply, unheard=()) if isinstance(query, Pauses) else reply


PLANTED = (
    planted(AcceptsStaleLeases, Agreement, "enqueue write_with_a_wrong_version"),
    planted(AcceptsStaleSuccesses, Agreement, "enqueue claim succeed_under_a_wrong_token"),
    planted(RefusesTheNeighbours, Agreement, "enqueue claim settle_successes"),
    planted(LosesAResultAmongOthers, Agreement, "enqueue claim settle_successes"),
    planted(LosesAnAttempt, Agreement, "enqueue claim settle"),
    planted(ClaimsInOrderOfInsertion, Agreement, "enqueue claim time_passes"),
    planted(StartsEarly, Agreement, "enqueue claim"),
    planted(RenewsWhatHasPassed, Agreement, "enqueue claim renew"),
    planted(ShortensLeases, Agreement, "enqueue claim time_passes renew"),
    planted(ForgetsWhoLeft, Agreement, "enqueue claim a_node_vanishes sweep"),
    planted(SeesDeadlinesLate, Agreement, "enqueue time_passes sweep"),
    planted(DeletesTooMuch, Agreement, "enqueue cancel time_passes prune"),
    planted(ForgetsWhatIsShielded, Agreement, "enqueue cancel time_passes prune_some"),
    planted(ForgetsWhoIsAwaited, Agreement, "enqueue enqueue_continuations claim settle_successes"),
    planted(KeepsWaitingForOne, Agreement, "enqueue_continuations cancel resolve"),
    planted(CountsAJobTwice, Agreement, "store_a_batch look_at_batches"),
    planted(ForgetsFailuresOfBatches, Agreement, "store_a_batch cancel resolve"),
    planted(HoldsKeysForEver, Agreement, "enqueue_with_unique_keys claim settle_successes"),
    planted(ForgetsKeysOfClaimedJobs, Agreement, "enqueue_with_unique_keys claim"),
    planted(LosesTheLastThatWasStaged, Agreement, "open_a_block pour_into_a_block end_a_block"),
    planted(StoresWhatIsLeftOfABlock, Agreement, "open_a_block discard_of_a_block end_a_block"),
    planted(SweepsBlocksThatAreOpen, Agreement, "open_a_block look_for_blocks_left_behind"),
    planted(FreesAWorkerWithItsLease, PauseAgreement, "enqueue claim time_passes"),
    planted(ClaimsWhatIsPaused, PauseAgreement, "enqueue pause claim"),
    planted(SaysThatEveryoneHasHeard, PauseAgreement, "enqueue claim pause"),
    planted(FiresLate, ScheduleAgreement, "register instants_come fire_what_is_due"),
    planted(ForgetsToAdvance, ScheduleAgreement, "register instants_come fire_what_is_due"),
)


@pytest.mark.parametrize(
    ("machine", "rules"), dict.fromkeys((fault.machine, fault.rules) for fault in PLANTED)
)
def test_the_machine_says_nothing_of_a_sound_storage(machine: type[SideBySide], rules: str) -> None:
    check_is_passed(machine, rules)


@pytest.mark.timeout(3600)  # one that is not caught says so, and not that time is over
@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.name)
def test_the_machine_catches(fault: Planted) -> None:
    check_is_caught(fault)

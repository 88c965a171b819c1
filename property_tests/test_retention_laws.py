"""Retention through real apps in virtual time: what goes, and when; and the laws can fail."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.keeping import (
    FRESH,
    STATES,
    Act,
    Again,
    Enqueue,
    Follow,
    House,
    Plan,
    Repeat,
    Rule,
    Work,
)
from trio_gusto import JobState, MemoryStorage, Retention
from trio_gusto.actors import sweeper
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.model.job import StoredJob
from trio_gusto.storage.finding_messages import Tallied
from trio_gusto.storage.retention_messages import Prune, Pruned
from trio_gusto.storage.sqlite import SqliteStorage, archive, retention
from trio_gusto.storage.storage import Storage

ROUNDS = 12

beats = st.sampled_from([None, 0, 1, 10, 45])
tenants = st.sampled_from(["", "acme"])
tags = st.frozensets(st.sampled_from(["x", "y"]), max_size=2)
rules = st.builds(
    Rule,
    beats,
    st.frozensets(st.sampled_from(STATES), max_size=2),
    st.frozensets(tenants, max_size=1),
    tags,
).filter(lambda rule: bool(rule.states or rule.tenants or rule.tags))
plans = st.builds(
    Plan, beats, st.lists(rules, max_size=3).map(tuple), st.sampled_from([500, 500, 2])
)

kinds = st.sampled_from(["ok", "ok", "fail", "cancel", "expire"])
works = st.builds(Work, kinds, st.sampled_from([0, 0, 3, 40]), tenants, tags)
several = st.lists(works, min_size=1, max_size=4).map(tuple)
picks = st.integers(0, 15)
enqueues = st.builds(Enqueue, several)
batches = st.builds(Enqueue, several, st.just(True), st.booleans())
follows = st.builds(Follow, st.lists(picks, min_size=1, max_size=2).map(tuple), works)
agains = st.builds(Again, picks)
repeats = st.builds(Repeat, st.sampled_from([0, 40]))


def days(act: st.SearchStrategy[Any]) -> st.SearchStrategy[list[list[Act]]]:
    return st.lists(st.lists(act, max_size=3), min_size=1, max_size=4)


any_days = days(st.one_of(enqueues, enqueues, batches, follows, agains, repeats))


Plant = Callable[[pytest.MonkeyPatch], None]
Make = Callable[[], Storage]


def errs_nowhere(_patches: pytest.MonkeyPatch) -> None:
    """Nothing is planted."""


def play(house: House, acts: Sequence[Sequence[Act]], plant: Plant = errs_nowhere) -> None:
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(sweeper, "SLICE", house.plan.slice_of)
        patches.setattr(sweeper, "FRESH_LOOK", FRESH)
        plant(patches)
        trio.run(house.run, acts, ROUNDS, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make_storage", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@settings(max_examples=settings().max_examples // 2)
@given(plan=plans, acts=any_days)
def test_ended_jobs_go_with_the_first_round_after_their_time_and_nothing_else_does(
    make_storage: Make, plan: Plan, acts: list[list[Act]]
) -> None:
    play(House(make_storage(), plan), acts)


def play_with_archive(
    plan: Plan, acts: Sequence[Sequence[Act]], plant: Plant = errs_nowhere
) -> None:
    with tempfile.TemporaryDirectory(prefix="keeping-") as home:
        path = Path(home) / "jobs.db"

        def there() -> set[str]:
            with closing(sqlite3.connect(path)) as connection:
                return {job_id for (job_id,) in connection.execute("SELECT id FROM jobs")}

        storage = SqliteStorage(
            path, inline=True, synchronous="NORMAL", archive=True, watch_interval=60
        )
        play(House(storage, plan, there), acts, plant)


@pytest.mark.timeout(3600)
@settings(max_examples=settings().max_examples // 4)
@given(plan=plans, acts=any_days)
def test_ended_jobs_are_archived_with_the_first_round_after_their_time_and_nothing_else_is(
    plan: Plan, acts: list[list[Act]]
) -> None:
    play_with_archive(plan, acts)


# --- planted faults -------------------------------------------------------------------------------


class TakesWhatIsYoung(MemoryStorage):
    def _prune(self, prune: Prune) -> Pruned:
        return super()._prune(attrs.evolve(prune, ended_before=prune.ended_before + 150_000_000))


class TakesWhatOthersWaitFor(MemoryStorage):
    def _is_needed(self, job: StoredJob) -> bool:
        details = job.request.details
        return bool(details is not None and details.batch) and super()._is_needed(job)


class TakesFromLiveBatches(MemoryStorage):
    def _is_needed(self, job: StoredJob) -> bool:
        details = job.request.details
        return not (details is not None and details.batch) and super()._is_needed(job)


class TakesTheNewestOfASchedule(MemoryStorage):
    def _is_needed(self, job: StoredJob) -> bool:
        details = job.request.details
        return not (details is not None and details.schedule_name) and super()._is_needed(job)


class CountsWhatIsGone(MemoryStorage):
    def __init__(self) -> None:
        super().__init__()
        self._gone = 0

    def _prune(self, prune: Prune) -> Pruned:
        pruned = super()._prune(prune)
        self._gone += pruned.count
        return pruned

    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, Tallied) and self._gone:
            key = next(iter(found.counts), (JobState.COMPLETED, "default", ""))
            counts = {**found.counts, key: found.counts.get(key, 0) + self._gone}
            return attrs.evolve(found, counts=counts)
        return found


def knows_the_default_only(patches: pytest.MonkeyPatch) -> None:
    cuts = Retention.cuts
    patches.setattr(Retention, "cuts", lambda self, now: cuts(Retention(self.default), now))


def shields_nobody(patches: pytest.MonkeyPatch) -> None:
    """From the rules that come later."""
    cuts = Retention.cuts
    patches.setattr(
        Retention, "cuts", lambda self, now: [attrs.evolve(cut, but=()) for cut in cuts(self, now)]
    )


def comes_seldom(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(sweeper, "PRUNING", 900.0)


def stops_after_the_first_slice(patches: pytest.MonkeyPatch) -> None:
    desk_prune = StorageDesk.prune

    async def prune(self: StorageDesk, ask: Prune) -> Pruned:
        return attrs.evolve(await desk_prune(self, ask), more=False)

    patches.setattr(StorageDesk, "prune", prune)


def never_looks_again(patches: pytest.MonkeyPatch) -> None:
    """At what was needed when it was looked at."""
    patches.setattr(sweeper, "FRESH_LOOK", 1e9)


def takes_the_living(patches: pytest.MonkeyPatch) -> None:
    old = retention._OLD.replace("state > 3 AND ended_at <", "coalesce(ended_at, created_at) <")
    patches.setattr(retention, "_OLD", old)


def leaves_empty_batches(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(retention, "forget_empty", lambda connection, before: None)


def deletes_without_a_copy(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(archive.Archive, "_copy", lambda self, month, jobs: jobs)


def archives_the_newest(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(retention, "_NEWEST", "SELECT -1")
    text = retention._UNCHANGED.replace("SELECT max(seq) FROM job", "SELECT 1 << 60")
    patches.setattr(retention, "_UNCHANGED", text)


EARLY, LATE, LIVE = (
    "nothing goes before its time",
    "what is old goes with the next round",
    "nothing live is removed",
)
NEEDED, COUNTS = "what somebody needs is kept", "counts agree"
BATCH, GONE = "a batch goes with its last job", "what has gone is gone, or as it was"
EARLY_OR_LATE = ""

SHORT = st.builds(Plan, st.sampled_from([1, 10]))
RULED = st.builds(
    Plan, st.sampled_from([1, 45]), st.lists(rules, min_size=2, max_size=2).map(tuple)
)
WAITED_FOR = st.builds(
    Plan, st.none(), st.just((Rule(0, states=frozenset(["completed", "failed", "cancelled"])),))
)
some_late = st.just(Enqueue((Work(), Work(later=40))))
half_late = st.just(Enqueue((Work(), Work(later=40)), batch=True))
both_followed = st.builds(Follow, st.just((0, 1)), works)
SLICED = st.builds(Plan, st.just(1), st.just(()), st.just(2))

Aim = tuple[str, st.SearchStrategy[Plan], st.SearchStrategy[list[list[Act]]]]

STORAGES: dict[type[MemoryStorage], Aim] = {
    TakesWhatIsYoung: (EARLY, SHORT, days(enqueues)),
    TakesWhatOthersWaitFor: (NEEDED, SHORT, days(some_late | both_followed)),
    TakesFromLiveBatches: (NEEDED, SHORT, days(half_late)),
    TakesTheNewestOfASchedule: (NEEDED, SHORT, days(repeats)),
    CountsWhatIsGone: (COUNTS, SHORT, days(enqueues)),
}
PLANTED: dict[Plant, tuple[Make | None, Aim]] = {
    knows_the_default_only: (MemoryStorage, (EARLY_OR_LATE, RULED, days(enqueues))),
    shields_nobody: (MemoryStorage, (EARLY, RULED, days(enqueues))),
    comes_seldom: (MemoryStorage, (LATE, SHORT, days(enqueues))),
    stops_after_the_first_slice: (MemoryStorage, (LATE, SLICED, days(enqueues))),
    never_looks_again: (in_sqlite, (LATE, WAITED_FOR, days(half_late))),
    takes_the_living: (in_sqlite, (LIVE, SHORT, days(enqueues))),
    leaves_empty_batches: (in_sqlite, (BATCH, SHORT, days(batches))),
    deletes_without_a_copy: (None, (GONE, SHORT, days(enqueues))),
    archives_the_newest: (None, (NEEDED, SHORT, days(enqueues))),
}
"""Who errs, on which storage (`None`: one with an archive), and what leads to it."""


def check_is_caught(make: Make | None, aim: Aim, plant: Plant = errs_nowhere) -> None:
    law, drawn, acts_drawn = aim

    @settings(LOOKING, max_examples=500)
    @given(plan=drawn, acts=acts_drawn)
    def law_of_keeping(plan: Plan, acts: list[list[Act]]) -> None:
        if make is None:
            play_with_archive(plan, acts, plant)
        else:
            play(House(make(), plan), acts, plant)

    check_is_broken(law, law_of_keeping)


@pytest.mark.parametrize("fault", STORAGES, ids=lambda fault: fault.__name__)
def test_the_law_catches_a_storage_that(fault: type[MemoryStorage]) -> None:
    check_is_caught(fault, STORAGES[fault])


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_law_catches_who(plant: Plant) -> None:
    make, aim = PLANTED[plant]
    check_is_caught(make, aim, plant)

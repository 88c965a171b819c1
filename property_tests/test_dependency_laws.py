"""A job never runs before its parents have ended, its condition decides, and it is released once.

First as the law book says it, then by real apps that die at any transaction; and the laws can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import attrs
import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.dying import Death, deaths
from property_tests.family import Family, Member, families
from property_tests.planted import SeesAllParentsCompleted, TakesFailuresForSuccesses
from trio_gusto import MemoryStorage
from trio_gusto.model.dependencies import Dependent, GiveUp, Release, Verdict, WaitOn, judge
from trio_gusto.model.errors import DuplicateJob, UnknownJob
from trio_gusto.model.states import Condition, JobState, Ready, Waiting
from trio_gusto.storage.dependency_messages import DependentJobs, Dependents
from trio_gusto.storage.messages import Commit, Committed, Conflict, Insert, Inserted
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

# --- the law book ---------------------------------------------------------------------------------

Judge = Callable[[Condition, Mapping[JobState, int]], Verdict]

conditions = st.sampled_from(Condition)
tallies = st.dictionaries(st.sampled_from(JobState), st.integers(1, 3), min_size=1)
ended_words = st.sampled_from([state for state in JobState if state.is_ended])


def check(
    judge: Judge, condition: Condition, now: dict[JobState, int], ends: list[JobState]
) -> None:
    verdict = judge(condition, now)
    living = [state for state in now if not state.is_ended]
    later = {state: count for state, count in now.items() if state.is_ended}
    for state in living:
        for number in range(now[state]):
            end = ends[number % len(ends)]
            later[end] = later.get(end, 0) + 1
    final = judge(condition, later)
    completed = later.get(JobState.COMPLETED, 0) == sum(later.values())
    holds = {
        Condition.SUCCESS: completed,
        Condition.FAILURE: not completed,
        Condition.FINISH: True,
    }[condition]
    assert not (living and isinstance(verdict, Release)), "no release while a parent lives"
    assert not isinstance(final, WaitOn), "nobody waits for ever"
    assert isinstance(final, Release) is holds, "the condition decides"
    assert isinstance(verdict, WaitOn) or type(verdict) is type(final), "a verdict is final"
    lost = condition is Condition.SUCCESS and any(
        state.is_ended and state is not JobState.COMPLETED for state in now
    )
    assert not (lost and isinstance(verdict, WaitOn)), "what can hold no more is given up at once"


@given(conditions, tallies, st.lists(ended_words, min_size=1, max_size=3))
def test_a_verdict_is_right_final_and_as_early_as_can_be(
    condition: Condition, now: dict[JobState, int], ends: list[JobState]
) -> None:
    check(judge, condition, now, ends)


def runs_after_any_end(condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    ended = any(state.is_ended for state in parents)
    return Release() if ended else judge(condition, parents)


def takes_failures_for_granted(_condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    return judge(Condition.FINISH, parents)


def forgets_who_failed_early(condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    if set(parents) <= {JobState.COMPLETED, JobState.FAILED} and len(parents) == 2:
        return WaitOn()
    return judge(condition, parents)


def gives_up_late(condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    if any(not state.is_ended for state in parents):
        return WaitOn()
    return judge(condition, parents)


def gives_up_early(condition: Condition, parents: Mapping[JobState, int]) -> Verdict:
    if condition is Condition.FAILURE and set(parents) & {JobState.COMPLETED}:
        return GiveUp("one has completed")
    return judge(condition, parents)


@pytest.mark.parametrize(
    "fault",
    [
        runs_after_any_end,
        takes_failures_for_granted,
        forgets_who_failed_early,
        gives_up_late,
        gives_up_early,
    ],
)
def test_the_laws_of_verdicts_catch(fault: Judge) -> None:
    @settings(max_examples=10_000, derandomize=True, database=None, phases=[Phase.generate])
    @given(conditions, tallies, st.lists(ended_words, min_size=1, max_size=3))
    def law(condition: Condition, now: dict[JobState, int], ends: list[JobState]) -> None:
        check(fault, condition, now, ends)

    with pytest.raises(AssertionError):
        law()


# --- real apps ------------------------------------------------------------------------------------


def play(make: Callable[[], Storage], members: list[Member], dying: list[Death]) -> None:
    family = Family(make())
    trio.run(family.play, members, dying, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("make", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(members=families(), dying=deaths())
def test_whoever_dies_each_is_released_or_given_up_once_and_never_early(
    make: Callable[[], Storage], members: list[Member], dying: list[Death]
) -> None:
    play(make, members, dying)


class ForgetsWhoWaits(MemoryStorage):
    def _insert(self, insert: Insert) -> Inserted | DuplicateJob | UnknownJob:
        reply = super()._insert(insert)
        self._awaited.by.clear()
        return reply


class ReleasesAgain(MemoryStorage):
    """Who was released waits on all the same, and the version does not matter."""

    def _commit(self, commit: Commit) -> Committed | Conflict:
        job = self._jobs.get(commit.job_id)
        if job is None or not isinstance(job.state, Waiting):
            return super()._commit(commit)
        reply = super()._commit(commit)
        if isinstance(commit.state, Ready):
            super()._commit(attrs.evolve(commit, version=job.version, state=Waiting()))
        return reply

    async def read(self, query: Any) -> Any:
        if not isinstance(query, Dependents):
            return await super().read(query)
        waiting = [job for job in self._jobs.values() if isinstance(job.state, Waiting)]
        return DependentJobs(
            [Dependent(attrs.evolve(job), {JobState.COMPLETED: 1}) for job in waiting]
        )


FAULTS = (SeesAllParentsCompleted, TakesFailuresForSuccesses, ForgetsWhoWaits, ReleasesAgain)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_laws_of_families_catch(fault: type[MemoryStorage]) -> None:
    @settings(LOOKING, max_examples=200)
    @given(members=families(), dying=deaths())
    def law(members: list[Member], dying: list[Death]) -> None:
        play(fault, members, dying)

    check_is_broken("", law)

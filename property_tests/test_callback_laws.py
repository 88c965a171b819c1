"""Callback and children are stored exactly with the success, and a job ends as its callback does.

- What a handler has brought, and the callback of its job, is there in whichever transaction its success
  is there, and at no other time: all of it, and of that attempt only.
- Once its success is there, a handler is not entered again, whatever becomes of the callback.
- A job completes when its callback has completed, and fails when that has ended otherwise.

First of two storages side by side, then of apps that die at any transaction; and the laws can fail.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock

from property_tests.aiming import (
    LOOKING,
    check_is_broken,
    check_is_caught,
    check_is_passed,
    planted,
)
from property_tests.broken.children import (
    PROMISES,
    CountsChildrenIntoTheBatch,
    ForgetsAllButTheFirstChild,
    ForgetsManyChildren,
    ForgetsWhoWaitsForACallback,
    HoldsItForItsSchedule,
    LosesTheResult,
    PrunesAwaitedCallbacks,
    ReplacesInSilence,
    StopsAtARefusedChild,
    StoresChildrenOfTheLate,
    TakesAnyEndForCompleted,
    TakesItForTheEndOfABatch,
)
from property_tests.callback_agreement import CallbackAgreement
from property_tests.callback_errands import CallbackErrands
from property_tests.dying import Death, deaths
from property_tests.errands import Errand, Errands, errands, faults
from trio_gusto.actors.desk import StoreLetter
from trio_gusto.actors.settler import Settler
from trio_gusto.model.happenings import CallbackFailed, Settlement
from trio_gusto.model.job import StoredJob
from trio_gusto.model.lifecycle import TRANSITIONS
from trio_gusto.model.outcomes import Succeeded
from trio_gusto.model.states import AwaitingCallback, Scheduled
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Insert
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage
from trio_gusto.testing import Fault

OF_STORAGES = tuple(
    broken
    for broken in dict.fromkeys(broken for broken, _ in PROMISES)
    if broken not in (ForgetsManyChildren, HoldsItForItsSchedule)  # too much for a machine
)


class SqliteAgreesOnCallbacks(CallbackAgreement):
    def make_storage(self, path: Path) -> Storage:
        return SqliteStorage(path, inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
def test_sqlite_agrees_with_memory_on_callbacks_and_children() -> None:
    run_state_machine_as_test(SqliteAgreesOnCallbacks, settings=settings(stateful_step_count=40))


# --- whole apps ------------------------------------------------------------------------------------


def play(
    make: Callable[[], Storage],
    plans: list[Errand],
    dying: list[Death],
    trouble: list[Fault],
) -> None:
    trio.run(Errands(make()).play, plans, dying, trouble, clock=MockClock(autojump_threshold=0))


in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("make", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(plans=errands, dying=deaths(), trouble=faults)
def test_whoever_dies_callback_and_children_are_there_exactly_with_the_success(
    make: Callable[[], Storage],
    plans: list[Errand],
    dying: list[Death],
    trouble: list[Fault],
) -> None:
    play(make, plans, dying, trouble)


# --- planted faults -------------------------------------------------------------------------------


ERRANDS = "run_to_success want_the_key end_the_callback"
BRINGING = "enqueue claim succeed"
OF_BATCHES = "enqueue_a_batch_that_is_awaited claim succeed resolve_what_waits"
FAILING = "run_to_success claim fail resolve_what_waits"
DELETING = "run_to_success claim succeed delete_what_has_ended"

AIMED: dict[type[MemoryStorage], str] = {
    StopsAtARefusedChild: BRINGING,
    ReplacesInSilence: "bring_one_that_wants_the_key",
    CountsChildrenIntoTheBatch: OF_BATCHES,
    TakesItForTheEndOfABatch: OF_BATCHES,
    TakesAnyEndForCompleted: FAILING,
    PrunesAwaitedCallbacks: DELETING,
}
"""The rules that lead to a fault, where `ERRANDS` do not."""


@pytest.mark.parametrize("rules", [ERRANDS, *dict.fromkeys(AIMED.values())])
def test_the_aimed_machine_says_nothing_of_a_sound_storage(rules: str) -> None:
    check_is_passed(CallbackErrands, rules)


@pytest.mark.parametrize("broken", OF_STORAGES, ids=lambda broken: broken.__name__)
def test_the_machine_that_compares_storages_catches(broken: type[MemoryStorage]) -> None:
    check_is_caught(planted(broken, CallbackErrands, AIMED.get(broken, ERRANDS)))


class StoresChildrenOfFailures(Settler):
    def settle(self, lease: Any, outcome: Any, **more: Any) -> Any:
        if lease.children and not isinstance(outcome, Succeeded):
            self._desk.tell(StoreLetter(Insert(*zip(*lease.children, strict=True))))
        return super().settle(lease, outcome, **more)


class StoresChildrenBesideTheSuccess(Settler):
    def settle(self, lease: Any, outcome: Any, **more: Any) -> Any:
        if lease.children and isinstance(outcome, Succeeded):
            self._desk.tell(StoreLetter(Insert(*zip(*lease.children, strict=True))))
            lease.children = None
        return super().settle(lease, outcome, **more)


class CompletesWithoutWaiting(Settler):
    def settle(self, lease: Any, outcome: Any, **more: Any) -> Any:
        callback = more.pop("callback", None)
        if callback is not None:
            lease.children = [*(lease.children or ()), callback]
        return super().settle(lease, outcome, **more)


def begins_again(_job: StoredJob, happening: CallbackFailed) -> Settlement:
    return Settlement(Scheduled(happening.now + 30_000_000), 0)


def catches(make: Callable[[], Storage]) -> None:
    @seed(5)
    @settings(LOOKING, max_examples=3000)
    @given(plans=errands, dying=deaths(), trouble=faults)
    def law(plans: list[Errand], dying: list[Death], trouble: list[Fault]) -> None:
        play(make, plans, dying, trouble)

    check_is_broken("", law)


@pytest.mark.parametrize(
    "settler",
    [StoresChildrenOfFailures, StoresChildrenBesideTheSuccess, CompletesWithoutWaiting],
    ids=lambda settler: settler.__name__,
)
def test_the_law_of_apps_catches_a_settler(
    settler: type[Settler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_gusto.actors.tree.Settler", settler)
    catches(MemoryStorage)


def test_the_law_of_apps_catches_a_handler_that_is_entered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = (begins_again, (Scheduled,))
    monkeypatch.setitem(TRANSITIONS, (AwaitingCallback, CallbackFailed), entry)
    catches(MemoryStorage)


@pytest.mark.parametrize(
    "broken",
    [
        StoresChildrenOfTheLate,
        ForgetsAllButTheFirstChild,
        ForgetsWhoWaitsForACallback,
        TakesAnyEndForCompleted,
        LosesTheResult,
    ],
    ids=lambda broken: broken.__name__,
)
def test_the_law_of_apps_catches_a_storage(broken: type[MemoryStorage]) -> None:
    catches(broken)

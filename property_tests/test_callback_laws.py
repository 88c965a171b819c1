"""Laws of callbacks and children."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test
from trio.testing import MockClock

from property_tests.callback_agreement import CallbackAgreement
from property_tests.dying import Death, deaths
from property_tests.errands import Errand, Errands, errands, faults
from tests.storage.broken_children import (
    PROMISES,
    ForgetsManyChildren,
    HoldsItForItsSchedule,
)
from trio_gusto.storage.memory import MemoryStorage
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


@pytest.mark.parametrize("broken", OF_STORAGES, ids=lambda broken: broken.__name__)
def test_the_machine_that_compares_storages_catches(broken: type[MemoryStorage]) -> None:
    class Caught(CallbackAgreement):
        def make_storage(self, path: Path) -> Storage:
            return broken()

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Caught,
            settings=settings(
                max_examples=2000,
                stateful_step_count=40,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
            ),
        )

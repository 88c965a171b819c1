"""Each instant of a schedule comes once, in order, as its policies say, whoever dies; the laws can fail.

The rules of one look are in `test_schedule_laws`; here real apps look.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import attrs
import pytest
from hypothesis import given, seed, settings

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.dying import Death
from property_tests.planted import KeepsNextInstantsToItself
from property_tests.schedule_plays import Operation, plans, play, schedule_deaths
from trio_gusto import MemoryStorage
from trio_gusto.model.errors import GustoError
from trio_gusto.model.ids import to_job_id
from trio_gusto.storage.messages import Committed, Conflict
from trio_gusto.storage.schedule_messages import Fire, Schedules
from trio_gusto.storage.sqlite import SqliteStorage
from trio_gusto.storage.storage import Storage

in_sqlite = partial(SqliteStorage, ":memory:", inline=True, synchronous="NORMAL")


@pytest.mark.timeout(3600)  # a nightly run draws many examples
@pytest.mark.parametrize("make", [MemoryStorage, in_sqlite], ids=["memory", "sqlite"])
@given(plan=plans, dying=schedule_deaths)
def test_whoever_dies_and_whatever_the_clock_says_each_instant_comes_once(
    make: Callable[[], Storage], plan: list[Operation], dying: list[Death]
) -> None:
    play(make, plan, dying)


# --- planted faults -------------------------------------------------------------------------------


class FiresForThoseWhoComeTooLate(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        known = self._schedules._schedules.get(fire.schedule.request.name)
        version = fire.version if known is None else known.version
        return super()._fire(attrs.evolve(fire, version=version))


class MovesOnWithoutItsJobs(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        half = len(fire.requests) // 2
        fire.requests, fire.states = fire.requests[:half], fire.states[:half]
        return super()._fire(fire)


class FiresAgain(MemoryStorage):
    """Every second time the mark stays where it was."""

    _forgets = False

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        name = fire.schedule.request.name
        before = self._schedules._schedules.get(name)
        reply = super()._fire(fire)
        if before is not None and isinstance(reply, Committed):
            self._forgets = not self._forgets
            if self._forgets:
                again = attrs.evolve(before, version=fire.schedule.version)
                self._schedules._schedules[name] = again
        return reply


class NamesJobsByChance(MemoryStorage):
    """So that a schedule that is registered anew under a clock that was set back fires again."""

    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        fire.requests = [attrs.evolve(one, id=to_job_id(uuid4())) for one in fire.requests]
        return super()._fire(fire)


class FiresBesideTheInstant(MemoryStorage):
    def _fire(self, fire: Fire) -> Committed | Conflict | GustoError:
        for request in fire.requests:
            assert request.details is not None
            assert request.details.fire_time is not None
            request.details.fire_time -= 1
        return super()._fire(fire)


class ForgetsWhoHasNotEnded(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, Schedules):
            for kept in found.found:
                kept.unfinished = ()
        return found


class LetsHeldJobsGoAtOnce(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        if isinstance(found, Schedules):
            for held in found.held:
                held.behind = ()
        return found


class ForgetsWhoIsHeld(MemoryStorage):
    async def read(self, query: Any) -> Any:
        found = await super().read(query)
        return attrs.evolve(found, held=()) if isinstance(found, Schedules) else found


FAULTS = (
    FiresForThoseWhoComeTooLate,
    MovesOnWithoutItsJobs,
    FiresAgain,
    NamesJobsByChance,
    ForgetsWhoHasNotEnded,
    LetsHeldJobsGoAtOnce,
    ForgetsWhoIsHeld,
    KeepsNextInstantsToItself,
    FiresBesideTheInstant,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_laws_of_schedules_catch(fault: type[MemoryStorage]) -> None:
    @seed(2)
    @settings(LOOKING, max_examples=3000)
    @given(plan=plans, dying=schedule_deaths)
    def law(plan: list[Operation], dying: list[Death]) -> None:
        play(fault, plan, dying)

    check_is_broken("", law)

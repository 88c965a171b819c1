"""How a sweeper removes what has ended long ago, a slice at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actors.doubles import (
    NOW,
    SECOND,
    StillClock,
)
from tests.actors.sweeper_alone import (
    NOTHING,
    Ward,
)
from trio_gusto import JobState, Keep, Options, Retention
from trio_gusto.actors.sweeper import FRESH_LOOK, PRUNING, SLICE, Sweeper
from trio_gusto.model.retention import Selection
from trio_gusto.storage.retention_messages import Prune, Pruned

RULES = Retention(60, rules=[Keep(10, states=["failed"]), Keep(None, tags=["audit"])])
FAILED = Selection(states=frozenset({JobState.FAILED}))
AUDIT = Selection(tags=frozenset({"audit"}))


def cuts(*marks: tuple[int, ...] | None, now: int = NOW) -> list[Prune]:
    return [
        Prune(now - 10 * SECOND, SLICE, FAILED, (), marks[0]),
        Prune(now - 60 * SECOND, SLICE, None, (FAILED, AUDIT), marks[1]),
    ]


async def test_retention_goes_cut_by_cut_and_once_every_five_minutes() -> None:
    ward = Ward(NOTHING, retention=RULES)
    for _ in range(5):
        await ward.sweep()
    assert ward.desk.asked_for(Prune) == cuts(None, None)
    ward.clock.passed = PRUNING - 0.5
    assert await ward.sweep() == 0.5
    assert len(ward.desk.asked_for(Prune)) == 2
    ward.clock.passed = PRUNING
    await ward.sweep()
    assert len(ward.desk.asked_for(Prune)) == 3


async def test_a_period_alone_is_a_rule_for_every_job() -> None:
    ward = Ward(NOTHING, retention=60)
    await ward.sweep()
    assert ward.desk.asked_for(Prune) == [Prune(NOW - 60 * SECOND, SLICE)]


async def test_without_retention_nothing_is_pruned() -> None:
    ward = Ward(NOTHING, retention=None)
    assert await ward.sweep() == 30.0
    ward.sweeper._clock.longest_sleep = 1000.0
    assert await ward.sweep() == PRUNING
    assert ward.desk.asked_for(Prune) == []


async def test_a_clock_that_sleeps_for_long_is_not_woken_for_retention() -> None:
    clock = StillClock()
    clock.longest_sleep = 1000.0
    ward = Ward(NOTHING, retention=60)
    ward.sweeper = Sweeper(
        *("here", ward.desk, ward.roster, ward.neighbours, ward.neighbours),  # type: ignore[arg-type]
        *(ward.probe, clock, Options(retention=60)),
    )
    assert await ward.sweep() == 1000.0
    clock.passed = 400.0
    assert await ward.sweep() == 600.0


async def test_a_cut_goes_on_where_it_has_looked_until_it_is_time_for_a_fresh_look() -> None:
    ward = Ward(NOTHING, retention=RULES)
    ward.pruned = [
        *(Pruned(500, more=True, mark=(1,)), Pruned(3, more=False, mark=(2,))),
        *(Pruned(0, mark=(5,)), Pruned(0, mark=(3,)), Pruned(0, mark=(6,)), Pruned(0)),
    ]
    for _ in range(3):
        await ward.sweep()
    ward.clock.passed = PRUNING
    for _ in range(2):
        await ward.sweep()
    first, second = cuts((1,), None)
    assert ward.desk.asked_for(Prune) == [cuts(None, None)[0], first, second, *cuts((2,), (5,))]
    ward.desk.asked.clear()
    ward.clock.passed = FRESH_LOOK
    for _ in range(2):
        await ward.sweep()
    assert ward.desk.asked_for(Prune) == cuts(None, None)


@pytest.mark.parametrize(("took", "pause"), [(0.0, 0.0), (0.5, 1.5)])
async def test_after_a_slice_of_retention_others_have_the_storage_three_times_as_long(
    took: float, pause: float
) -> None:
    ward = Ward(NOTHING, retention=60)
    ward.pruned = [Pruned(500, more=True)]
    prune = ward.desk.prune

    async def takes_its_time(message: object) -> Any:
        ward.clock.passed += took
        return await prune(message)

    ward.desk.prune = takes_its_time  # type: ignore[method-assign,assignment]
    ward.clock.passed = 8.0
    assert await ward.sweep() == pause

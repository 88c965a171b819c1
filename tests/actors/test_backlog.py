"""Claimed jobs wait in order, and as many executors wake as there is work for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto.actors.backlog import Backlog
from trio_gusto.actors.lease import Lease

SPAN = 10


def backlog(ageing: int | None = None) -> tuple[Backlog, list[str]]:
    rung: list[str] = []
    return Backlog(lambda: rung.append("ring"), ageing), rung


def due(number: int, priority: int, at: int) -> Lease:
    one = lease(number, priority)
    one.claimed.due = at
    return one


def test_an_empty_one_has_nothing_to_take() -> None:
    waiting, rung = backlog()
    assert (len(waiting), waiting.idle, waiting.pop(), waiting.take_all()) == (0, 0, None, [])
    waiting.put([])
    assert (len(waiting), rung) == (0, [])


def test_jobs_of_a_priority_stand_together_however_they_come() -> None:
    waiting, _ = backlog()
    first, high, second, third = lease(1), lease(2, 7), lease(3), lease(4)
    waiting.put([first, high, second])
    waiting.put([third])
    assert waiting.take_all() == [high, first, second, third]


def test_what_is_put_first_goes_before_its_equals_and_behind_what_is_more_important() -> None:
    waiting, _ = backlog()
    high, equal, low, early = lease(1, 9), lease(2, 4), lease(3, 1), lease(4, 4)
    waiting.put([equal, low, high])
    waiting.put_first(early)
    assert len(waiting) == 4
    assert waiting.take_all() == [high, early, equal, low]


def test_with_ageing_a_span_of_waiting_counts_as_a_step_of_priority() -> None:
    waiting, _ = backlog(ageing=SPAN)
    late, old, urgent = due(1, 1, 25), due(2, 0, 14), due(3, 2, 36)
    waiting.put([late, urgent, old])
    assert waiting.take_all() == [old, late, urgent]


def test_with_ageing_what_is_put_first_goes_before_those_of_its_age_only() -> None:
    waiting, _ = backlog(ageing=SPAN)
    older, same, first, later = due(1, 0, 14), due(2, 0, 15), due(3, 1, 25), due(4, 0, 16)
    waiting.put([later, same, older])
    waiting.put_first(first)
    assert waiting.take_all() == [older, first, same, later]


@pytest.mark.parametrize(
    ("is_wanted", "low_water", "rings"),
    [(True, None, [0, 0, 0, 1]), (True, 2, [0, 1, 1, 1]), (False, 2, [0, 0, 0, 0])],
)
def test_where_more_is_wanted_it_rings_once_as_it_falls_to_the_low_water_which_is_none_at_first(
    is_wanted: bool, low_water: int | None, rings: list[int]
) -> None:
    waiting, rung = backlog()
    assert not waiting.is_wanted
    waiting.is_wanted = is_wanted
    if low_water is not None:
        waiting.low_water = low_water
    waiting.put([lease(number) for number in range(4)])
    heard: list[int] = []
    while waiting.pop() is not None:
        heard.append(len(rung))
    assert heard == rings


@pytest.mark.parametrize("is_wanted", [True, False])
async def test_an_executor_with_nothing_to_do_rings_only_where_that_is_wanted(
    is_wanted: bool,
) -> None:
    waiting, rung = backlog()
    if is_wanted:
        waiting.is_wanted = True
    with trio.move_on_after(0):
        await waiting.park()
    assert len(rung) == is_wanted


async def idle_of_three(waiting: Backlog, nursery: trio.Nursery) -> set[int]:
    """Three executors that wait, one after the other; returns those that have woken."""
    woken: set[int] = set()

    async def execute(number: int) -> None:
        await waiting.park()
        woken.add(number)

    for number in range(3):
        nursery.start_soon(execute, number)
        await wait_all_tasks_blocked()
    return woken


async def test_jobs_wake_one_executor_at_first_and_others_as_it_asks_for_them() -> None:
    waiting, _ = backlog()
    async with trio.open_nursery() as nursery:
        woken = await idle_of_three(waiting, nursery)
        waiting.put([lease(1), lease(2)])
        await wait_all_tasks_blocked()
        assert (woken, waiting.idle) == ({0}, 2)
        waiting.wake(5)  # as many as there are jobs
        await wait_all_tasks_blocked()
        assert (woken, waiting.idle) == ({0, 1, 2}, 0)
        waiting.wake(5)  # and nobody waits any more


async def test_no_more_executors_are_woken_than_there_are_jobs_for_or_than_was_asked() -> None:
    waiting, _ = backlog()
    async with trio.open_nursery() as nursery:
        woken = await idle_of_three(waiting, nursery)
        waiting.wake(3)
        await wait_all_tasks_blocked()
        assert woken == set()
        waiting.put_first(lease(1))
        waiting.wake(3)
        await wait_all_tasks_blocked()
        assert woken == {0}
        waiting.put_first(lease(2))
        waiting.wake(1)
        await wait_all_tasks_blocked()
        assert woken == {0, 1}
        nursery.cancel_scope.cancel()
    assert waiting.idle == 0


async def test_executors_may_be_called_in_for_nothing() -> None:
    waiting, _ = backlog()
    async with trio.open_nursery() as nursery:
        woken = await idle_of_three(waiting, nursery)
        waiting.call_in(2)
        await wait_all_tasks_blocked()
        assert woken == {0, 1}
        waiting.call_in(2)
        await wait_all_tasks_blocked()
        assert woken == {0, 1, 2}

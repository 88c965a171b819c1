"""How much a poller claims, as what it holds stands in the backlog or in the lines of lanes."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.actors.test_roster import lease
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.supply import MOST_AHEAD, Supply
from trio_gusto.model import queues
from trio_gusto.model.ids import JobId
from trio_gusto.model.job import Details
from trio_gusto.options import Options

AHEAD = 10


def in_lane(number: int, worker: str) -> Lease:
    one = lease(number)
    one.claimed.request.details = Details(worker=worker)
    return one


@pytest.mark.parametrize(
    ("executors", "in_line", "room"),
    [(1, 0, AHEAD), (1, 4, AHEAD - 4), (1, 6, 0), (5, 20, AHEAD - 2)],
)
def test_what_waits_in_a_line_for_an_executor_at_work_is_held(
    executors: int, in_line: int, room: int
) -> None:
    roster = Roster(executors)
    supply = Supply(roster, Options(prefetch=AHEAD), is_gated=False)
    row = [in_lane(number, "smtp") for number in range(1 + in_line)]
    roster.stand_in_lanes(row)
    assert supply.room() == room


@pytest.mark.parametrize(
    ("options", "backlog", "leases", "room"),
    [
        pytest.param({"prefetch": 10}, 0, 0, 10, id="nothing is held"),
        pytest.param({"prefetch": 11}, 5, 5, 6, id="just low enough"),
        pytest.param({"prefetch": 11}, 6, 6, 0, id="more than half full"),
        pytest.param({"prefetch": 10}, 0, 44, 2, id="many outcomes are not taken yet"),
        pytest.param({"prefetch": 10}, 0, 60, 0, id="too many outcomes are not taken yet"),
        pytest.param({"prefetch": 0}, 0, 0, 0, id="no prefetch"),
        pytest.param({}, 0, 0, 0, id="nothing is known of how long jobs take"),
    ],
)
def test_beyond_its_executors_a_node_holds_what_it_is_told_to(
    options: dict[str, Any], backlog: int, leases: int, room: int
) -> None:
    roster = Roster(3)
    roster.leases = {JobId(bytes([number])): lease(number) for number in range(leases)}
    for number in range(backlog):
        roster.backlog.put_first(lease(number))
    assert Supply(roster, Options(**options), is_gated=False).room() == room
    assert roster.backlog.low_water == options.get("prefetch", 0) // 2


@pytest.mark.parametrize(
    ("idle", "prefetch", "room"),
    [
        pytest.param(2, 1, 3, id="for each that is free, and ahead"),
        pytest.param(20, 3, 4, id="no more than a batch"),
        pytest.param(20, 10, 10, id="a batch is as large as what is held ahead"),
    ],
)
async def test_free_executors_are_claimed_for(idle: int, prefetch: int, room: int) -> None:
    roster = Roster(idle)
    async with trio.open_nursery() as nursery:
        for _ in range(idle):
            nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        options = Options(prefetch=prefetch, batch_size=4)
        assert Supply(roster, options, is_gated=False).room() == room
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("mean", "round_seconds", "ahead", "ahead_of_one"),
    [
        pytest.param(1000.0, 0.002, 12, 4, id="twice what is finished in a round"),
        pytest.param(1000.0, 0.00077, 4, 1, id="in whole jobs"),
        pytest.param(0.5, 0.0001, 600, 200, id="none takes less than a microsecond"),
        pytest.param(1.0, 1.0, MOST_AHEAD, MOST_AHEAD, id="never more than the most"),
        pytest.param(9_000_000.0, 0.002, 0, 0, id="slow jobs"),
        pytest.param(None, 0.002, 0, 0, id="nothing is known"),
    ],
)
def test_quick_jobs_are_held_ahead_as_many_as_end_in_a_round(
    mean: float | None, round_seconds: float, ahead: int, ahead_of_one: int
) -> None:
    roster = Roster(3)
    roster.mean_duration = mean
    supply = Supply(roster, Options(), is_gated=False)
    if round_seconds != 0.002:  # as it begins
        supply.round_seconds = round_seconds
    assert supply.room() == ahead
    assert supply.depth() == 1 + 2 * ahead_of_one


def test_what_stands_in_lines_is_held_beside_the_backlog_while_all_are_at_work() -> None:
    roster = Roster(3)
    supply = Supply(roster, Options(prefetch=AHEAD), is_gated=False)
    roster.stand_in_lanes([in_lane(number, "smtp") for number in range(5)])
    assert supply.room() == AHEAD - 3, "one executor's share, rounded down"
    roster.backlog.put_first(lease(9))
    assert supply.room() == AHEAD - 4


def test_of_more_lines_than_executors_as_many_count_as_are_served() -> None:
    roster = Roster(1)
    supply = Supply(roster, Options(prefetch=AHEAD), is_gated=False)
    for lane in ("smtp", "fax"):
        roster.stand_in_lanes([in_lane(number, lane) for number in range(4)])
    assert supply.room() == AHEAD - 3


async def test_what_stands_in_lines_is_nothing_for_a_free_executor() -> None:
    roster = Roster(1)
    supply = Supply(roster, Options(prefetch=AHEAD, batch_size=50), is_gated=False)
    roster.stand_in_lanes([in_lane(number, "smtp") for number in range(5)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(roster.backlog.park)
        await wait_all_tasks_blocked()
        assert supply.room() == AHEAD + 1
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("prefetch", "is_gated", "depth"), [(5, False, 6), (0, False, 1), (5, True, 1)]
)
def test_of_one_lane_a_node_holds_one_and_what_it_is_told_to(
    prefetch: int, is_gated: bool, depth: int
) -> None:
    assert Supply(Roster(1), Options(prefetch=prefetch), is_gated=is_gated).depth() == depth


WEIGHTS = {"mail": 2, "reports": 1}


def served(order: str | None) -> Supply:
    named: Any = {} if order is None else {"queues": WEIGHTS, "queue_order": order}
    return Supply(Roster(1), Options(**named), is_gated=False)


def test_weighted_queues_go_on_sharing_where_the_last_claim_ended() -> None:
    supply = served("weighted")
    shares = [supply.queues(limit) for limit in (1, 2, 5)]
    begins = zip((1, 2, 5), (0, 1, 3), strict=True)
    assert shares == [tuple(queues.shares(WEIGHTS, limit, notch)) for limit, notch in begins]


def test_strict_queues_are_emptied_one_after_the_other() -> None:
    assert served("strict").queues(5) == (("mail", 5), ("reports", 5))


def test_where_no_queues_are_named_all_are_served_in_one_order() -> None:
    assert served(None).queues(5) is None


@pytest.mark.parametrize(
    ("order", "positions"),
    [("weighted", [0, 1, 3, 2]), ("strict", [0, 1, 2, 3]), (None, [0, 1, 2, 3])],
)
def test_within_a_claim_jobs_of_weighted_queues_take_turns(
    order: str | None, positions: list[int]
) -> None:
    jobs = [lease(number).claimed for number in range(4)]
    for one, queue in zip(jobs, ("mail", "mail", "mail", "reports"), strict=True):
        one.request.queue = queue
    turns = served(order).in_turn(jobs)
    assert turns == [jobs[position] for position in positions]

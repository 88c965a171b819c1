"""How much a poller claims, as what it holds stands in the backlog or in the lines of lanes."""

from __future__ import annotations

import pytest

from tests.actors.test_roster import lease
from trio_gusto.actors.lease import Lease
from trio_gusto.actors.roster import Roster
from trio_gusto.actors.supply import Supply
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

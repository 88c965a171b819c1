"""Claims of `MemoryStorage` in which whoever waits rises in priority."""

from __future__ import annotations

import pytest

from tests.storage.lettered import Line
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Committed
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.testing.storage_contract.subject import NOW, SECOND

HOUR = 3_600 * SECOND


@pytest.fixture
async def line() -> Line:
    storage = MemoryStorage()
    await storage.attach("one")
    return Line(storage, "one")


@pytest.mark.parametrize("lanes", ["", "abcd", "ac", "bd"], ids=lambda each: each or "none")
@pytest.mark.parametrize("limit", [1, 2, 9])
@pytest.mark.parametrize("from_the_first", [True, False], ids=["from the first", "later"])
async def test_whoever_waits_rises(
    line: Line, lanes: str, limit: int, from_the_first: bool
) -> None:
    if from_the_first:
        assert await line.names(ageing=SECOND) == ""
    for name, priority, age in (("d", 2, 0), ("a", 0, 5), ("c", 1, 2), ("b", 2, 2)):
        due = NOW - age * SECOND
        lane = "key" if name in lanes else None
        await line.put(name, lane, 9, priority=priority, created_at=due)
    found = ""
    while names := await line.names(limit, ageing=SECOND):
        found += names
    assert found == "abcd"


@pytest.mark.parametrize("lane", [None, "key"])
async def test_of_jobs_that_stand_at_one_place_the_first_one_comes_first(
    line: Line, lane: str | None
) -> None:
    await line.put("a", lane, 9, priority=1)
    await line.put("b", lane, 9, created_at=NOW - SECOND)
    await line.put("c", lane, 9, priority=1)
    await line.put("d", lane, 9, priority=2, created_at=NOW + SECOND)
    assert await line.names(now=NOW + SECOND, ageing=SECOND) == "abcd"


async def test_the_order_changes_with_the_claim(line: Line) -> None:
    for lane in ("x", "y"):
        await line.put("l", lane, 9, created_at=NOW - HOUR)
        await line.put("h", lane, 9, priority=1)
    assert await line.names(1, ageing=SECOND) == "l"
    assert await line.names(1) == "h"
    assert await line.names(1, ageing=SECOND) == "l"
    assert await line.names(1, ageing=2 * HOUR) == "h"


async def test_a_job_put_back_where_it_was_rises_once(line: Line) -> None:
    """It stands with the jobs of its tenant, and with all others."""
    await line.put("a", tenant="acme", expire_on=NOW + HOUR)
    await line.expect(Committed, PutPause(None, "acme", "", NOW))
    assert await line.names() == ""
    for now in (NOW + HOUR, NOW):  # the clock steps back
        await line.storage.read(Stranded("one", now, 9))
    await line.expect(Committed, LiftPauses())
    await line.put("b")
    assert await line.names(ageing=SECOND) == "ab"


async def test_a_lane_that_comes_late_stands_where_its_job_does(line: Line) -> None:
    """Also where instants are shorter than the span of ageing: at the beginning of time."""
    await line.put("bc", "y", 9, priority=1, created_at=0)
    assert await line.names(1, 0, ageing=SECOND) == "b"
    await line.put("a", "x", 9, priority=2, created_at=0)
    assert await line.names(1, 0, ageing=SECOND) == "a"
    assert await line.names(1, 0, ageing=SECOND) == "c"

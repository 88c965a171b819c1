"""Claims of `MemoryStorage` that meet jobs in lanes, or queues with a rate."""

from __future__ import annotations

import attrs
import pytest

from tests.storage.lettered import Line
from trio_gusto.model.job import Details
from trio_gusto.model.outcomes import AttemptOutcome
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Cancelled, Ready
from trio_gusto.storage.lease_messages import Stranded
from trio_gusto.storage.memory import MemoryStorage, agenda
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.testing.storage_contract.subject import NOW, SECOND, put_back

HOUR = 3_600 * SECOND


@pytest.fixture
async def line() -> Line:
    storage = MemoryStorage()
    await storage.attach("one")
    return Line(storage, "one")


# --- in lanes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "left"), [("a", "bc"), ("b", "ac"), ("c", "ab")])
async def test_a_job_in_a_lane_that_was_called_off_is_not_claimed(
    line: Line, name: str, left: str
) -> None:
    await line.put("abc", "key", 9)
    await line.call_off(name)
    assert await line.names() == left


async def test_the_last_job_of_a_lane_may_be_called_off(line: Line) -> None:
    await line.put("a", "key", priority=3)
    await line.call_off("a")
    reply = await line.claim()
    assert (list(reply.jobs), reply.held) == ([], False)
    await line.put("b", "key", priority=3)
    assert await line.names() == "b"


async def test_an_expired_job_may_be_called_off_when_its_lane_is_gone(line: Line) -> None:
    await line.put("a", "key", expire_on=NOW + 1)
    await line.put("b", "key")
    assert await line.names(now=NOW + 1) == "b"
    await line.call_off("a")
    assert (await line.claim(NOW + 1)).held is False


async def test_jobs_called_off_in_a_lane_leave_no_trace(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "FEW", 3)
    await line.put("z", "key")
    for _ in range(20):
        await line.put("a", "key", priority=2)
        job = (await line.everything())[0]
        await line.expect(Committed, Commit(job.request.id, 0, Cancelled(NOW, "no"), 0))
    assert isinstance(line.storage, MemoryStorage)
    assert line.storage._index.count_ready() <= 5
    assert await line.names() == "z"


async def test_a_lane_that_is_empty_is_forgotten(line: Line) -> None:
    await line.put("ab", "x", queue="one")
    await line.put("c", "x", queue="two")
    await line.put("de", "y", 2)
    while jobs := await line.take(depth=2):
        assert await line.names(depth=2, node="other") == ""
        await line.end(*jobs)
    assert isinstance(line.storage, MemoryStorage)
    lanes = line.storage._index.lanes
    assert not lanes
    assert not any([lanes._leases, lanes._held, lanes._split])


async def test_a_job_that_is_not_due_yet_keeps_its_place_in_its_lane(line: Line) -> None:
    """Of a higher priority than one that is: the clock stepped back."""
    await line.put_ready("b", NOW + 5, "key", priority=3)
    await line.put_ready("a", NOW, "key")
    await line.put_ready("d", NOW, "key")
    await line.put_ready("c", NOW + 5, "other", priority=1)
    assert await line.names(1) == "a"
    assert [await line.names(1, NOW + 5) for _ in range(3)] == ["b", "c", "d"]


async def test_a_line_stands_where_its_first_job_does(line: Line) -> None:
    """Whatever comes before it, and whatever of it is called off."""
    await line.put("b", "key", 9, created_at=NOW - 5)
    await line.put("d")
    await line.put("c", created_at=NOW - 1)
    await line.put("a", "key", 9, created_at=NOW - 9)
    await line.put("e", "key", 9)
    assert await line.names(2) == "ab"
    await line.put("f", created_at=NOW + 1)
    await line.put("x", "key", 9, created_at=NOW - 99)
    await line.call_off("x")
    assert await line.names(now=NOW + 1) == "cdef"


async def test_a_line_that_waits_stands_where_its_first_job_does(line: Line) -> None:
    await line.put("ab", "key")
    (first,) = await line.take()
    await line.put("c", "other")
    await line.put("d", "key")
    await line.end(first)
    assert await line.names(1) == "b"


async def test_a_lane_that_is_empty_is_in_no_other_lanes_way(line: Line) -> None:
    await line.put("a", "x")
    await line.put("b", "y")
    await line.call_off("a")
    assert await line.names() == "b"


async def test_priorities_of_a_line_stand_above_its_instants(line: Line) -> None:
    for name, priority in (("d", -1), ("c", 0), ("a", 5), ("b", 0)):
        due = NOW - 9 if name == "b" else NOW
        await line.put(name, "key", 9, priority=priority, created_at=due)
    assert await line.names() == "abcd"


@pytest.mark.parametrize("ageing", [None, HOUR])
@pytest.mark.parametrize("lane", [None, "key"])
async def test_nothing_is_claimed_before_it_is_due(
    line: Line, lane: str | None, ageing: int | None
) -> None:
    for name, due in (("c", 5), ("a", 0), ("b", 2)):
        await line.put_ready(name, NOW + due, lane)
    found = [await line.names(now=NOW + number, ageing=ageing) for number in (-1, 0, 1, 2, 4, 5)]
    assert found == ["", "a", "", "b", "", "c"]


async def test_a_lease_that_ends_makes_room_for_one(line: Line) -> None:
    await line.put("abcd", "key", 2)
    (first,) = await line.take(1)
    (second,) = await line.take(node="other")
    assert await line.names() == ""
    await line.end(first)
    assert await line.names() == "c", "the lease of the other node is there still"
    await line.end(second)
    assert await line.names() == "d"


async def test_jobs_of_other_rooms_count_too(line: Line) -> None:
    await line.put("a", "key", 3)
    await line.put("b", "key", 2)
    await line.put("cd", "key", 3)
    first, second, third = await line.take()
    assert [job.request.name for job in (first, second, third)] == ["a", "b", "c"]
    await line.end(first)
    assert await line.names() == "d"
    await line.end(second, third)


async def test_a_node_that_has_ended_its_row_begins_another(line: Line) -> None:
    await line.put("ab", "x")
    await line.put("c", "y")
    first, second, third = await line.take(depth=2)
    await line.end(first, second)
    await line.put("d", "x")
    await line.put("e", "y")
    assert await line.names(depth=2) == "de"
    await line.end(third)


async def test_a_row_may_grow_when_another_of_the_node_has_ended(line: Line) -> None:
    await line.put("ab", "x")
    await line.put("cd", "y")
    first, _ = await line.take()
    assert await line.names() == ""
    await line.end(first)
    assert await line.names(depth=2) == "bd"


async def test_a_row_is_no_longer_than_its_node_may_hold(line: Line) -> None:
    await line.put("abcde", "x")
    assert await line.names(depth=2) == "ab"
    assert await line.names(depth=2) == ""
    assert await line.names(depth=3) == "c"
    assert await line.names(depth=9, node="other") == ""


async def test_a_lane_of_several_queues_is_met_by_claims_of_each(line: Line) -> None:
    await line.put("a", "key", 9, queue="one")
    await line.put("b", "key", 9, queue="two")
    await line.put("c", "key", 9, queue="one")
    assert await line.names(queues=[("three", 9)]) == ""
    assert await line.names(queues=[("two", 9)]) == "b"
    assert await line.names() == "ac"


async def test_a_job_that_waits_in_one_queue_waits_in_all_that_a_claim_is_for(line: Line) -> None:
    await line.put("a", "key", 2, queue="one")
    await line.put("b", "key", 1, queue="one")  # it has to be alone
    await line.put("c", "key", 2, queue="two")
    (first,) = await line.take(queues=[("one", 9), ("two", 9)])
    assert await line.names(queues=[("two", 9)]) == "c"
    await line.end(first)
    assert await line.names() == ""


async def test_a_lane_of_three_queues_is_one_of_two_when_one_is_empty(line: Line) -> None:
    await line.put("a", "key", 2, queue="one")
    await line.put("b", "key", 1, queue="one")  # it has to be alone
    await line.put("c", "key", 2, queue="two")
    await line.put("d", "key", 2, queue="three", priority=9)
    await line.end(*await line.take(1))
    assert await line.names(queues=[("one", 9), ("two", 9)]) == "a"
    assert await line.names(queues=[("two", 9)]) == "c"


async def test_lanes_at_work_elsewhere_are_closed_until_they_are_not(line: Line) -> None:
    await line.put("a", "x")
    await line.put("b", "y")
    assert await line.names(closed_lanes=["key x", "key y"]) == ""
    assert await line.names(closed_lanes=["key x"]) == "b"
    assert await line.names() == "a"


async def test_a_lane_closed_elsewhere_does_not_keep_plain_jobs(line: Line) -> None:
    await line.put("a", "x", priority=5)
    await line.put("b")
    assert await line.names(closed_lanes=["key x"]) == "b"


async def test_jobs_in_lanes_are_held_only_where_leases_are_what_they_wait_for(line: Line) -> None:
    await line.put("a", "x")
    await line.put("b", "x", expire_on=NOW + 5, priority=-2)
    await line.put_ready("z", NOW + 99, "x")
    reply = await line.claim()
    assert (len(reply.jobs), reply.held, reply.in_lanes) == (1, True, True)
    reply = await line.claim(NOW + 4)
    assert (len(reply.jobs), reply.held, reply.in_lanes) == (0, True, False)
    reply = await line.claim(NOW + 5)
    assert (len(reply.jobs), reply.held) == (0, False)
    limit = Details(rate_key="api", rate_limit=RateLimit(1, per=60))
    for name in "cd":
        await line.enqueue(name=name, details=limit)
    reply = await line.claim(NOW + 5)
    assert (len(reply.jobs), reply.held) == (1, False), "the other waits for a token"


async def test_an_expired_job_in_a_lane_is_claimed_again_at_an_earlier_instant(line: Line) -> None:
    await line.put("a", "key", expire_on=NOW + 5)
    assert await line.names(now=NOW + 5) == ""
    stranded = await line.storage.read(Stranded("one", NOW + 5, 9))
    assert len(stranded.overdue) == 1
    assert await line.names() == "a"


async def test_what_was_given_back_stands_where_it_was(line: Line) -> None:
    await line.put("abc", "key", 9, max_attempts=9)
    first, second, _ = await line.take()
    for job in (second, first):
        again = attrs.evolve(put_back(job, Ready(job.due), AttemptOutcome.RELEASED), attempt=0)
        await line.expect(Committed, again)
    await line.put("d", "key", 9)
    assert await line.names() == "abd"


# --- beside them ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ageing", [None, HOUR])
async def test_an_expired_job_is_not_claimed_beside_one_in_a_lane(
    line: Line, ageing: int | None
) -> None:
    await line.put("a", expire_on=NOW + 1)
    await line.put("b", "key")
    await line.put("c", expire_on=NOW + 2)
    assert await line.names(now=NOW + 1, ageing=ageing) == "bc"


async def test_a_queue_without_tokens_is_passed_over(line: Line) -> None:
    rates = {"slow": RateLimit(1, per=60)}
    await line.put("ac", queue="slow")
    await line.put("b", queue="fast")
    assert await line.names(queue_rates=rates) == "ab"
    await line.put("d", queue="fast", priority=-1)
    assert await line.names(queue_rates=rates) == "d"
    assert await line.names(now=NOW + 60 * SECOND, queue_rates=rates) == "c"


async def test_a_queue_that_is_not_served_is_no_reason_to_come_back(line: Line) -> None:
    rates = {"slow": RateLimit(1, per=60)}
    await line.put("ab", queue="slow")
    assert (await line.claim(queue_rates=rates)).next_due == NOW + 60 * SECOND
    reply = await line.claim(queues=[("fast", 9)], queue_rates=rates)
    assert (reply.next_due, reply.held, reply.in_lanes) == (None, False, False)


async def test_the_next_job_may_be_due_before_a_token_is_there(line: Line) -> None:
    limit = Details(rate_key="api", rate_limit=RateLimit(1, per=60))
    for name in "ab":
        await line.enqueue(name=name, details=limit)
    assert (await line.claim()).next_due == NOW + 60 * SECOND
    await line.put("c", execute_after=NOW + 5)
    assert (await line.claim()).next_due == NOW + 5


async def test_jobs_of_a_paused_tenant_stay_in_their_lane(line: Line) -> None:
    await line.put("ab", "key", tenant="acme")
    await line.expect(Committed, PutPause(None, "acme", "", NOW))
    assert await line.names() == ""
    await line.expect(Committed, LiftPauses())
    assert await line.names() == "a"
    assert await line.names() == ""


@pytest.mark.parametrize("lane", [None, "key"])
async def test_names_that_a_node_does_not_know_wait_for_another(
    line: Line, lane: str | None
) -> None:
    await line.put("xay", lane, 9)
    await line.put("b", "other")
    assert await line.names(skip_names=["x", "y"]) == "ab"
    assert await line.names() == "xy"

"""Claims of `MemoryStorage` in which tenants take turns: who comes next, and who is passed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from trio_gusto.model.job import Details
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Cancelled, Ready
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import Commit, Committed
from trio_gusto.storage.pause_messages import LiftPauses, PutPause
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import NOW


class Tenants(Subject):
    """A storage to which jobs of tenants come, and are claimed in turn."""

    async def put(self, tenants: str, worker: str | None = None, **parts: Any) -> None:
        """A job of each of these tenants, in this order; of these workers, if any."""
        details = None if worker is None else Details(worker=worker)
        for tenant in tenants:
            await self.enqueue(tenant=tenant, details=details, **parts)

    async def next(self, limit: int = 99, now: int = NOW, **claim: Any) -> str:
        """Whose jobs are claimed."""
        asked: dict[str, Any] = {"tenant_weights": {}, **claim}
        reply = await self.claim(now, limit=limit, **asked)
        return "".join(job.request.tenant for job in reply.jobs)


@pytest.fixture
async def tenants() -> Tenants:
    storage = MemoryStorage()
    await storage.attach("node")
    return Tenants(storage, "node")


@pytest.mark.parametrize("queues", [None, [("mail", 1)]], ids=["of all queues", "of one"])
@pytest.mark.parametrize("priority", [0, 5])
async def test_turns_are_remembered_from_claim_to_claim(
    tenants: Tenants, queues: Sequence[tuple[str, int]] | None, priority: int
) -> None:
    await tenants.put("aaabb", queue="mail", priority=priority)
    found = [await tenants.next(1, queues=queues) for _ in range(5)]
    assert "".join(found) == "ababa"


async def test_turns_of_one_queue_are_none_of_another(tenants: Tenants) -> None:
    await tenants.put("aab", queue="mail")
    await tenants.put("ab", queue="prints")
    assert await tenants.next(1, queues=[("mail", 1)]) == "a"
    assert await tenants.next(1, queues=[("prints", 1)]) == "a"
    assert await tenants.next(1) == "a", "nor of all of them together"
    assert await tenants.next(1) == "b"


async def test_a_queue_that_gets_more_than_its_share_goes_on_with_its_turns(
    tenants: Tenants,
) -> None:
    await tenants.put("aabb", queue="mail")
    assert await tenants.next(queues=[("mail", 1)]) == "abab"


async def test_a_tenant_has_one_turn_whatever_queue_it_is_served_of(tenants: Tenants) -> None:
    await tenants.put("aa", queue="mail")
    await tenants.put("aa", queue="prints")
    await tenants.put("bbb", queue="prints")
    assert await tenants.next() == "abababa"


@pytest.mark.parametrize("workers", [(None, None), ("x", None), (None, "x"), ("x", "y")], ids=str)
async def test_priorities_stand_above_turns(
    tenants: Tenants, workers: tuple[str | None, str | None]
) -> None:
    high, low = workers
    await tenants.put("l", low, priority=-3)
    await tenants.put("h", high, priority=7)
    await tenants.put("h", priority=7)
    assert await tenants.next() == "hhl"


async def test_a_claim_that_is_filled_leaves_jobs_in_lanes(tenants: Tenants) -> None:
    for worker, tenant in (("x", "a"), ("y", "b"), ("z", "c")):
        await tenants.put(tenant, worker)
    assert [await tenants.next(1) for _ in range(4)] == ["a", "b", "c", ""]


async def test_jobs_in_lanes_take_their_turns_among_themselves(tenants: Tenants) -> None:
    for worker, tenant in (("u", "a"), ("v", "a"), ("w", "b"), ("x", "b")):
        await tenants.put(tenant, worker)
    await tenants.put("b")
    assert await tenants.next() == "ababb"


async def test_jobs_in_lanes_keep_their_place_before_those_in_none(tenants: Tenants) -> None:
    for worker, tenant in (("u", "a"), ("v", "b")):
        await tenants.put(tenant, worker)
    await tenants.put("cc")
    assert await tenants.next() == "abcc"


async def test_a_lane_that_is_full_is_passed_over(tenants: Tenants) -> None:
    await tenants.put("ab", "smtp")
    await tenants.put("cd")
    assert await tenants.next() == "acd"
    assert await tenants.next() == ""


async def test_a_lane_that_becomes_full_is_passed_over(tenants: Tenants) -> None:
    key = Details(concurrency_key="key", concurrency_limit=2)
    for tenant in "abc":
        await tenants.enqueue(tenant=tenant, details=key)
    await tenants.put("dd")
    assert await tenants.next() == "abdd"
    assert await tenants.next() == ""


@pytest.mark.parametrize("worker", [None, "smtp"])
async def test_names_that_a_node_does_not_know_wait_for_another(
    tenants: Tenants, worker: str | None
) -> None:
    await tenants.put("a", worker, name="unknown")
    await tenants.put("b", worker)
    await tenants.put("c")
    assert await tenants.next(skip_names=["unknown"]) == "bc"
    assert await tenants.next(depth=2) == "a"


@pytest.mark.parametrize("claim", [{}, {"tenant_weights": None}], ids=["by turns", "in order"])
@pytest.mark.parametrize("worker", [None, "smtp"])
@pytest.mark.parametrize(
    ("queue", "tenant", "left"),
    [
        ("mail", "a", "ba"),
        ("mail", None, "a"),
        (None, "a", "b"),
        ("mail", "b", "aa"),
        (None, None, ""),
    ],
)
async def test_what_is_paused_waits_until_it_is_resumed(
    tenants: Tenants,
    queue: str | None,
    tenant: str | None,
    left: str,
    worker: str | None,
    claim: dict[str, Any],
) -> None:
    await tenants.put("ab", worker, queue="mail")
    await tenants.put("a", worker, queue="prints")
    await tenants.expect(Committed, PutPause(queue, tenant, "", NOW))
    assert sorted(await tenants.next(depth=9, **claim)) == sorted(left)
    await tenants.expect(Committed, LiftPauses())
    assert sorted(left + await tenants.next(depth=9, **claim)) == sorted("aab")


@pytest.mark.parametrize("worker", [None, "smtp"])
async def test_expired_jobs_take_nobodys_turn(tenants: Tenants, worker: str | None) -> None:
    await tenants.put("a", worker, expire_on=NOW, created_at=NOW - 1)
    await tenants.put("ab", worker)
    assert await tenants.next(depth=2) == "ab"


@pytest.mark.parametrize("worker", [None, "smtp"])
async def test_nothing_is_claimed_before_it_is_due(tenants: Tenants, worker: str | None) -> None:
    """As when the clock stepped back."""
    details = None if worker is None else Details(worker=worker)
    for tenant, due in (("a", NOW), ("a", NOW + 2), ("b", NOW + 1)):
        request = tenants.request(tenant=tenant, details=details)
        await tenants.insert(request, states=[Ready(due)])
    found = [await tenants.next(now=NOW + number, depth=9) for number in (-1, 0, 1, 2)]
    assert found == ["", "a", "b", "a"]


@pytest.mark.parametrize("worker", [None, "smtp"])
async def test_a_queue_without_tokens_is_passed_over(tenants: Tenants, worker: str | None) -> None:
    rates = {"slow": RateLimit(1, per=60)}
    await tenants.put("abb", queue="slow")
    await tenants.put("a", worker, queue="slow", priority=-1)
    await tenants.put("bba", queue="fast")
    await tenants.put("c", queue="fast", priority=-2)
    assert await tenants.next(queue_rates=rates) == "abbac"
    minute = 60_000_000
    assert await tenants.next(now=NOW + minute, queue_rates=rates) == "b"
    assert await tenants.next() == "ba"


async def test_in_a_lane_that_is_full_no_queue_keeps_others_from_their_turn(
    tenants: Tenants,
) -> None:
    """A job of another queue did so when its tenant had had more than the others."""
    await tenants.put("a", "smtp", priority=5)
    await tenants.put("a")
    assert await tenants.next() == "aa"
    await tenants.put("a", "smtp", priority=5)
    await tenants.put("a", "smtp", queue="b")
    await tenants.put("a", "smtp", queue="c")
    await tenants.put("b", "imap")
    await tenants.put("c")
    assert await tenants.next() == "bc"


async def test_a_lane_without_tokens_is_looked_at_again_in_all_of_its_queues(
    tenants: Tenants,
) -> None:
    """It is closed when they come up, and open when they come up later."""
    limit = Details(rate_key="api", rate_limit=RateLimit(1, per=60))
    for queue in "abc":
        await tenants.enqueue(tenant=queue, queue=queue, details=limit)
    await tenants.put("d")
    assert await tenants.next() == "ad"
    minute = 60_000_000
    assert await tenants.next(now=NOW + minute, queues=[("c", 9)]) == "c"
    assert await tenants.next(now=NOW + 2 * minute) == "b"


async def test_a_lane_without_tokens_is_not_forgotten_in_a_claim_in_which_a_queue_closes(
    tenants: Tenants,
) -> None:
    """It is met twice then: before the queue was closed, and when what is left is filled of the others."""
    limit = Details(rate_key="api", rate_limit=RateLimit(1, per=60))
    for tenant in "ab":
        await tenants.enqueue(tenant=tenant, details=limit, priority=9)
    await tenants.put("cd", queue="slow", priority=5)
    await tenants.put("e")
    rates = {"slow": RateLimit(1, per=60)}
    assert await tenants.next(queue_rates=rates) == "ace"
    minute = 60_000_000
    assert await tenants.next(now=NOW + minute, queue_rates=rates) == "bd"


async def test_weights_count_by_tenant(tenants: Tenants) -> None:
    await tenants.put("aaaabbbb")
    assert await tenants.next(6, tenant_weights={"a": 2}) == "abaaba"


@pytest.mark.parametrize(
    ("queue", "tenant", "left"), [("mail", None, ""), (None, "a", "b"), ("mail", "a", "b")]
)
async def test_what_is_paused_as_a_whole_is_not_looked_at(
    tenants: Tenants, queue: str | None, tenant: str | None, left: str
) -> None:
    """Or each claim would begin with many jobs that it must put back."""
    assert await tenants.next() == ""  # from now on each tenant's jobs stand apart
    await tenants.put("ab", queue="mail")
    await tenants.expect(Committed, PutPause(queue, tenant, "", NOW))
    assert await tenants.next(tenant_weights=None) == left
    assert isinstance(tenants.storage, MemoryStorage)
    assert not tenants.storage._index._parked


@pytest.mark.parametrize("ageing", [None, 9])
async def test_jobs_of_a_paused_tenant_are_met_by_one_claim_only(
    tenants: Tenants, ageing: int | None
) -> None:
    await tenants.put("ab")
    await tenants.expect(Committed, PutPause(None, "a", "", NOW))
    assert await tenants.next(tenant_weights=None, ageing=ageing) == "b"
    assert isinstance(tenants.storage, MemoryStorage)
    assert tenants.storage._index._parked


async def test_a_paused_queue_is_not_looked_at(tenants: Tenants) -> None:
    await tenants.put("ab", queue="mail")
    await tenants.expect(Committed, PutPause("mail", None, "", NOW))
    assert await tenants.next(tenant_weights=None) == ""
    assert isinstance(tenants.storage, MemoryStorage)
    assert not tenants.storage._index._parked
    await tenants.expect(Committed, LiftPauses("mail", None))
    assert await tenants.next(tenant_weights=None) == "ab"


@pytest.mark.parametrize("was_in_turn", [False, True], ids=["in one line", "in turns"])
@pytest.mark.parametrize(
    "claim", [{"tenant_weights": None}, {"tenant_weights": None, "ageing": 9}, {}], ids=str
)
async def test_a_job_that_was_called_off_is_not_claimed(
    tenants: Tenants, was_in_turn: bool, claim: dict[str, Any]
) -> None:
    if was_in_turn:
        await tenants.next()
    await tenants.put("abc", priority=4)
    job = (await tenants.everything())[1]
    await tenants.expect(Committed, Commit(job.request.id, 0, Cancelled(NOW, "no"), 0))
    assert await tenants.next(**claim) == "ac"


async def test_of_two_paused_tenants_the_one_that_is_resumed_goes_on(tenants: Tenants) -> None:
    await tenants.put("abc")
    for tenant in "ab":
        await tenants.expect(Committed, PutPause(None, tenant, "", NOW))
    in_order: dict[str, Any] = {"tenant_weights": None}
    assert await tenants.next(**in_order) == "c"
    await tenants.expect(Committed, LiftPauses(None, "b"))
    assert await tenants.next(**in_order) == "b"
    await tenants.expect(Committed, LiftPauses(None, "a"))
    assert await tenants.next(**in_order) == "a"


async def test_a_resumed_tenant_has_its_old_jobs_and_its_new_ones_in_order(
    tenants: Tenants,
) -> None:
    await tenants.put("aa", created_at=NOW - 2)
    await tenants.expect(Committed, PutPause(None, "a", "", NOW))
    assert await tenants.next(tenant_weights=None) == ""
    assert await tenants.next() == ""  # from now on each tenant's jobs stand apart
    await tenants.put("a", created_at=NOW - 9)
    await tenants.put("a")
    await tenants.expect(Committed, LiftPauses(None, "a"))
    due = [job.due for job in (await tenants.claim(tenant_weights={})).jobs]
    assert due == [NOW - 9, NOW - 2, NOW - 2, NOW]

"""What a claim says that is filled by a storage and by the jobs in memory beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import pytest

from tests.storage.beside_pair import Pair
from trio_gusto.model.errors import GustoError, NotSupported
from trio_gusto.model.job import Details, JobRequest
from trio_gusto.model.lanes import lane_of_worker
from trio_gusto.model.rates import RateLimit
from trio_gusto.model.states import Ready
from trio_gusto.storage.beside import Beside, Transient, beside
from trio_gusto.storage.memory import MemoryStorage
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Insert, Write
from trio_gusto.storage.pause_messages import LiftPauses, Pauses, PutPause
from trio_gusto.testing.storage_contract import Subject
from trio_gusto.testing.storage_contract.subject import LEASE, NOW, SECOND, ids, success

IN_MEMORY = Details(durable=False)
IN_MEMORY_ONLY = "in_memory_only"
"""The handler of the job in memory."""


async def both(durable: Sequence[Details | None]) -> tuple[Subject, list[JobRequest]]:
    """These jobs in the storage, and one in memory, which comes last."""
    storage = Beside(MemoryStorage(), Transient())
    await storage.attach("checker")
    subject = Subject(storage, "checker")
    requests = [
        attrs.evolve(subject.request(), details=details) for details in (*durable, IN_MEMORY)
    ]
    requests[-1] = attrs.evolve(requests[-1], name=IN_MEMORY_ONLY)
    for request in requests:
        await subject.tell(Insert([request], [Ready(NOW)]))
    return subject, requests


async def test_jobs_of_a_named_worker_are_told_to_be_in_a_lane() -> None:
    subject, requests = await both([Details(worker="smtp"), Details(worker="smtp")])
    reply = await subject.claim(depth=2)
    assert sorted(ids(reply.jobs)) == sorted(ids(requests))
    assert reply.in_lanes, "or the two of one worker would run side by side"


async def test_who_waits_for_a_token_is_told_of_also_where_there_was_a_second_look() -> None:
    limited = Details(rate_key="api", rate_limit=RateLimit(1, per=1))
    subject, requests = await both([limited, limited])
    reply = await subject.claim(limit=2, free=2, skip_names=[IN_MEMORY_ONLY])
    assert ids(reply.jobs) == [requests[0].id]
    assert (reply.more, reply.next_due) == (False, NOW + SECOND)


async def test_nothing_is_claimed_ahead_beside_what_takes_a_token() -> None:
    subject, requests = await both([Details(rate_key="api", rate_limit=RateLimit(9, per=1))])
    reply = await subject.claim(limit=4, free=1)
    assert ids(reply.jobs) == [requests[0].id]


# --- shares -------------------------------------------------------------------------------------------


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    await pair.open()
    yield pair
    await pair.close()


async def claimed(pair: Pair, limit: int = 99, now: int = NOW, **claim: Any) -> str:
    """What is claimed: ``d`` for each durable job, ``m`` for each in memory."""
    reply = await pair.claim(now, limit=limit, **claim)
    return "".join("m" if pair.memory.has(job.request.id) else "d" for job in reply.jobs)


@pytest.mark.parametrize(
    ("durable", "in_memory", "limit", "wanted"),
    [
        (6, 6, 4, "ddmm"),
        (6, 6, 5, "dddmm"),
        (6, 1, 4, "dddm"),
        (1, 6, 4, "dmmm"),
        (0, 2, 4, "mm"),
        (2, 0, 4, "dd"),
        (3, 3, 9, "dddmmm"),
        (6, 6, 0, ""),
    ],
)
async def test_a_claim_is_shared(
    pair: Pair, durable: int, in_memory: int, limit: int, wanted: str
) -> None:
    await pair.put(*[True] * durable, *[False] * in_memory)
    assert await claimed(pair, limit) == wanted


async def test_claims_of_one_job_go_to_either_in_turn(pair: Pair) -> None:
    await pair.put(*[True] * 3, *[False] * 3)
    assert [await claimed(pair, 1) for _ in range(7)] == [*"mdmdmd", ""]


async def test_what_memory_leaves_of_its_share_goes_to_the_storage(pair: Pair) -> None:
    await pair.put(*[True] * 4)
    await pair.put(*[False] * 4, name="unknown")
    reply = await pair.claim(limit=4, free=4, skip_names=["unknown"])
    assert len(reply.jobs) == 4
    assert reply.more
    reply = await pair.claim(limit=4, free=4, skip_names=["unknown"])
    assert (list(reply.jobs), reply.more) == ([], False)


async def test_last_attempts_are_claimed_for_free_executors_only(pair: Pair) -> None:
    await pair.put(*[True] * 2, *[False] * 3, max_attempts=1)
    assert await claimed(pair, 9, free=3) == "ddm"
    assert await claimed(pair, 9, free=0) == ""
    assert await claimed(pair, 9, free=1) == "m"


@pytest.mark.parametrize(
    ("durable", "in_memory", "limit", "more"),
    [(3, 1, 3, True), (1, 3, 3, True), (2, 1, 9, False), (1, 2, 3, True), (0, 1, 1, True)],
)
async def test_there_may_be_more_where_the_limit_was_met(
    pair: Pair, durable: int, in_memory: int, limit: int, more: bool
) -> None:
    await pair.put(*[True] * durable, *[False] * in_memory)
    reply = await pair.claim(limit=limit)
    assert (len(reply.jobs), reply.more) == (min(limit, durable + in_memory), more)


@pytest.mark.parametrize(("here", "there"), [(5, 9), (9, 5), (5, None), (None, 5), (None, None)])
async def test_the_next_job_may_be_due_in_either(
    pair: Pair, here: int | None, there: int | None
) -> None:
    await pair.put(True, False)
    for after, is_durable in ((here, True), (there, False)):
        if after is not None:
            await pair.put(is_durable, execute_after=NOW + after)
    reply = await pair.claim()
    wanted = None if here is None and there is None else NOW + 5
    assert (len(reply.jobs), reply.next_due) == (2, wanted)
    assert await claimed(pair, now=NOW + 9) == "d" * (here is not None) + "m" * (there is not None)


async def test_a_claim_that_the_storage_refuses_takes_nothing_in_memory(pair: Pair) -> None:
    await pair.put(False)
    pair.main.refusal = GustoError("not now")
    claim = ClaimDue("node", NOW, NOW + LEASE, 9, 9)
    assert await pair.tell(claim) is pair.main.refusal
    pair.main.refusal = None
    assert await claimed(pair) == "m"


async def test_the_storage_is_asked_once_more_only_where_there_is_room_left(pair: Pair) -> None:
    await pair.put(True, True, False, False, False)
    asked: list[int] = []
    perform = pair.main.perform

    def note(write: Write) -> Any:
        if isinstance(write, ClaimDue):
            asked.append(write.limit)
        return perform(write)

    pair.main.perform = note  # type: ignore[method-assign]
    assert await claimed(pair, 2) == "dm"
    assert await claimed(pair, 9) == "dmm"
    assert asked == [1, 7, 6]
    await pair.put(False, tenant="acme")
    await pair.tell(PutPause(None, "acme", "", NOW))
    asked.clear()
    assert [await claimed(pair, 1) for _ in range(4)] == [""] * 4
    assert asked == [0, 1, 1, 0, 1, 1], "not again where it has had its turn"


async def test_nothing_is_claimed_ahead_beside_what_takes_a_token_of_its_queue(pair: Pair) -> None:
    await pair.put(True, queue="slow")
    await pair.put(False, False)
    rates = {"slow": RateLimit(9, per=1)}
    assert await claimed(pair, 4, free=1, queue_rates=rates) == "d"
    assert await claimed(pair, 4, free=1, queue_rates=rates) == "mm"


# --- pauses -------------------------------------------------------------------------------------------


async def test_pauses_of_the_storage_hold_in_memory_and_are_lifted_there(pair: Pair) -> None:
    for _ in range(2):
        await pair.put(False, tenant="acme")
        await pair.put(False)
        await pair.tell(PutPause(None, "acme", "", NOW))
        assert await claimed(pair) == "m"
        assert await claimed(pair) == ""
        await pair.tell(LiftPauses(None, "acme"))
        assert await claimed(pair) == "m"


async def test_one_pause_is_lifted_and_another_put_meanwhile(pair: Pair) -> None:
    await pair.put(False, tenant="acme")
    await pair.put(False, tenant="other")
    await pair.tell(PutPause(None, "acme", "", NOW))
    assert await claimed(pair) == "m"
    await pair.put(False, tenant="other")
    await pair.tell(LiftPauses(None, "acme"))
    await pair.tell(PutPause(None, "other", "", NOW))
    (job,) = (await pair.claim()).jobs
    assert job.request.tenant == "acme"


async def test_a_storage_that_knows_no_pauses_has_none(pair: Pair) -> None:
    class Bare(MemoryStorage):
        async def read(self, query: Any) -> Any:
            if isinstance(query, Pauses):
                raise NotSupported("SupportsPauses", "read pauses")
            return await super().read(query)

    await pair.put(False)
    beside = Beside(Bare(), pair.memory)
    (reply,) = await beside.apply([ClaimDue("node", NOW, NOW + LEASE, 9, 9)])
    assert isinstance(reply, ClaimReply)
    assert len(reply.jobs) == 1


async def test_paused_jobs_count_as_ready_and_leave_their_share_to_others(pair: Pair) -> None:
    await pair.put(*[True] * 4)
    await pair.put(*[False] * 4, tenant="acme")
    await pair.tell(PutPause(None, "acme", "", NOW))
    assert await claimed(pair, 2) == "dd"
    assert pair.memory.ready(NOW) == 4
    assert await claimed(pair, 2) == "dd"


# --- lanes --------------------------------------------------------------------------------------------

ALONE = Details(worker="smtp")


@pytest.mark.parametrize("durable", [True, False], ids=["in the storage", "in memory"])
async def test_jobs_of_one_lane_never_run_in_both(pair: Pair, durable: bool) -> None:
    await pair.put(durable, details=ALONE)
    (first,) = (await pair.claim()).jobs
    await pair.put(not durable, details=ALONE)
    assert await claimed(pair) == ""
    await pair.put(not durable, details=Details(worker="other"))
    assert await claimed(pair) == ("m" if durable else "d")
    await pair.tell(success(first))
    assert await claimed(pair) == ("m" if durable else "d")


async def test_of_one_lane_in_both_one_is_claimed(pair: Pair) -> None:
    await pair.put(True, False, details=ALONE)
    reply = await pair.claim()
    assert (len(reply.jobs), reply.in_lanes) == (1, True)
    await pair.tell(success(reply.jobs[0]))
    assert len((await pair.claim()).jobs) == 1


@pytest.mark.parametrize("durable", [True, False], ids=["in the storage", "in memory"])
async def test_what_waits_for_a_lease_in_either_is_held(pair: Pair, durable: bool) -> None:
    await pair.put(False)
    await pair.put(durable, durable, details=ALONE)
    reply = await pair.claim()
    assert (len(reply.jobs), reply.held, reply.in_lanes) == (2, True, True)
    await pair.put(False)
    reply = await pair.claim()
    assert (len(reply.jobs), reply.held, reply.in_lanes) == (1, True, False)


async def test_jobs_in_lanes_count_as_ready(pair: Pair) -> None:
    await pair.put(*[True] * 6)
    await pair.put(False)
    await pair.put(False, details=ALONE)
    assert pair.memory.ready(NOW) == 2
    assert await claimed(pair, 6) == "ddddmm"
    assert pair.memory.ready(NOW) == 0
    assert pair.memory.leased_lanes() == (lane_of_worker("smtp"),)


async def test_the_lanes_of_the_storage_are_asked_for_only_where_it_matters(pair: Pair) -> None:
    await pair.put(True, details=ALONE)
    await pair.claim()
    await pair.put(False)
    assert not pair.memory.has_lanes()
    assert await claimed(pair) == "m"
    await pair.put(False, details=ALONE)
    assert pair.memory.has_lanes()


async def test_so_many_leases_of_the_storage_are_looked_through(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "MOST_LEASES", 1)
    await pair.put(True, details=ALONE)
    await pair.put(True)
    assert await claimed(pair) == "dd"
    await pair.put(False, details=ALONE)
    assert await claimed(pair) == "m", "the newest lease is in no lane"

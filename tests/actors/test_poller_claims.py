"""When a poller claims, what it asks for, and what it does with what it gets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.doubles import NOW, SECOND, Turnstile
from tests.actors.poller_alone import LONG, Counter, job
from trio_gusto import RateLimit, StorageError
from trio_gusto.actors.probe import Probe
from trio_gusto.storage.messages import ClaimDue, ClaimReply

# --- what it asks for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({}, {}),
        ({"lease": 1.5}, {"lease_until": NOW + SECOND * 3 // 2}),
        ({"prefetch": 7, "concurrency": 9}, {"limit": 7, "depth": 8}),
        ({"queues": ["mail"]}, {"queues": (("mail", 4),)}),
        ({"tenant_order": "fair"}, {"tenant_weights": {}}),
        (
            {"queue_rates": {"mail": RateLimit(1, per=60)}},
            {"queue_rates": {"mail": RateLimit(1, per=60)}},
        ),
    ],
)
async def test_a_claim_says_what_is_wanted(
    autojump_clock: MockClock, options: dict[str, Any], asked: dict[str, Any]
) -> None:
    counter = Counter(**options)
    async with counter.open():
        expected: dict[str, Any] = {
            "node": "node",
            "now": NOW,
            "lease_until": NOW + 60 * SECOND,
            "limit": 4,
            "free": 0,
            "depth": 5,
        }
        assert counter.claims[0].seal() == ClaimDue(**{**expected, **asked})


async def test_a_claim_asks_in_the_order_of_the_backlog_and_for_free_executors(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(concurrency=2)
    counter.roster.backlog.ageing = 7
    async with counter.open(executors=2):
        claim = counter.claims[0].seal()
        assert (claim.ageing, claim.free, claim.limit) == (7, 2, 6)


async def test_names_that_have_become_known_are_claimed_again(autojump_clock: MockClock) -> None:
    counter = Counter()
    counter.roster.unknown_names = {"known", "unknown"}
    async with counter.open():
        assert counter.claims[0].seal().skip_names == ("unknown",)


async def test_behind_barriers_one_job_of_a_lane_is_held(autojump_clock: MockClock) -> None:
    counter = Counter(Probe(gate=Turnstile()))
    async with counter.open():
        assert counter.claims[0].seal().depth == 1


# --- when it asks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("poll_interval", "longest_sleep", "period"), [(7.0, LONG, 7), (LONG, 9.0, 9)]
)
async def test_it_looks_from_time_to_time_though_it_has_heard_nothing(
    autojump_clock: MockClock, poll_interval: float, longest_sleep: float, period: int
) -> None:
    counter = Counter(poll_interval=poll_interval)
    counter.clock.longest_sleep = longest_sleep
    async with counter.open():
        for number in range(1, 4):
            counter.answer()
            await trio.sleep(period)
            await wait_all_tasks_blocked()
            assert len(counter.claims) == number + 1
    assert counter.claimed_at == [0, period, 2 * period, 3 * period]


async def test_it_claims_when_the_next_job_falls_due(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer(ClaimReply([], more=False, next_due=NOW + 5 * SECOND))
        await trio.sleep(1)
        counter.poller.note_due(NOW + 9 * SECOND)
        counter.poller.note_due(NOW + 3 * SECOND)
        counter.poller.note_due(NOW + 4 * SECOND)
        await trio.sleep(9)
        counter.answer(ClaimReply([], more=False, next_due=NOW + 12 * SECOND))
        await trio.sleep(10)
    assert counter.claimed_at == [0, 3, 12]


async def test_it_is_woken_once_for_an_instant_and_for_none_that_is_later(
    autojump_clock: MockClock,
) -> None:
    counter = Counter()
    for due, is_woken in ((5, True), (5, False), (6, False), (4, True)):
        counter.poller.note_due(NOW + due * SECOND)
        assert await counter.roster.changed.wait(0) is is_woken


async def test_a_moment_is_waited_for_too(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer(ClaimReply([], more=False, next_due=NOW + SECOND // 2))
        await trio.sleep(1)
    assert counter.claimed_at == [0, 0.5]


@pytest.mark.parametrize(
    ("jobs", "next_due", "is_woken"),
    [
        pytest.param([1], None, False, id="nothing else is due"),
        pytest.param([1], NOW + 1000 * SECOND, False, id="it wakes by then"),
        pytest.param([1], NOW + 1000 * SECOND - 1, True, id="it would wake too late"),
        pytest.param([], None, True, id="it has nothing to do at all"),
    ],
)
async def test_an_answer_wakes_it_only_if_there_is_something_to_do(
    autojump_clock: MockClock, jobs: Sequence[int], next_due: int | None, is_woken: bool
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(*map(job, jobs), next_due=next_due)
        assert counter.roster.changed._rung is is_woken


async def test_what_falls_due_while_a_claim_is_under_way_is_not_forgotten(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.claims[0].seal()
        counter.poller.note_due(NOW + 5 * SECOND)
        counter.answer(ClaimReply([], more=False, next_due=NOW + 8 * SECOND))
        await trio.sleep(6)
        counter.claims[1].seal()
        counter.poller.note_due(NOW + 20 * SECOND)
        counter.answer(ClaimReply([], more=False, next_due=NOW + 8 * SECOND))
        await trio.sleep(6)
    assert counter.claimed_at == [0, 5, 8]


@pytest.mark.parametrize("late", [0, 5])
async def test_what_is_due_already_is_claimed_at_once(autojump_clock: MockClock, late: int) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer()
        await trio.sleep(10)
        counter.poller.note_due(NOW + (10 - late) * SECOND)
        assert counter.claimed_at == [0, 10], "in the very step of who has told of it"
        counter.poller.wake()
        assert len(counter.claims) == 2, "it will find that, too"


async def test_news_that_come_while_a_claim_is_with_the_storage_make_for_another(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open(executors=1):
        counter.claims[0].seal()
        counter.poller.wake()
        assert len(counter.claims) == 1
        counter.answer()
        await wait_all_tasks_blocked()
        assert len(counter.claims) == 2


async def test_it_claims_again_where_there_may_be_more(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), more=True)
        await wait_all_tasks_blocked()
        assert len(counter.claims) == 2


async def test_with_all_it_can_hold_it_waits_until_the_backlog_runs_low(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(*map(job, range(1, 5)), more=True)
        await wait_all_tasks_blocked()
        assert len(counter.claims) == 1
        counter.roster.backlog.pop()
        await wait_all_tasks_blocked()
        assert len(counter.claims) == 1
        counter.roster.backlog.pop()
        await wait_all_tasks_blocked()
        assert len(counter.claims) == 2


@pytest.mark.parametrize("held", [True, False])
async def test_jobs_that_are_held_back_are_claimed_when_a_lease_was_let_go_of(
    autojump_clock: MockClock, held: bool
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), held=held)
        await trio.sleep(5)
        assert len(counter.claims) == 1
        counter.end_all()
        await trio.sleep(1)
    assert counter.claimed_at == ([0, 5] if held else [0])


async def test_without_prefetch_it_claims_when_an_executor_is_free(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(prefetch=0, poll_interval=LONG)
    async with counter.open():
        await trio.sleep(5)
        assert counter.claims == []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counter.roster.backlog.park)
            await wait_all_tasks_blocked()
            assert counter.claimed_at == [5]
            assert not counter.roster.backlog.is_wanted, "a claim is under way"
            counter.answer()
            await wait_all_tasks_blocked()
            assert not counter.roster.backlog.is_wanted, "nothing is due"
            nursery.cancel_scope.cancel()


async def test_a_last_attempt_waits_for_an_executor_of_its_own(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer(ClaimReply([], more=True, next_due=None))
        await trio.sleep(5)
        assert len(counter.claims) == 1, "it would be answered the same"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(counter.roster.backlog.park)
            await wait_all_tasks_blocked()
            assert counter.claimed_at == [0, 5]
            nursery.cancel_scope.cancel()


async def test_news_are_looked_into_though_a_last_attempt_waits(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer(ClaimReply([], more=True, next_due=None))
        await trio.sleep(5)
        counter.poller.wake()
        assert counter.claimed_at == [0, 5]


async def test_a_claim_that_fails_is_logged_and_made_again_half_a_second_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        await trio.sleep(1)
        counter.answer(StorageError("no disk"))
        counter.poller.wake()
        await trio.sleep(2)
        assert counter.claimed_at == [0, 1.5]
        counter.answer()
        await trio.sleep(0.1)
        counter.poller.wake()
    assert counter.claimed_at == [0, 1.5, pytest.approx(3.1)]
    assert caplog.record_tuples == [("trio_gusto", logging.ERROR, "a claim failed: no disk")]


async def test_of_a_claim_that_fails_when_it_has_stopped_nobody_need_know(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Counter()
    async with counter.open():
        assert counter.poller.is_claiming()
    counter.answer(StorageError("no disk"))
    assert not counter.poller.is_claiming()
    assert caplog.messages == []


# --- idleness -------------------------------------------------------------------------------------


async def test_it_is_idle_when_nothing_is_due_and_nothing_is_held(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        assert not counter.poller.idle.is_set()
        counter.bring(job(1), next_due=NOW + 5 * SECOND)
        await wait_all_tasks_blocked()
        assert not counter.poller.idle.is_set()
        counter.end_all()
        await counter.poller.until_idle()
        assert (trio.current_time(), counter.poller.idle.is_set()) == (0, True)
        counter.poller.wake()
        assert not counter.poller.idle.is_set()
        counter.answer()
        await counter.poller.until_idle()
        await trio.sleep(LONG)
        await wait_all_tasks_blocked()
        assert (counter.claimed_at[-1], counter.poller.idle.is_set()) == (LONG, False)


async def test_news_alone_end_idleness(autojump_clock: MockClock) -> None:
    counter = Counter()
    counter.poller.idle.set()
    counter.poller._hungry = False
    counter.poller.wake()
    assert not counter.poller.idle.is_set()
    assert counter.claims == [], "nobody serves"

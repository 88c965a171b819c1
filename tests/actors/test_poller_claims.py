"""When a poller claims, what it asks for, and what it does with what it gets."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.doubles import NOW, SECOND, Neighbours, ScriptedDesk, StillClock, Turnstile
from tests.actors.test_roster import lease
from trio_gusto import ArgumentError, Options, RateLimit, StorageError
from trio_gusto.actors.announcements import job_claimed
from trio_gusto.actors.lease import Cause, Lease, fence_after
from trio_gusto.actors.poller import Poller
from trio_gusto.actors.probe import Probe
from trio_gusto.actors.roster import Roster
from trio_gusto.model.facts import Fact
from trio_gusto.model.job import ClaimedJob, Details
from trio_gusto.model.pauses import StoredPause
from trio_gusto.storage.messages import ClaimDue, ClaimReply, Committed
from trio_gusto.storage.pause_messages import HeardPauses

LONG = 1000.0
NONE = ClaimReply([], more=False, next_due=None)


class Counter(Neighbours):
    """Where claims are handed in and given back, in the order in which that happens."""

    def __init__(self, probe: Probe | None = None, **options: Any) -> None:
        super().__init__()
        self.options = Options(**{"prefetch": 4, "concurrency": 1, "lease": 60, **options})
        self.probe = Probe() if probe is None else probe
        self.facts: list[Fact] = []
        self.roster = Roster(self.options.concurrency)
        self.clock = StillClock()
        self.clock.longest_sleep = LONG
        self.clock.monotonic = trio.current_time  # type: ignore[method-assign]
        self.clock.nanoseconds = lambda: (NOW + now()) * 1000  # type: ignore[method-assign]
        desk: Any = ScriptedDesk(lambda _message: None)
        self.told: list[Any] = desk.told
        self.claims: list[Any] = []
        self.claimed_at: list[float] = []
        desk.tell_last = self._take_claim
        self.given_back: list[Lease] = []
        settler: Any = self
        self.poller = Poller(
            *("node", desk, self.roster, settler, self.probe, self.clock, self.options),
            "known".__eq__,
        )

    def _take_claim(self, letter: object) -> None:
        self.claims.append(letter)
        self.claimed_at.append(trio.current_time())

    def give_back(self, lease: Lease) -> None:
        """As the settler does."""
        self.given_back.append(lease)
        lease.over = True

    def answer(self, reply: object = NONE) -> None:
        """To the claim that is under way."""
        if not self.claims[-1].is_sealed:
            self.claims[-1].seal()
        self.claims[-1].deliver(reply)

    def bring(self, *jobs: ClaimedJob, **reply: Any) -> None:
        self.answer(ClaimReply(jobs, **{"more": False, "next_due": None, **reply}))

    def end_all(self) -> None:
        """Every job that was claimed ends, and is recorded."""
        self.roster.backlog.take_all()
        for one in list(self.roster.leases.values()):
            self.roster.let_go(one)

    @asynccontextmanager
    async def open(self, executors: int = 0) -> AsyncGenerator[None]:
        """While it serves, and so many executors wait for their first job."""
        async with trio.open_nursery() as nursery:
            for _ in range(executors):
                nursery.start_soon(self.roster.backlog.park)
            await wait_all_tasks_blocked()
            await nursery.start(self.poller.run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


def now() -> int:
    return round(trio.current_time() * SECOND)


def job(number: int, priority: int = 0, queue: str = "mail") -> ClaimedJob:
    claimed = lease(number, priority).claimed
    claimed.request.queue = queue
    return claimed


def pause(number: int, queue: str = "mail") -> StoredPause:
    return StoredPause(queue, "", "by a test", 0, number)


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
        expected = {
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
            assert not counter.roster.backlog.wants_idle, "a claim is under way"
            counter.answer()
            await wait_all_tasks_blocked()
            assert not counter.roster.backlog.wants_idle, "nothing is due"
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


# --- what it gets ---------------------------------------------------------------------------------


async def test_what_is_claimed_is_held_and_handed_on_in_order(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    counter.probe.subscribe(counter.facts.append)
    jobs = [job(1), job(2, priority=9), job(3)]
    async with counter.open():
        await trio.sleep(2)
        counter.claims[0].seal()
        await trio.sleep(1)
        counter.bring(*jobs)
    held = list(counter.roster.leases.values())
    assert [one.claimed for one in held] == jobs
    fence = 2 + fence_after(60)
    assert [one.fence for one in held] == [fence] * 3
    assert counter.roster.next_deadline == fence
    assert [one.claimed for one in counter.roster.backlog.take_all()] == [jobs[1], jobs[0], jobs[2]]
    batch = held[0].batch
    assert all(one.batch is batch for one in held)
    assert batch.job_ids == tuple(one.request.id for one in jobs)
    assert (batch.outstanding, batch.span) == (3, None)
    assert counter.facts == [job_claimed(one) for one in jobs]


async def test_whoever_observes_is_told_how_many_were_claimed(autojump_clock: MockClock) -> None:
    class Observer:
        def batch_started(self, size: int) -> object:
            return ("span", size)

    counter = Counter(Probe(observer=Observer()), poll_interval=LONG)  # type: ignore[arg-type]
    async with counter.open():
        counter.bring(job(1), job(2))
    assert {one.batch.span for one in counter.roster.leases.values()} == {("span", 2)}


async def test_the_heart_is_woken_when_there_are_leases_again(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), more=True)
        assert await counter.roster.occupied.wait(0)
        counter.bring(job(2))
        assert not await counter.roster.occupied.wait(0)


@pytest.mark.parametrize("in_lanes", [True, False])
async def test_jobs_in_lanes_stand_in_line(autojump_clock: MockClock, in_lanes: bool) -> None:
    counter = Counter(poll_interval=LONG)
    details = Details(worker="smtp")
    jobs = [job(1), job(2)]
    for one in jobs:
        one.request.details = details
    async with counter.open():
        counter.bring(*jobs, in_lanes=in_lanes)
    handed_on = [one.claimed for one in counter.roster.backlog.take_all()]
    assert handed_on == (jobs[:1] if in_lanes else jobs)


async def test_a_job_that_was_won_back_waits_for_its_lost_attempt(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), job(2), more=True)
        former = counter.roster.leases[job(1).request.id]
        counter.roster.backlog.take_all()
        counter.bring(job(3), job(1))
    latter = counter.roster.leases[job(1).request.id]
    assert latter is not former
    assert (former.cause, latter.cause, latter.is_behind) == (Cause.FENCE, None, True)
    assert [one.claimed for one in counter.roster.backlog.take_all()] == [job(3)]
    assert len(counter.roster.leases) == 3


async def test_the_time_of_a_round_is_a_mean_in_which_the_last_counts_a_fifth(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer()
        counter.poller._supply.round_seconds = 0.002
        await trio.sleep(5)
        counter.poller.wake()
        await trio.sleep(3)
        counter.answer()
        assert counter.poller._supply.round_seconds == pytest.approx(0.8 * 0.002 + 0.2 * 3)


async def test_jobs_of_weighted_queues_take_turns(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG, queues={"mail": 1, "reports": 1})
    jobs = [job(1), job(2), job(3, queue="reports"), job(4, queue="reports")]
    async with counter.open():
        counter.bring(*jobs)
    order = [one.claimed for one in counter.roster.backlog.take_all()]
    assert [one.request.queue for one in order] == ["mail", "reports"] * 2


# --- what it gives back ---------------------------------------------------------------------------


async def test_a_pause_gives_back_what_it_covers_and_is_not_begun(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        jobs = [job(1), job(2), job(3), job(4, queue="reports")]
        counter.bring(*jobs)
        begun, over, waiting, _ = counter.roster.leases.values()
        begun.started_at, over.over = 0, True
        assert counter.poller.hold([pause(3), pause(7, "other")]) == "node"
        assert counter.given_back == [waiting]
        (letter,) = counter.told
        assert letter.message == HeardPauses("node", 7)
        letter.deliver(Committed())
        counter.poller.hold([pause(3), pause(7, "other")])
        counter.poller.hold([])
        assert len(counter.told) == 1, "it has said so"
        counter.poller.hold([pause(8)])
        assert counter.told[1].message == HeardPauses("node", 8)


async def test_that_a_pause_was_heard_of_is_said_again_if_it_could_not_be_noted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    counter = Counter()
    for _ in range(2):
        counter.poller.hold([pause(1)])
        counter.told[-1].deliver(ArgumentError("too large"))
    assert [letter.message for letter in counter.told] == [HeardPauses("node", 1)] * 2
    assert caplog.record_tuples[0] == (
        "trio_gusto",
        logging.WARNING,
        "that this node has heard of a pause could not be noted: too large",
    )


@pytest.mark.parametrize(("is_sealed", "given_back"), [(True, [1]), (False, [])])
async def test_a_pause_covers_what_a_claim_brings_that_was_with_the_storage(
    autojump_clock: MockClock, is_sealed: bool, given_back: Sequence[int]
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        if is_sealed:
            counter.claims[0].seal()
        counter.poller.hold([pause(1)])
        counter.bring(job(1), job(2, queue="reports"))
    assert [one.claimed for one in counter.given_back] == [job(number) for number in given_back]


async def test_with_fewer_executors_what_is_not_begun_is_given_back(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), job(2), more=True)
        begun, waiting = counter.roster.leases.values()
        begun.started_at = 0
        counter.claims[-1].seal()
        counter.poller.shrink()
        assert counter.given_back == [waiting]
        assert len(counter.roster.backlog) == 0
        counter.bring(job(3))
        assert counter.given_back[1].claimed == job(3), "it was claimed for more"


async def test_a_claim_that_is_still_in_the_mailbox_is_for_those_that_stay(
    autojump_clock: MockClock,
) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.poller.shrink()
        counter.bring(job(1))
    assert counter.given_back == []


async def test_what_comes_after_a_stop_is_given_back(autojump_clock: MockClock) -> None:
    counter = Counter()
    async with counter.open():
        pass
    counter.bring(job(1), job(2))
    assert [one.claimed for one in counter.given_back] == [job(1), job(2)]
    assert len(counter.roster.backlog) == 0


# --- barriers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2])
async def test_behind_barriers_jobs_pass_one_by_one_and_then_their_batch(
    autojump_clock: MockClock, count: int
) -> None:
    turnstile = Turnstile()
    counter = Counter(Probe(gate=turnstile), poll_interval=LONG)
    jobs = [job(number) for number in range(count)]
    async with counter.open():
        counter.bring(*jobs)
        assert len(counter.roster.backlog) == 0
        await wait_all_tasks_blocked()
        assert len(counter.roster.backlog) == count
    batch = counter.roster.leases[jobs[0].request.id].batch
    assert turnstile.passed == [
        *(("job_claimed", one) for one in jobs),
        ("batch_start", batch),
    ]
    assert counter.given_back == []


async def test_what_is_held_at_a_barrier_is_given_back_at_a_stop(
    autojump_clock: MockClock,
) -> None:
    class Closed(Turnstile):
        async def pass_through(self, point: str, record: object) -> None:
            await trio.sleep_forever()

    counter = Counter(Probe(gate=Closed()), poll_interval=LONG)
    async with counter.open():
        counter.bring(job(1), job(2))
        await wait_all_tasks_blocked()
        counter.poller.wake()
        assert len(counter.claims) == 1, "it is held"
    assert [one.claimed for one in counter.given_back] == [job(1), job(2)]

"""What a poller does with what its claims bring, and what it gives back."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.doubles import Turnstile
from tests.actors.poller_alone import LONG, Counter, job, pause
from trio_gusto import ArgumentError, StorageError
from trio_gusto.actors.announcements import job_claimed
from trio_gusto.actors.lease import Cause, fence_after
from trio_gusto.actors.probe import Probe
from trio_gusto.model.job import Details
from trio_gusto.storage.messages import Committed
from trio_gusto.storage.pause_messages import HeardPauses

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
    """Whoever pauses waits for it. It was said with the next news only, which may be of something else."""
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.poller.hold([pause(1)])
        for _ in range(2):
            counter.told[-1].deliver(ArgumentError("too large"))
            await trio.sleep(0.4)
            counter.poller.hold([pause(1)])
            said = len(counter.told)
            await trio.sleep(0.2)
            assert len(counter.told) == said + 1
        await trio.sleep(60)
    assert [letter.message for letter in counter.told] == [HeardPauses("node", 1)] * 3
    assert caplog.record_tuples[0] == (
        "trio_gusto",
        logging.WARNING,
        "that this node has heard of a pause could not be noted: too large",
    )


async def test_a_claim_that_fails_says_nothing_of_pauses(autojump_clock: MockClock) -> None:
    counter = Counter(poll_interval=LONG)
    async with counter.open():
        counter.answer(StorageError("no disk"))
        await trio.sleep(60)
        assert counter.told == []
        counter.poller.hold([pause(1)])
        counter.answer(StorageError("no disk"))
        await trio.sleep(60)
    assert [letter.message for letter in counter.told] == [HeardPauses("node", 1)]


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

"""An app over a storage that fails."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from trio_gusto import Gusto, JobState, MemoryStorage, Options, StorageFull
from trio_gusto.model.instants import MICROSECONDS, to_datetime
from trio_gusto.storage.messages import ClaimDue, Commit, Complete
from trio_gusto.testing import Asked, Fault, FaultyStorage, VirtualClock


def make_app(storage: FaultyStorage, clock: VirtualClock | None = None) -> Gusto:
    return Gusto(storage, clock=clock or VirtualClock(), options=Options(concurrency=2))


async def test_an_enqueue_that_cannot_be_stored_says_so_and_the_next_one_is(
    autojump_clock: MockClock,
) -> None:
    storage = FaultyStorage(MemoryStorage())
    app = make_app(storage)

    @app.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with app.connected() as queue:
        storage.fail_next(StorageFull("the disk is full"))
        with pytest.raises(StorageFull, match="the disk is full"):
            await queue.enqueue(greet, "Ann")
        ref = await queue.enqueue(greet, "Bob")
        assert [job.id for job in (await queue.find()).items] == [ref.id]


@pytest.mark.parametrize("after_commit", [False, True])
async def test_an_outcome_survives_a_fault_and_the_handler_runs_once(
    autojump_clock: MockClock, after_commit: bool
) -> None:
    def refuse_first_outcome(asked: Asked) -> Fault | None:
        outcomes = any(isinstance(message, Commit | Complete) for message in asked.messages)
        return Fault(after_commit=after_commit) if outcomes and not storage.happened else None

    storage = FaultyStorage(MemoryStorage(), refuse_first_outcome)
    app = make_app(storage)
    ran: list[str] = []

    @app.job
    async def greet(name: str) -> str:
        ran.append(name)
        return f"hello {name}"

    async with app.running() as queue:
        ref = await queue.enqueue(greet, "Ann")
        assert await ref.result(timeout=120) == "hello Ann"
        assert await ref.status() is JobState.COMPLETED
    assert len(storage.happened) == 1
    assert ran == ["Ann"]


async def test_jobs_whose_claim_was_lost_on_its_way_back_run_when_the_lease_has_passed(
    autojump_clock: MockClock,
) -> None:
    clock = VirtualClock()
    due = clock.instant() + 60 * MICROSECONDS

    def lose_first_claim(asked: Asked) -> Fault | None:
        claims = [message for message in asked.messages if isinstance(message, ClaimDue)]
        taking = any(claim.now >= due for claim in claims)
        return Fault(after_commit=True) if taking and not storage.happened else None

    storage = FaultyStorage(MemoryStorage(), lose_first_claim)
    app = make_app(storage, clock)

    @app.job
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with app.running() as queue:
        ref = await queue.enqueue(greet, "Ann", execute_after=to_datetime(due))
        assert await ref.result(timeout=600) == "hello Ann"
        words = [attempt.outcome for attempt in await queue.attempts(ref)]
    assert len(storage.happened) == 1
    assert words == ["lost", "succeeded"]

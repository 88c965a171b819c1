"""Who waits for a job is called when it has ended, or when anything may have."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from trio_gusto.actors.waiters import Waiters
from trio_gusto.model.ids import JobId

JOB = JobId(b"j" * 16)
OTHER = JobId(b"o" * 16)


async def test_those_who_wait_for_a_job_are_called_and_no_others() -> None:
    waiters = Waiters()
    with waiters.waiting(JOB) as one, waiters.waiting(JOB) as two, waiters.waiting(OTHER) as other:
        waiters.notify(JOB)
        assert [waiter.is_called() for waiter in (one, two, other)] == [True, True, False]
        waiters.notify_all()
        assert other.is_called()


async def test_a_call_is_for_one_wait_and_none_is_missed() -> None:
    waiters = Waiters()
    with waiters.waiting(JOB) as waiter:
        waiters.notify(JOB)
        await waiter.wait()
        assert not waiter.is_called()
        called: list[str] = []

        async def wait() -> None:
            await waiter.wait()
            called.append("again")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            assert called == []
            waiters.notify(JOB)
        assert called == ["again"]
    assert not waiters.are_there(), "nothing of them is left"


async def test_nobody_is_there_when_all_have_left() -> None:
    waiters = Waiters()
    assert not waiters.are_there()
    waiters.notify(JOB)
    with waiters.waiting(JOB) as one:
        with waiters.waiting(JOB):
            assert waiters.are_there()
        assert waiters.are_there()
        waiters.notify(JOB)
        waiters.notify(OTHER)
        assert one.is_called()
    assert not waiters.are_there()
    waiters.notify_all()

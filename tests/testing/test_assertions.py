"""Assertions about a queue, and running what is due in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import ArgumentError, Gusto, JobQueue, JobState, Options, UnknownHandler
from trio_gusto.testing import VirtualClock, assert_enqueued, drain, refute_enqueued

app_options = Options(concurrency=2)


class Mail:
    """An app with two handlers, and what they did."""

    def __init__(self) -> None:
        self.app = Gusto(clock=VirtualClock(), options=app_options)
        self.sent: list[str] = []

        @self.app.job(name="send")
        async def send(to: str, *, bcc: str = "") -> None:
            self.sent.append(to + bcc)

        @self.app.job(name="remind")
        async def remind(on: datetime) -> None:
            await self.queue.enqueue(send, f"reminded {on:%d}")

        self.send, self.remind = send, remind
        self.queue: JobQueue


@pytest.fixture
def mail() -> Mail:
    return Mail()


async def test_draining_runs_what_is_due_and_what_that_makes_due(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        mail.queue = queue
        await queue.enqueue(mail.send, "ann")
        await queue.enqueue(mail.remind, datetime(2026, 5, 9, tzinfo=UTC))
        await queue.enqueue(mail.send, "later", execute_after=timedelta(days=1))
        assert mail.sent == []

        await drain(queue)

        assert mail.sent == ["ann", "reminded 09"]
        await assert_enqueued(queue, mail.send, "later")


async def test_draining_twice_with_nothing_new_does_nothing(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        await queue.enqueue(mail.send, "ann")
        await drain(queue)
        await drain(queue)
        await queue.enqueue(mail.send, "bob")
        await drain(queue)
    assert mail.sent == ["ann", "bob"]


async def test_several_tasks_may_drain_one_queue_at_once(
    mail: Mail, autojump_clock: MockClock
) -> None:
    """Whoever comes while the workers of another are leaving has his own."""

    async def user(name: str) -> None:
        for number in range(20):
            await queue.enqueue(mail.send, f"{name}{number}")
            await drain(queue)
            assert f"{name}{number}" in mail.sent

    async with mail.app.connected() as queue:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for name in ("ann", "bob", "cid"):
                    nursery.start_soon(user, name)
    assert len(mail.sent) == 60


async def test_draining_a_running_app_waits_until_it_is_idle(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.running() as queue:
        for number in range(20):
            await queue.enqueue(mail.send, str(number))
        await drain(queue)
        assert len(mail.sent) == 20


async def test_an_enqueued_job_is_found_by_its_arguments(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        first = await queue.enqueue(mail.send, "ann")
        await queue.enqueue(mail.send, "ann")
        await queue.enqueue(mail.remind, datetime(2026, 5, 9, tzinfo=UTC))

        assert (await assert_enqueued(queue, mail.send, "ann")).id == first.id
        await assert_enqueued(queue, mail.send)
        await assert_enqueued(queue, mail.remind, datetime(2026, 5, 9, tzinfo=UTC))
        await refute_enqueued(queue, mail.send, "bob")
        await refute_enqueued(queue, mail.remind, datetime(2026, 5, 10, tzinfo=UTC))


async def test_keyword_arguments_are_given_by_a_partial(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        await queue.enqueue(partial(mail.send, bcc="x"), "ann")
        await assert_enqueued(queue, partial(mail.send, "ann", bcc="x"))
        await refute_enqueued(queue, mail.send, "ann")
        await refute_enqueued(queue, partial(mail.send, bcc="y"), "ann")


async def test_criteria_are_fields_of_the_job(mail: Mail, autojump_clock: MockClock) -> None:
    async with mail.app.connected() as queue:
        await queue.enqueue(
            mail.send,
            "ann",
            queue="mail",
            priority=5,
            tags=["vip", "new"],
            execute_after=timedelta(hours=1),
        )
        await assert_enqueued(
            queue,
            mail.send,
            queue="mail",
            priority=5,
            tags=["new", "vip"],
            state="scheduled",
            execute_after=timedelta(hours=1),
        )
        await assert_enqueued(queue, mail.send, execute_after=datetime(2026, 1, 1, 1, tzinfo=UTC))
        await refute_enqueued(queue, mail.send, queue="default")
        await refute_enqueued(queue, mail.send, execute_after=timedelta(hours=2))


async def test_jobs_that_have_ended_are_not_enqueued(mail: Mail, autojump_clock: MockClock) -> None:
    async with mail.app.connected() as queue:
        done = await queue.enqueue(mail.send, "ann")
        await drain(queue)
        off = await queue.enqueue(mail.send, "bob")
        await off.cancel()

        await refute_enqueued(queue, mail.send)
        with pytest.raises(AssertionError) as caught:
            await assert_enqueued(queue, mail.send, "ann")

    assert str(caught.value).splitlines() == [
        "no job that has not ended is send('ann')",
        "  jobs of this handler have ended:",
        f"    {off.id}  cancelled   send('bob')",
        f"    {done.id}  completed   send('ann')",
    ]


async def test_the_message_lists_near_misses(mail: Mail, autojump_clock: MockClock) -> None:
    async with mail.app.connected() as queue:
        ann = await queue.enqueue(mail.send, "ann", priority=1)
        bob = await queue.enqueue(mail.send, "bob", tags=["vip"])
        await queue.enqueue(mail.remind, datetime(2026, 5, 9, tzinfo=UTC))
        with pytest.raises(AssertionError) as caught:
            await assert_enqueued(queue, mail.send, "ann", priority=5, state=JobState.READY)

    assert str(caught.value).splitlines() == [
        "no job that has not ended is send('ann') with priority=5, state='ready'",
        "  jobs of this handler come near:",
        f"    {bob.id}  ready       send('bob')  ← other arguments, priority is 0",
        f"    {ann.id}  ready       send('ann')  ← priority is 1",
        "  enqueued otherwise:",
        "    1 of remind",
    ]


async def test_the_message_says_when_nothing_is_there(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        with pytest.raises(AssertionError, match="nothing is enqueued"):
            await assert_enqueued(queue, mail.send)


async def test_a_refutation_lists_what_it_found_and_not_too_much_of_it(
    mail: Mail, autojump_clock: MockClock
) -> None:
    async with mail.app.connected() as queue:
        for number in range(12):
            await queue.enqueue(mail.send, str(number))
        with pytest.raises(AssertionError) as caught:
            await refute_enqueued(queue, mail.send, queue="default")

    lines = str(caught.value).splitlines()
    assert lines[0] == "there should be no send(…) with queue='default', but:"
    assert lines[1].endswith("send('11')")
    assert lines[-1] == "  … and 2 more"
    assert len(lines) == 12


async def test_what_no_job_could_be_is_refused(mail: Mail, autojump_clock: MockClock) -> None:
    async with mail.app.connected() as queue:
        with pytest.raises(ArgumentError, match="'quue' is no field of a job"):
            await assert_enqueued(queue, mail.send, quue="mail")
        with pytest.raises(ArgumentError, match="send"):
            await refute_enqueued(queue, mail.send, "ann", "bob")
        with pytest.raises(UnknownHandler):
            await refute_enqueued(queue, print)

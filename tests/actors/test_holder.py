"""Jobs of schedules that wait for the one before are let go as it ends, and nobody looks in vain."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.actors.test_canceller import JOB, LAST, NOW, PROCESSING, Bench, finished
from trio_gusto import JobReleased, JobState, MemoryStorage, every
from trio_gusto.actors.desk import StorageDesk
from trio_gusto.actors.holder import Guard, Holder
from trio_gusto.actors.storekeeper import Storekeeper
from trio_gusto.model.errors import UnreadableRecord
from trio_gusto.model.ids import to_uuid
from trio_gusto.model.job import JobRequest
from trio_gusto.model.schedule import Overlap, ScheduleRequest, StoredSchedule
from trio_gusto.model.states import Failed, Processing, Ready, Waiting
from trio_gusto.storage.finding_messages import Get
from trio_gusto.storage.messages import Commit
from trio_gusto.storage.schedule_messages import FindSchedules, HeldJob, PutSchedule
from trio_gusto.testing import Asked, Fault, FaultyStorage
from trio_gusto.testing.clock import START

HELD = HeldJob(JOB, "ledger", behind=(LAST,))


class Guarding(Bench):
    """A holder with its storage, the job that is held, and those who are told of it."""

    def __init__(self, storage: MemoryStorage | FaultyStorage | None = None) -> None:
        super().__init__()
        if storage is not None:
            self.desk = self.canceller._desk = StorageDesk(storage)
        self.due: list[int] = []
        self.holder = Holder(self.desk, self.waiters, self.canceller, self.clock, self.due.append)

    async def put(self, name: str, overlap: Overlap) -> None:
        template = JobRequest(JOB, "work", "[]", created_at=0, max_attempts=1)
        request = ScheduleRequest(name, every(60), template, overlap=overlap)
        schedule = StoredSchedule(request, anchor=0, since=0, next_at=NOW + 10**12)
        await self.desk.ask(PutSchedule(name, None, schedule))

    async def end(self, *, told: bool = True) -> None:
        """The job before has ended."""
        job = await self.find(LAST)
        await self.desk.ask(Commit(LAST, job.version, Failed(NOW, "no"), 1))
        if told:
            self.waiters.notify(LAST)


async def guarding(overlap: Overlap = Overlap.BUFFER_ONE) -> Guarding:
    bench = Guarding()
    await bench.put("ledger", overlap)
    await bench.store(LAST, PROCESSING)
    await bench.store(JOB, Waiting())
    return bench


async def test_a_job_is_let_go_when_the_one_before_has_ended(autojump_clock: MockClock) -> None:
    bench = await guarding()
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
        await wait_all_tasks_blocked()
        assert isinstance((await bench.find(JOB)).state, Waiting)
        assert bench.due == []
        await trio.sleep(5)
        await bench.end()
    at = NOW + 5_000_000
    assert (await bench.find(JOB)).state == Ready(at)
    assert bench.due == [at]
    later = START + timedelta(seconds=5)
    assert bench.facts == [
        JobReleased(at=later, job_id=to_uuid(JOB), name="work", queue="mail", due=later)
    ]


async def test_a_notification_for_nothing_lets_nobody_go(autojump_clock: MockClock) -> None:
    bench = await guarding()
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
        await wait_all_tasks_blocked()
        bench.waiters.notify_all()
        await wait_all_tasks_blocked()
        assert isinstance((await bench.find(JOB)).state, Waiting)
        nursery.cancel_scope.cancel()


async def test_a_job_has_one_guard_until_it_needs_none(autojump_clock: MockClock) -> None:
    bench = await guarding()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            bench.holder.hold([HELD], nursery)
            await wait_all_tasks_blocked()
        assert len(nursery.child_tasks) == 1
        await bench.end()
        await wait_all_tasks_blocked()
        bench.holder.hold([HELD], nursery)  # by a page that was read before
        await wait_all_tasks_blocked()
        assert not nursery.child_tasks
    assert bench.due == [NOW]


async def test_it_is_rested_while_its_guards_wait_for_jobs_that_have_not_ended(
    autojump_clock: MockClock,
) -> None:
    bench = await guarding()
    holder, rested, at_work = bench.holder, list[float](), list[bool]()
    holder._on_due = lambda _due: at_work.append(holder.is_rested())

    async def rest() -> None:
        await holder.until_rested()
        rested.append(trio.current_time())

    assert holder.is_rested()
    async with trio.open_nursery() as nursery:
        holder.hold([HELD], nursery)
        assert not holder.is_rested()  # nobody has looked yet
        nursery.start_soon(rest)
        await wait_all_tasks_blocked()
        assert holder.is_rested()
        assert len(rested) == 1
        await bench.end()
        assert not holder.is_rested()  # it is called, and will look
        nursery.start_soon(rest)
        await wait_all_tasks_blocked()
        assert holder.is_rested()
        assert (len(rested), at_work) == (2, [False])


def test_a_guard_that_does_not_wait_is_not_idle() -> None:
    assert Guard().is_idle() is False


REASON = "the next instant of its schedule 'ledger' has come (overlap='cancel_other')"


@pytest.mark.parametrize("is_running", [True, False])
async def test_what_stands_in_the_way_is_called_off_where_the_schedule_says_so(
    autojump_clock: MockClock, is_running: bool
) -> None:
    bench = Guarding()
    await bench.put("ledger", Overlap.CANCEL_OTHER)
    await bench.store(LAST, PROCESSING if is_running else Ready(NOW), attempt=1)
    await bench.store(JOB, Waiting())
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    if is_running:
        assert bench.called_off == [(LAST, REASON)]
    else:
        assert bench.facts[0] == finished(LAST, JobState.CANCELLED, REASON, attempt=1)
        assert bench.due == [NOW]


async def test_what_another_schedule_says_does_not_matter(autojump_clock: MockClock) -> None:
    bench = await guarding(Overlap.BUFFER_ONE)
    await bench.put("above", Overlap.CANCEL_OTHER)
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert bench.called_off == []


async def test_where_the_schedule_is_gone_its_last_job_waits_still(
    autojump_clock: MockClock,
) -> None:
    bench = Guarding()
    await bench.store(LAST, PROCESSING)
    await bench.store(JOB, Waiting())
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
        await wait_all_tasks_blocked()
        assert isinstance((await bench.find(LAST)).state, Processing)
        await bench.end()
    assert (await bench.find(JOB)).state == Ready(NOW)


async def test_a_job_that_does_not_wait_any_more_is_let_be(autojump_clock: MockClock) -> None:
    """Somebody else has let it go, or called it off."""
    bench = Guarding()
    await bench.store(LAST, Failed(NOW, "no"))
    await bench.store(JOB, Failed(NOW, "somebody was quicker"))
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
    assert (await bench.find(JOB)).state == Failed(NOW, "somebody was quicker")
    assert (bench.due, bench.facts) == ([], [])


async def test_a_job_that_changes_meanwhile_is_looked_at_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Guarding()
    await bench.store(LAST, Failed(NOW, "no"))
    await bench.store(JOB, Waiting())
    change, tries = bench.canceller.change, list[bool]()

    async def overtaken(*args: object) -> bool:
        if not tries:
            tries.append(False)
            return False
        tries.append(await change(*args))  # type: ignore[arg-type]
        return tries[-1]

    monkeypatch.setattr(bench.canceller, "change", overtaken)
    async with trio.open_nursery() as nursery:
        bench.holder.hold([HELD], nursery)
    assert tries == [False, True]
    assert (await bench.find(JOB)).state == Ready(NOW)


async def test_while_the_storage_fails_a_job_is_held_and_that_is_said(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    is_broken = False
    looked_for: set[tuple[int, str | None]] = set()

    def plan(asked: Asked) -> Fault | None:
        for message in asked.messages:
            if isinstance(message, FindSchedules):
                looked_for.add((message.limit, message.name))
        return Fault() if is_broken and isinstance(asked.messages[0], Get) else None

    bench = Guarding(FaultyStorage(MemoryStorage(), plan))
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(bench.desk).run)
        await bench.store(LAST, Failed(NOW, "no"))
        await bench.store(JOB, Waiting())
        is_broken = True
        bench.holder.hold([HELD], nursery)
        await trio.sleep(2.5)
        is_broken = False
        assert not bench.holder.is_rested()
        await bench.holder.until_rested()
        assert trio.current_time() == 3
        nursery.cancel_scope.cancel()
    line = f"job {to_uuid(JOB)} is held longer: the storage is busy: a fault of this test"
    assert [record.getMessage() for record in caplog.records] == [line] * 3
    assert looked_for == {(1, "ledger")}


@pytest.mark.parametrize("overlap", [Overlap.BUFFER_ONE, Overlap.CANCEL_OTHER])
async def test_who_stands_in_the_way_and_cannot_be_read_keeps_nobody_waiting(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, overlap: Overlap
) -> None:
    unreadable = UnreadableRecord("job", str(to_uuid(LAST)), "its state is 77")

    def plan(asked: Asked) -> Fault | None:
        (message, *_) = asked.messages
        asks_for_it = isinstance(message, Get) and LAST in message.job_ids
        return Fault(error=unreadable) if asks_for_it else None

    bench = Guarding(FaultyStorage(MemoryStorage(), plan))
    async with trio.open_nursery() as nursery:
        await nursery.start(Storekeeper(bench.desk).run)
        await bench.put("ledger", overlap)
        await bench.store(JOB, Waiting())
        bench.holder.hold([HELD], nursery)
        await bench.holder.until_rested()
        assert trio.current_time() == 0
        nursery.cancel_scope.cancel()
    assert (await bench.find(JOB)).state == Ready(NOW)
    said = [record.getMessage() for record in caplog.records]
    cancelled = f"a job of a schedule cannot be cancelled: {unreadable}"
    waited = f"a job of a schedule is waited for no more: {unreadable}"
    assert said == [cancelled, waited][overlap is Overlap.BUFFER_ONE :]

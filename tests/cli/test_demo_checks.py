"""What `trio-gusto demo` checks at its end can fail: a planted fault for each sentence."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trio

from trio_gusto import Fail, JobFilter, JobQueue, current_job
from trio_gusto.cli.demo import fanout, jobs, show, watching
from trio_gusto.cli.demo.check_files import FilesFound
from trio_gusto.cli.demo.conclude import conclude
from trio_gusto.cli.demo.fanout import Running, fanned_out
from trio_gusto.cli.demo.files import Plan, Settings
from trio_gusto.cli.demo.jobs import hash_file, make_app, summarize
from trio_gusto.cli.demo.show import demo
from trio_gusto.cli.demo.witness import attest, attested
from trio_gusto.cli.demo.worker import Worker

pytestmark = pytest.mark.usefixtures("nothing_is_far_away")

Fault = Callable[[JobQueue, Plan, Running], Awaitable[object]]
Wrong = Callable[..., list[str]]


@pytest.fixture
def wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> Wrong:
    """Run the demo; the checks that do not hold, and below them the sentences that say why."""

    def run(*, crash: bool = False, pace: float = 0.0) -> list[str]:
        assert demo(Settings(folder, crash, database=None, concurrency=4, pace=pace)) == 1
        lines = capsys.readouterr().out.splitlines()
        last = max(number for number, line in enumerate(lines) if line.startswith("check: "))
        checks = [line for line in lines if line.startswith("check: ") and ": WRONG: " in line]
        return [line.removeprefix("check: ") for line in checks] + lines[last + 1 :]

    return run


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands still once the files are hashed and summed up is not waited for."""

    async def look_and_give_up(queue: JobQueue, running: Running) -> watching.Look:
        if (await look(queue, running)).batch.is_finished:
            await running.summary.wait()
            await running.expiring.wait()
            monkeypatch.setattr(watching, "STANDSTILL", 2.5)
        return await look(queue, running)

    look = watching.look
    monkeypatch.setattr(watching, "look", look_and_give_up)


def meanwhile(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    @asynccontextmanager
    async def fanned_out_with_it(queue: JobQueue, plan: Plan) -> AsyncGenerator[Running]:
        async with fanned_out(queue, plan) as running:
            await fault(queue, plan, running)
            yield running

    monkeypatch.setattr(show, "fanned_out", fanned_out_with_it)


def at_the_end(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    async def conclude_with_it(
        queue: JobQueue, plan: Plan, running: Running, *args: Any, **options: Any
    ) -> bool:
        await fault(queue, plan, running)
        return await conclude(queue, plan, running, *args, **options)

    monkeypatch.setattr(show, "conclude", conclude_with_it)


# --- the batch ------------------------------------------------------------------------------------


def test_a_batch_with_a_job_too_many_that_is_not_finished(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append(queue: JobQueue, plan: Plan, running: Running) -> None:
        async with queue.append_to(running.batch.id, reopen=True) as more:
            more.enqueue(hash_file, str(plan.files[0].path), 0, 0.0, execute_after=3600)

    at_the_end(monkeypatch, append)
    assert wrong() == [
        "the batch is finished: WRONG: 19 of 20 jobs completed",
        "nothing is stuck: WRONG: 1 job",
        "the batch has 20 jobs, and there are 19 files",
        "the batch is not finished",
        "stuck: 1 job should have ended by now",
    ]


def test_a_batch_that_counts_what_did_not_complete(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_at_none(*_args: object) -> FilesFound:
        return FilesFound()

    monkeypatch.setattr("trio_gusto.cli.demo.conclude.check_files", look_at_none)
    assert "the batch counts 19 jobs completed, and 0 are" in wrong()


# --- the summary ----------------------------------------------------------------------------------


def test_a_summary_that_never_runs(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    meanwhile(monkeypatch, lambda _queue, _plan, running: running.summary.cancel("no time"))
    assert wrong() == [
        "the summary ran once: WRONG: never",
        "the summary is cancelled, no time",
    ]


def test_a_second_summary(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sum_up_again(queue: JobQueue, plan: Plan, running: Running) -> None:
        await (await queue.continue_with(running.batch, summarize, str(plan.witness))).wait()

    at_the_end(monkeypatch, sum_up_again)
    assert wrong() == [
        "the summary ran once: WRONG: 2 times",
        "2 jobs continue the batch, and should be one",
    ]


def test_a_summary_that_overlooks_a_file(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    class Overlooking:
        def __init__(self) -> None:
            self._context = current_job()
            self.parents = self._context.parents[1:]

        def __getattr__(self, name: str) -> object:
            return getattr(self._context, name)

    monkeypatch.setattr(jobs, "current_job", Overlooking)
    check, complaint = wrong()
    assert check == "the summary ran once: WRONG: once"
    assert re.search(r"the summary says .*files=18, .* and should say .*files=19, ", complaint)


# --- attempts -------------------------------------------------------------------------------------


def test_attempts_that_begin_twice(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_twice(log: Path) -> None:
        attest(log)
        attest(log)

    monkeypatch.setattr(jobs, "attest", begin_twice)
    first, second, *complaints = wrong()
    assert first == "the summary ran once: WRONG: once"
    assert second.startswith("each instant fired at most once: WRONG: ")
    assert re.fullmatch(r"attempt 1 of job \S+ began 2 times", complaints[0])
    assert "the summary began 2 times with 1 attempts" in complaints
    assert len(complaints) > 2, "the ticks began twice too"


def test_jobs_that_are_completed_and_never_ran(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "attest", lambda log: None)
    first, second, *complaints = wrong()
    assert first == "the summary ran once: WRONG: never"
    assert second == "each instant fired at most once: WRONG: 0 instants, 0 jobs"
    assert "the summary is completed, and never ran" in complaints
    assert re.fullmatch(r"the tick of [\d:.]+ is completed, and never ran", complaints[1])


# --- the schedule ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("impatient")
def test_a_schedule_that_does_not_tick(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "BEAT", timedelta(days=1))  # one that is paused may have ticked
    check, complaint = wrong()
    assert check == "the schedule went on: WRONG: 0 ticks of 0 instants; 0 skipped, 0 coalesced"
    assert complaint.startswith("the schedule did not go on: no tick after ")


@pytest.mark.usefixtures("impatient")
def test_ticks_that_fail(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_ticks(log: Path) -> None:
        if current_job().job.name == jobs.TICK:
            raise Fail("out of breath")
        attest(log)

    monkeypatch.setattr(jobs, "attest", fail_ticks)
    check, complaint, *complaints = wrong()
    assert check.startswith("the schedule went on: WRONG: 0 ticks of ")
    assert complaint.startswith("the schedule did not go on: no tick after ")
    assert re.fullmatch(r"the tick of [\d:.]+ is failed out of breath", complaints[0])


def test_an_instant_that_fires_twice(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    other = uuid4()

    async def fire_again(queue: JobQueue, plan: Plan, running: Running) -> None:
        entry = next(one for one in attested(plan.witness) if one.name == jobs.TICK)
        assert entry.fire_time is not None
        with plan.witness.open("a") as file:
            file.write(f"{jobs.TICK} {other} 1 {entry.fire_time.isoformat()}\n")

    at_the_end(monkeypatch, fire_again)
    check, twice, unknown = wrong()
    assert check.startswith("each instant fired at most once: WRONG: ")
    assert re.fullmatch(r"the instant [\d:.]+ fired 2 times", twice)
    assert unknown == f"job {other} ran as a tick, and is not in the database"


def test_a_tick_at_no_instant_of_the_schedule(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def tick_by_hand(queue: JobQueue, _plan: Plan, running: Running) -> None:
        await (await queue.trigger_schedule(running.heartbeat.name)).wait()

    meanwhile(monkeypatch, tick_by_hand)
    assert "the tick of no instant is at no instant of the schedule" in wrong()


def test_a_tick_that_was_skipped_and_ran(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    has_skipped = threading.Event()

    def hold_ticks_up(log: Path) -> None:
        if current_job().job.name == jobs.TICK:
            has_skipped.wait(10)
        attest(log)

    async def run_what_was_skipped(queue: JobQueue, plan: Plan, running: Running) -> None:
        skipped = JobFilter(states=["skipped"], schedule_name=running.heartbeat.name)
        while not (page := await queue.find(skipped)).items:  # noqa: ASYNC110 - in the database
            await trio.sleep(0.01)
        has_skipped.set()
        job = page.items[-1]
        assert job.fire_time is not None
        with plan.witness.open("a") as file:
            file.write(f"{jobs.TICK} {job.id} 1 {job.fire_time.isoformat()}\n")

    monkeypatch.setattr(jobs, "attest", hold_ticks_up)
    meanwhile(monkeypatch, run_what_was_skipped)
    check, complaint = wrong()
    assert check.startswith("each instant fired at most once: WRONG: ")
    assert re.fullmatch(r"the tick of [\d:.]+ was skipped, and ran", complaint)


@pytest.mark.usefixtures("impatient")
def test_a_schedule_that_does_not_go_on_after_the_crash(
    wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill, start = Worker.kill, Worker.start
    databases: list[Path] = []

    async def start_and_tell(plan: Plan) -> Worker:
        databases.append(plan.database)
        return await start(plan)

    async def kill_and_pause(worker: Worker) -> None:
        await kill(worker)
        async with make_app(databases[0], 1).connected() as queue:
            (heartbeat,) = await queue.schedules()
            await queue.pause_schedule(heartbeat.name)

    monkeypatch.setattr(Worker, "start", start_and_tell)
    monkeypatch.setattr(Worker, "kill", kill_and_pause)
    check, complaint = wrong(crash=True, pace=0.2)
    assert re.match(r"the schedule went on: WRONG: \d+ ticks \(0 after the crash\) of ", check)
    assert complaint.startswith("the schedule did not go on: no tick after ")


# --- beside the batch -----------------------------------------------------------------------------


def test_a_job_that_should_have_expired(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "UNSERVED", jobs.SERVED)
    assert wrong() == [
        "the job that nobody serves expired: WRONG: completed",
        "the job that nobody serves is completed, and should be expired",
    ]


@pytest.mark.usefixtures("impatient")
def test_a_job_that_is_stuck(wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    async def enqueue_where_nobody_serves(queue: JobQueue, plan: Plan, running: Running) -> None:
        path = str(plan.files[0].path)
        await queue.enqueue(hash_file, path, 0, 0.0, queue=jobs.UNSERVED, tenant=running.tenant)

    meanwhile(monkeypatch, enqueue_where_nobody_serves)
    assert wrong() == [
        "nothing is stuck: WRONG: 1 job",
        "stuck: 1 job should have ended by now",
    ]

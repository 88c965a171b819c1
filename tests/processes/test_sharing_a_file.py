"""Processes that share a file: they notice each other, and none runs what another has."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import trio

from tests.processes.conftest import Workshop
from trio_gusto import JobState

CHANGE = "PRAGMA data_version"


def test_jobs_of_a_killed_worker_run_again_within_a_second_of_the_next_start(
    workshop: Workshop,
) -> None:
    worker = workshop.start(enqueue=[["double", n] for n in range(3)] + [["slow", 0.1]] * 3)
    workshop.wait_until(lambda: workshop.ledger.words().count("slow") == 3)
    worker.kill()
    assert workshop.work() < 1.0
    for job, attempts in workshop.look():
        assert job.state is JobState.COMPLETED
        assert len(attempts) == (2 if job.name == "slow" else 1)


def test_an_enqueue_elsewhere_is_noticed_within_a_quarter_of_a_second(workshop: Workshop) -> None:
    worker = workshop.start()  # it polls every 30 seconds only
    worker.hear("ready")
    enqueued: list[int] = []

    async def produce() -> None:
        async with workshop.program.app.connected() as queue:
            for number in range(5):
                await trio.sleep(0.11)
                (ref,) = await queue.enqueue_many([workshop.program.call("double", number)])
                enqueued.append(time.time_ns())
                with trio.fail_after(5):
                    await ref.wait()

    trio.run(produce)
    begun = [int(line[3]) for line in workshop.ledger.lines()]
    delays = [(start - stored) / 1e9 for start, stored in zip(begun, enqueued, strict=True)]
    assert statistics.median(delays) < 0.25


def test_processes_that_want_one_key_never_have_two_live_jobs(workshop: Workshop) -> None:
    workers = [workshop.start(rush=25) for _ in range(2)]
    for worker in workers:
        worker.hear("ready")
    (workshop.home / "go").touch()
    told = [worker.hear("rushed") for worker in workers]
    stored = [set(ids) for ids, _ in told]
    jobs = [job for job, _ in workshop.look()]
    assert not stored[0] & stored[1]
    assert {str(job.id) for job in jobs} == stored[0] | stored[1]  # none lost, none too many
    assert set().union(*[met for _, met in told]) <= stored[0] | stored[1]
    assert any(met for _, met in told), "they never met"
    runs = sorted((job.started_at, job.ended_at) for job in jobs if job.started_at and job.ended_at)
    assert len(runs) == len(jobs)
    assert all(end <= start for (_, end), (start, _) in pairwise(runs))


def test_a_job_is_cancelled_from_another_process_within_a_second(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["tidy"]])
    job_id = worker.hear("enqueued")
    workshop.wait_until(lambda: workshop.ledger.words() == ["tidy"])
    asked = time.time_ns()
    canceller = workshop.start(works=False, stays=False, cancel=job_id)
    assert canceller.hear("cancelled") is True
    done = time.time_ns()
    workshop.wait_until(lambda: workshop.ledger.words() == ["tidy", "cleaning"])
    assert asked < int(workshop.ledger.lines()[1][3]) < done + 1e9
    workshop.wait_until(lambda: workshop.look()[0][0].state is JobState.CANCELLED)


def test_two_workers_run_each_job_once(workshop: Workshop) -> None:
    workers = [workshop.start() for _ in range(2)]
    for worker in workers:
        worker.hear("ready")
    jobs = workshop.enqueue_many("double", [(number,) for number in range(300)])
    workshop.wait_until(lambda: len(workshop.ledger.lines()) >= 300)
    for worker in workers:
        worker.terminate()
        assert worker.ended() == 0, worker.errors()
    ran = Counter(line[1] for line in workshop.ledger.lines())
    assert ran == Counter({str(job.id): 1 for job in jobs})
    for job, attempts in workshop.look():
        assert (job.state, len(attempts)) == (JobState.COMPLETED, 1)


def test_an_idle_worker_writes_nothing(workshop: Workshop) -> None:
    def sizes() -> dict[str, tuple[int, int]]:
        files = [path for path in Path(workshop.home).rglob("*") if path.is_file()]
        return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    async def main() -> None:
        async with workshop.program.app.running() as queue:
            (ref,) = await queue.enqueue_many([workshop.program.call("double", 1)])
            await ref.wait()
            await trio.sleep(1.3)  # a second after its last write the log is moved into the file
            other = sqlite3.connect(workshop.program.path)
            before = (sizes(), other.execute(CHANGE).fetchone())
            await trio.sleep(1.5)
            assert (sizes(), other.execute(CHANGE).fetchone()) == before
            other.close()

    trio.run(main)

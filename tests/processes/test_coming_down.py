"""A worker that is asked to stop gives back what it holds, and leaves nothing behind."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import trio

from tests.processes.conftest import Workshop
from tests.processes.worker import Program
from trio_gusto import JobState


def given_back(workshop: Workshop) -> list[tuple[JobState, int]]:
    return [(job.state, job.attempt) for job, _ in workshop.look()]


def test_a_worker_that_is_terminated_gives_its_jobs_back(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["slow", 60]] * 6)
    workshop.wait_until(lambda: len(workshop.ledger.lines()) == 4)
    worker.terminate()
    assert worker.ended() == 0, worker.errors()
    assert given_back(workshop) == [(JobState.READY, 0)] * 6


@pytest.mark.parametrize("busy_with", [None, "slow", "in_thread"])
def test_ctrl_c_ends_the_process_as_ctrl_c_and_gives_attempts_back(
    workshop: Workshop, busy_with: str | None
) -> None:
    worker = workshop.start(enqueue=[] if busy_with is None else [[busy_with, 60]])
    worker.hear("ready")
    if busy_with is not None:
        workshop.wait_until(lambda: len(workshop.ledger.lines()) == 1)
    worker.send(signal.SIGINT)
    assert worker.ended() == -signal.SIGINT
    assert "KeyboardInterrupt" in worker.errors()
    assert given_back(workshop) == [(JobState.READY, 0)] * (busy_with is not None)


def test_a_second_ctrl_c_ends_the_drain(workshop: Workshop) -> None:
    worker = workshop.start(enqueue=[["slow", 60]], options={"drain_timeout": 60})
    workshop.wait_until(lambda: len(workshop.ledger.lines()) == 1)
    began = time.monotonic()
    worker.send(signal.SIGINT)
    workshop.wait_until(lambda: time.monotonic() - began > 0.3)
    assert worker.process.poll() is None  # the job may come to its end
    worker.send(signal.SIGINT)
    assert worker.ended() == -signal.SIGINT
    assert time.monotonic() - began < 5
    assert given_back(workshop) == [(JobState.READY, 0)]


def test_a_hundred_starts_and_stops_leave_no_thread_no_file_no_task_and_no_memory(
    tmp_path: Path,
) -> None:
    program = Program(tmp_path)

    def occupied() -> tuple[int, int]:
        """How many objects there are, and bytes of memory."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return len(gc.get_objects()), pages * os.sysconf("SC_PAGESIZE")

    def count() -> tuple[set[str], int, int]:
        threads = {thread.name for thread in threading.enumerate() if "gusto" in thread.name}
        files = len(list(Path("/proc/self/fd").iterdir()))
        return threads, files, trio.lowlevel.current_statistics().tasks_living

    async def main() -> None:
        async with program.app.running() as queue:
            await queue.enqueue_many([program.call("double", 1)])
        before = count()
        objects, memory = occupied()
        for number in range(100):
            if number == 20:  # what is made once has been made
                objects, memory = occupied()
            opening = program.app.running() if number % 2 else program.app.connected()
            async with opening as queue:
                await queue.stats()
        assert count() == before
        assert before[0] == set()
        objects_now, memory_now = occupied()
        assert objects_now - objects < 80, "less than one for each start"
        assert memory_now - memory < 8 << 20

    trio.run(main)
    assert not list(tmp_path.glob("*-nodes/*"))

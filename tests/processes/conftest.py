"""Starts `tests.processes.worker` in processes, and never leaves one behind."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.processes.worker import Program
from trio_gusto import Attempt, Job

ROOT = Path(__file__).parents[2]
PATIENCE = 15.0


class Process:
    """A worker that is under way."""

    def __init__(self, home: Path, **order: Any) -> None:
        full: dict[str, Any] = {
            "home": str(home),
            "works": True,
            "stays": True,
            "enqueue": [],
            "many": 0,
            "pour": 0,
            "cancel": "",
            "schedule": [],
            "follow": "",
            "rush": 0,
            "kill": [],
            "options": {},
            **order,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.worker", json.dumps(full)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self, word: str) -> Any:
        """Wait for a report."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said, value = json.loads(line)
            if said == word:
                return value
        raise AssertionError(f"it ended without a word of {word!r}: {self.errors()}")

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for its end; minus the number of the signal it died of."""
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        self.kill()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


class Workshop:
    """A directory with a database and a ledger, and the processes that use them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: list[Process] = []
        self.program = Program(home)
        self.ledger = self.program.ledger

    def start(self, **order: Any) -> Process:
        process = Process(self.home, **order)
        self.processes.append(process)
        return process

    def killed(self, **order: Any) -> None:
        """Run a process that kills itself."""
        process = self.start(**order)
        code = process.ended()
        assert code == -signal.SIGKILL, process.errors()

    def enqueue(self, name: str, *args: object) -> Job:
        return self.enqueue_many(name, [args])[0]

    def enqueue_many(self, name: str, calls: list[tuple[object, ...]]) -> list[Job]:
        async def main() -> list[Job]:
            async with self.program.app.connected() as queue:
                many = [self.program.call(name, *args) for args in calls]
                return [await ref.job() for ref in await queue.enqueue_many(many)]

        return trio.run(main)

    def follow(self, name: str, *args_and_child: Any) -> None:
        """Enqueue a job, and one that waits for it: its name comes last."""

        async def main() -> None:
            *args, child = args_and_child
            async with self.program.app.connected() as queue:
                (parent,) = await queue.enqueue_many([self.program.call(name, *args)])
                await queue.continue_with(parent, getattr(self.program, child))

        trio.run(main)

    def look(self) -> list[tuple[Job, list[Attempt]]]:
        """All jobs, oldest first, with their attempts."""

        async def main() -> list[tuple[Job, list[Attempt]]]:
            async with self.program.app.connected() as queue:
                jobs = (await queue.find(limit=1000)).items
                return [(job, list(await queue.attempts(job))) for job in reversed(jobs)]

        return trio.run(main)

    def go(self) -> None:
        """Tell the handlers that wait for it to go on."""
        self.program.go.touch()

    def count(self) -> int:
        async def main() -> int:
            async with self.program.app.connected() as queue:
                return sum((await queue.stats()).by_state.values())

        return trio.run(main)

    def staged(self) -> int:
        """How many jobs and blocks are put by for batches."""
        with closing(sqlite3.connect(self.program.path)) as connection:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM staged) + (SELECT count(*) FROM stage)"
            ).fetchone()
        return int(count)

    def work(self) -> float:
        """Run what is due, here; how many seconds after the start of the app all had ended."""

        async def main() -> float:
            began = time.perf_counter()
            with trio.fail_after(PATIENCE):
                async with self.program.app.running() as queue:
                    for job in (await queue.find(limit=1000)).items:
                        await queue.ref(job.id).wait()
                    return time.perf_counter() - began

        return trio.run(main)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"never happened; ledger: {self.ledger.lines()}"
            time.sleep(0.01)  # noqa: TID251 - what happens, happens in another process


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path)
    try:
        yield workshop
    finally:
        for process in workshop.processes:
            process.close()

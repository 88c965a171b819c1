"""A worker process, from both sides: as it runs, and as it is started, killed and stopped.

It runs jobs until it gets SIGTERM, or until the process that started it is gone, which shows in the
end of its standard input. Either way it drains. Its log goes to a file, away from the screen.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import trio

from ... import Gusto, GustoError, SystemClock
from .files import Plan
from .jobs import make_app

PATIENCE = 20.0
"""Seconds that a worker may take to drain."""

EXECUTABLE = (sys.executable, "-m", "trio_gusto", "demo", "--worker")


class WorkerDied(GustoError):
    """A worker process ended that nobody had stopped."""


# --- inside the process ---------------------------------------------------------------------------


def work(database: Path, concurrency: int) -> int:
    """Run jobs until SIGTERM or the end of standard input."""
    logging.basicConfig(format="%(asctime)s %(process)d %(levelname)s %(message)s")
    # The process that watches computes from this how long the app itself took.
    sys.stdout.write(f"{SystemClock().nanoseconds()}\n")
    sys.stdout.flush()
    trio.run(_serve, make_app(database, concurrency))
    return 0


async def _serve(app: Gusto) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with app.running(), trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_end_of_input, nursery.cancel_scope)
            async for _signal in signals:
                nursery.cancel_scope.cancel()
                return


async def _cancel_at_end_of_input(scope: trio.CancelScope) -> None:
    await trio.to_thread.run_sync(os.read, sys.stdin.fileno(), 1, abandon_on_cancel=True)
    scope.cancel()


# --- from outside ---------------------------------------------------------------------------------


class Worker:
    """A worker process as its parent sees it."""

    def __init__(self, process: trio.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        self.spawned_at = SystemClock().now()
        self.app_started_at: datetime | None = None

    @classmethod
    async def start(cls, plan: Plan) -> Worker:
        """Start a process on the plan's database, in a group of its own: Ctrl-C is not its affair."""
        log = plan.database.with_name(f"{plan.database.name}.workers.log")
        command = [
            *EXECUTABLE,
            f"--database={plan.database}",
            f"--concurrency={plan.concurrency}",
        ]
        with log.open("ab") as file:
            worker = cls(
                await trio.lowlevel.open_process(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=file,
                    process_group=0,
                ),
                log,
            )
        await worker._read_start()
        return worker

    async def _read_start(self) -> None:
        assert self._process.stdout is not None
        line = b""
        while not line.endswith(b"\n"):
            if not (more := await self._process.stdout.receive_some()):
                await self._process.wait()
                self.must_live()
            line += more
        self.app_started_at = datetime.fromtimestamp(int(line) / 1e9, UTC)

    def must_live(self) -> None:
        """Raise `WorkerDied` if it has ended."""
        code = self._process.poll()
        if code is None:
            return
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
        raise WorkerDied(
            f"worker {self.pid} ended by itself with exit code {code}, so nobody runs the jobs; "
            f"its last words were: {''.join(last) or '(none)'}"
        )

    async def kill(self) -> None:
        """SIGKILL: it has no last word."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM: it drains and ends. Past its patience it is killed."""
        if self._process.poll() is not None:
            return
        # Also when we are being cancelled: no process is left behind. The deadline ends the shield.
        with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE):
            self._process.terminate()
            await self._process.wait()
        if self._process.poll() is None:
            with trio.CancelScope(shield=True):  # a killed process ends at once
                await self.kill()

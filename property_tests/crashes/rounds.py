"""One round: processes on a file of their own, what is done to them, and what is found in the end."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from . import laws, processes, rows
from .errands import BUSY, DATABASE, LEDGER
from .judge import Finding, judge
from .ledger import Ledger, Line, Tail
from .looking import Observer
from .points import POINTS, begun
from .processes import Process
from .tally import ANYBODY, EVERYBODY, Tally

STUCK = 60.0
"""Seconds in which nothing changes, and after which what has not ended is stuck."""

TRY = 3.0
"""Seconds to wait for a process to be at a point."""

STANDS, RESTARTS = "stands still", "restarts"

EVENTS: Mapping[str, int] = MappingProxyType(
    {**dict.fromkeys(POINTS, 2), ANYBODY: 4, EVERYBODY: 1, STANDS: 4, RESTARTS: 1}
)
"""What is done, and how often."""


@attrs.define
class Still:
    """A process that stands still until what it held has been taken over."""

    process: Process
    held: list[tuple[str, int]]
    until: float


class Round:
    """Starts processes, does things to them, and has them come to an end."""

    def __init__(self, home: Path, seed: str, *, lease: float = 3.0) -> None:
        self.home = home
        self.seed = seed
        self.draw = random.Random(seed)
        self.lease = lease
        self.options: dict[str, Any] = {
            "poll_interval": 5,
            "lease": lease,
            "drain_timeout": 0.5,
            "concurrency": 4,
        }
        self.look = Observer(home)
        self.ledger = Ledger(home / LEDGER)
        self.workers: list[Process] = []
        self.producer: Process | None = None
        self.wanted = self.draw.randint(2, 4)
        self.lives = 0
        self.still: list[Still] = []
        self.found: list[Finding] = []
        self.closed: list[Process] = []

    def play(self, more: Callable[[int], str | None]) -> list[Finding]:
        """Do what ``more`` says, by number, until it says nothing; then judge."""
        try:
            self.fill()
            number = 0
            while (event := more(number)) is not None:
                number += 1
                self.do(event)
                self.wake()
                self.pause(self.draw.uniform(0.05, 0.6))
                self.fill()
            self.finish()
        finally:
            for process in [*self.processes, *self.closed]:
                process.close()
            self.ledger.close()
        return [*self.found, *judge(self.lines(), rows.read(self.home)), *self.audit()]

    def lines(self) -> list[Line]:
        """All of the ledger."""
        return [*Tail(self.home / LEDGER).new()]

    def count(self, tally: Tally) -> None:
        """Add what has happened to the figures."""
        tally.add(self.lines(), rows.read(self.home))

    # --- processes --------------------------------------------------------------------------------

    @property
    def processes(self) -> list[Process]:
        """Those that have not ended as far as is known."""
        return [*self.workers, *([self.producer] if self.producer is not None else [])]

    @property
    def moving(self) -> list[Process]:
        """Those that do not stand still."""
        return [process for process in self.processes if not process.is_stopped]

    def fill(self, *, produces: bool = True) -> None:
        """Start what is missing."""
        for process in self.processes:
            if process.code is not None:
                self.lose(process)
        while len(self.workers) < self.wanted:
            self.workers.append(processes.worker(self.home, self.options))
        if self.producer is None and produces:
            self.producer = processes.producer(self.home, self.seed, self.lives)
            self.lives += 1

    def lose(self, process: Process) -> None:
        """Have it no more; it has ended."""
        if process.code not in (0, -9, BUSY):
            self.found.append(Finding(laws.ALIVE, f"{process.pid} has ended with {process.code}"))
        self.closed.append(process)
        self.still = [still for still in self.still if still.process is not process]
        if process is self.producer:
            self.producer = None
        else:
            self.workers.remove(process)

    def pause(self, seconds: float) -> None:
        """Let them go on for a while."""
        time.sleep(seconds)  # noqa: TID251 - nobody else is in this process

    # --- what is done to them ---------------------------------------------------------------------

    def do(self, event: str) -> None:
        """Do one thing to them."""
        if event not in (ANYBODY, EVERYBODY) or self.draw.randrange(2):
            self.get_ready()
        if event == ANYBODY:
            self.kill(self.draw.choice(self.moving or self.processes), event)
        elif event == EVERYBODY:
            self.kill_all(event)
        elif event == STANDS:
            self.stand()
        elif event == RESTARTS:
            self.restart()
        elif event == "draining":
            self.kill_while_it_drains(event)
        elif event == "log being moved":
            self.kill_when_the_log_is_moved(event)
        else:
            process = self.caught(POINTS[event])
            if process is not None:
                self.kill(process, event)

    def get_ready(self) -> None:
        """Wait until all can run jobs, but not for one that stands in the others' way."""
        until = time.monotonic() + TRY
        while time.monotonic() < until and not all(self.is_ready(one) for one in self.moving):
            self.pause(0.01)

    def is_ready(self, process: Process) -> bool:
        """Whether it has said so, or has ended."""
        return process.code is not None or (process.pid, "ready") in self.look.read_ledger().said

    def kill(self, process: Process, point: str) -> None:
        """Kill one."""
        process.kill(point)
        self.lose(process)

    def kill_all(self, point: str) -> None:
        """Kill all of them, as near to at once as can be."""
        for process in self.processes:
            self.kill(process, point)

    def caught(self, point: Callable[[Observer, Process], bool]) -> Process | None:
        """Stop one after the other for a moment, until one stands still at the point."""
        until = time.monotonic() + TRY
        while time.monotonic() < until and self.moving:
            process = self.draw.choice(self.moving)
            if process.stop():
                self.look.read_ledger()
                if point(self.look, process):
                    return process
                process.go_on()
            self.pause(self.draw.uniform(0.001, 0.01))
        return None

    def stand(self) -> None:
        """Have one stand still while it is in a handler, until it has lost its lease."""
        if len(self.still) >= self.wanted - 1:
            return
        process = self.caught(lambda look, one: one.is_worker and begun(look, one))
        if process is not None:
            self.ledger.note("stops", process=process.pid)
            held = [(one.job, one.token) for one in self.look.held() if one.pid == process.pid]
            until = time.monotonic() + 4 * self.lease
            self.still.append(Still(process, held, until))

    def wake(self, *, everybody: bool = False) -> None:
        """Have those go on whose jobs have been taken over."""
        for still in [*self.still]:
            taken = {(job, token) for job, token in still.held if self.has_moved(job, token)}
            is_late = everybody or time.monotonic() > still.until
            if is_late or len(taken) == len(still.held):
                still.process.go_on()
                self.still.remove(still)

    def has_moved(self, job: str, token: int) -> bool:
        """Whether somebody has taken a job over."""
        rows = self.look.ask("SELECT version FROM job WHERE id = unhex(?)", job)
        return any(int(str(version)) > token for (version,) in rows)

    def restart(self) -> None:
        """Tell one to stop, and wait until it has."""
        process = self.draw.choice(self.moving or self.processes)
        process.go_on()
        self.tell_to_stop(process)
        self.see_its_end(process)

    def tell_to_stop(self, process: Process) -> None:
        """Tell one to stop, when it can hear that."""
        while not self.is_ready(process):
            self.pause(0.01)
        process.tell_to_stop()

    def see_its_end(self, process: Process) -> None:
        """Wait for the end of one that was told to stop."""
        if process.ended() is None:
            self.found.append(Finding(laws.ALIVE, f"{process.pid} did not stop"))
            process.kill(ANYBODY)
        self.lose(process)

    def kill_while_it_drains(self, point: str) -> None:
        """Tell one to stop, and kill it before it has."""
        process = self.caught(lambda look, one: one.is_worker and begun(look, one))
        if process is None:
            return
        process.tell_to_stop()
        process.go_on()
        while (
            process.code is None and (process.pid, "draining") not in self.look.read_ledger().said
        ):
            self.pause(0.001)
        is_stopped = process.stop()
        self.look.read_ledger()
        if is_stopped and POINTS[point](self.look, process):
            self.kill(process, point)
        else:
            process.go_on()
            self.see_its_end(process)

    def kill_when_the_log_is_moved(self, point: str) -> None:
        """Stop all of them while one moves the log, and kill them."""
        until = time.monotonic() + 3 * TRY
        while time.monotonic() < until:
            if self.look.log()[1]:
                moving = [process for process in self.moving if process.stop()]
                if self.look.log()[1]:
                    self.kill_all(point)
                    return
                for process in moving:
                    process.go_on()
            self.pause(0.0003)

    # --- the end ----------------------------------------------------------------------------------

    def finish(self) -> None:
        """Let everything come to an end, and nothing new begin."""
        self.wake(everybody=True)
        if self.producer is not None:
            self.tell_to_stop(self.producer)
            self.see_its_end(self.producer)
        while (code := self.last_life()) == BUSY:
            self.pause(0.1)
        if code != 0:
            self.found.append(Finding(laws.ALIVE, f"the last producer ended with {code}"))
        self.fill(produces=False)
        self.wait()
        for process in [*self.workers]:
            self.tell_to_stop(process)
        for process in [*self.workers]:
            self.see_its_end(process)

    def last_life(self) -> int | None:
        """Have nothing scheduled any more."""
        last = processes.producer(self.home, self.seed, -1)
        self.closed.append(last)
        return last.ended()

    def wait(self) -> None:
        """Wait until everything has ended, or nothing changes any more."""
        before: object = None
        looks = 0.0
        while looks < STUCK:
            now = self.look.ask("SELECT count(*) FILTER (WHERE state < 4), sum(version) FROM job")
            if now and now[0][0] == 0:
                return
            looks = looks + 0.05 if now == before else 0.0
            before = now
            self.pause(0.05)
            self.fill(produces=False)
        for (job,) in self.look.ask(
            "SELECT id FROM jobs WHERE state NOT IN ('completed') LIMIT 20"
        ):
            said = self.command("jobs", "explain", str(job), "--db", str(self.home / DATABASE))
            self.found.append(Finding(laws.ENDED, said.stdout + said.stderr))

    def audit(self) -> list[Finding]:
        """What the package's own audit says."""
        said = self.command("audit", str(self.home / DATABASE))
        if said.returncode == 0:
            return []
        return [Finding(laws.AUDIT, line) for line in (said.stdout + said.stderr).splitlines()]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the package."""
        return subprocess.run(
            [sys.executable, "-m", "trio_gusto", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

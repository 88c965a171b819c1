"""One round: processes on a file of their own, what is done to them, and what is found in the end."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from . import rows, small_disk
from .crew import Crew, pause
from .ending import audit, end
from .errands import DATABASE, LEDGER, SETTINGS, Settings
from .judge import judge
from .laws import Finding
from .ledger import Ledger, Line, Tail
from .looking import Observer
from .points import POINTS, begun, draining, ended
from .processes import Process
from .tally import ANYBODY, EVERYBODY, Tally

TRY = 3.0
"""Seconds to wait for a process to be at a point."""

STANDS, RESTARTS, FULL, LOCKED = "stands still", "restarts", "disk full", "file locked"

EVENTS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(POINTS, 2),
        ANYBODY: 4,
        EVERYBODY: 1,
        STANDS: 4,
        RESTARTS: 1,
        FULL: 2,
        LOCKED: 1,
    }
)
"""What is done, and how often."""


USUAL = Settings()


@attrs.define
class Still:
    """A process that stands still until what it held has been taken over."""

    process: Process
    held: list[tuple[str, int]]
    until: float


class Round:
    """Does things to processes, and judges what has come of it."""

    def __init__(
        self,
        home: Path,
        seed: str,
        *,
        workers: int | None = None,
        lease: float = 3.0,
        settings: Settings = USUAL,
    ) -> None:
        self.home = home
        self.draw = random.Random(seed)
        self.lease = lease
        self.is_small = settings.small
        (home / DATABASE).parent.mkdir(exist_ok=True)
        (home / SETTINGS).write_text(json.dumps(attrs.asdict(settings)))
        options: dict[str, Any] = {
            "poll_interval": 5,
            "lease": lease,
            "drain_timeout": 0.5,
            "concurrency": 4,
        }
        self.crew = Crew(home, seed, options, workers or self.draw.randint(2, 4))
        self.ledger = Ledger(home / LEDGER)
        self.still: list[Still] = []

    def play(self, more: Callable[[int], str | None]) -> list[Finding]:
        """Do what ``more`` says, by number, until it says nothing; then judge."""
        crew = self.crew
        try:
            crew.fill()
            number = 0
            while (event := more(number)) is not None:
                number += 1
                self.do(event)
                self.wake()
                pause(self.draw.uniform(0.05, 0.6))
                crew.fill()
            while self.still:
                pause(0.05)
                self.wake()
            end(crew)
        finally:
            crew.close()
            self.ledger.close()
        return [*crew.found, *judge(self.lines(), rows.read(self.home)), *audit(crew)]

    def lines(self) -> list[Line]:
        """All of the ledger."""
        return [*Tail(self.home / LEDGER).new()]

    def count(self, tally: Tally) -> None:
        """Add what has happened to the figures."""
        tally.add(self.lines(), rows.read(self.home))

    def do(self, event: str) -> None:
        """Do one thing to them."""
        crew = self.crew
        if event not in (ANYBODY, EVERYBODY) or self.draw.randrange(2):
            crew.get_ready()
        if event == ANYBODY:
            crew.kill(self.draw.choice(crew.moving() or crew.everybody()), event)
        elif event == EVERYBODY:
            crew.kill_all(event)
        elif event == STANDS:
            self.stand()
        elif event == RESTARTS:
            self.restart()
        elif event == FULL:
            self.fill_the_disk()
        elif event == LOCKED:
            self.lock()
        elif event == "draining":
            self.kill_while_it_drains(event)
        elif event == "log being moved":
            self.kill_when_the_log_is_moved(event)
        else:
            process = self.caught(POINTS[event])
            if process is not None:
                crew.kill(process, event)

    def caught(self, point: Callable[[Observer, Process], bool]) -> Process | None:
        """Stop one after the other for a moment, until one stands still at the point."""
        look, until = self.crew.look, time.monotonic() + TRY
        while time.monotonic() < until and self.crew.moving():
            process = self.draw.choice(self.crew.moving())
            if process.stop():
                look.read_ledger()
                if point(look, process):
                    return process
                process.go_on()
            pause(self.draw.uniform(0.001, 0.01))
        return None

    def stand(self) -> None:
        """Have one stand still, in a handler or with an outcome on its way, until it has lost its lease."""
        if len(self.still) >= self.crew.wanted - 1:
            return
        process = self.caught(self.draw.choice([begun, ended]))
        if process is not None:
            self.ledger.note("stops", process=process.pid)
            leased = self.crew.look.held()
            held = [(one.job, one.token) for one in leased if one.pid == process.pid]
            self.still.append(Still(process, held, time.monotonic() + 4 * self.lease))

    def wake(self) -> None:
        """Have those go on whose jobs have been taken over, or who were waited for long enough."""
        for still in [*self.still]:
            is_late = time.monotonic() > still.until
            if still.process.code is not None:
                self.still.remove(still)
            elif is_late or all(self.has_moved(job, token) for job, token in still.held):
                still.process.go_on()
                self.still.remove(still)

    def has_moved(self, job: str, token: int) -> bool:
        """Whether somebody has taken a job over."""
        versions = self.crew.look.ask("SELECT version FROM job WHERE lower(hex(id)) = ?", job)
        return any(int(str(version)) > token for (version,) in versions)

    def restart(self) -> None:
        """Tell one to stop, and wait until it has."""
        process = self.draw.choice(self.crew.moving() or self.crew.everybody())
        process.go_on()
        self.crew.tell_to_stop(process)
        self.crew.see_its_end(process)

    def fill_the_disk(self) -> None:
        """Leave no space for a while, where the disk is a small one."""
        if self.is_small:
            with small_disk.filled((self.home / DATABASE).parent):
                self.ledger.note("full")
                pause(self.draw.uniform(0.5, 2))

    def lock(self) -> None:
        """Keep everybody from writing, perhaps for longer than leases last."""
        path = self.home / DATABASE
        with closing(sqlite3.connect(path, isolation_level=None, timeout=TRY)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return  # one that stands still has the lock
            self.ledger.note("locks")
            pause(self.draw.uniform(0.5, 1.5) * self.lease)
            connection.execute("ROLLBACK")

    def kill_while_it_drains(self, point: str) -> None:
        """Tell one to stop, and kill it before it has."""
        process = self.caught(begun)
        if process is None:
            return
        crew, until = self.crew, time.monotonic() + 3 * TRY
        process.tell_to_stop()
        process.go_on()
        while (
            process.code is None and not draining(crew.look, process) and time.monotonic() < until
        ):
            pause(0.001)
            crew.look.read_ledger()
        is_stopped = process.stop()
        crew.look.read_ledger()
        if is_stopped and draining(crew.look, process):
            crew.kill(process, point)
        else:
            process.go_on()
            crew.see_its_end(process)

    def kill_when_the_log_is_moved(self, point: str) -> None:
        """Stop all of them while one moves the log, and kill them."""
        look, until = self.crew.look, time.monotonic() + 3 * TRY
        while time.monotonic() < until:
            if look.log()[1]:
                stopped = [process for process in self.crew.moving() if process.stop()]
                if look.log()[1]:
                    self.crew.kill_all(point)
                    return
                for process in stopped:
                    process.go_on()
            pause(0.0003)

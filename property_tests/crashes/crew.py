"""The processes of a round: started when one is missing, and seen to their ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import laws, processes
from .errands import UNUSABLE
from .laws import Finding
from .looking import Observer
from .processes import Process
from .tally import ANYBODY

READY = 3.0
"""Seconds to wait for a process that may stand in line for the file."""

PATIENCE = 120.0
"""Seconds to wait for what nobody stands in the way of; more than a busy machine takes."""

KILLED = -9


class Crew:
    """Some workers and a producer on one file."""

    def __init__(self, home: Path, seed: str, options: Mapping[str, Any], workers: int) -> None:
        self.home = home
        self.seed = seed
        self.options = options
        self.wanted = workers
        self.look = Observer(home)
        self.workers: list[Process] = []
        self.producer: Process | None = None
        self.found: list[Finding] = []
        self._lives = 0
        self._ended: list[Process] = []

    def everybody(self) -> list[Process]:
        """Those that have not ended as far as is known."""
        return [*self.workers, *([self.producer] if self.producer is not None else [])]

    def moving(self) -> list[Process]:
        """Those that do not stand still."""
        return [process for process in self.everybody() if not process.is_stopped]

    def fill(self, *, produces: bool = True) -> None:
        """Start what is missing."""
        for process in self.everybody():
            if process.code is not None:
                self.lose(process)
        while len(self.workers) < self.wanted:
            self.workers.append(processes.worker(self.home, self.options))
        if self.producer is None and produces:
            self.producer = processes.producer(self.home, self.seed, self._lives)
            self._lives += 1

    def lose(self, process: Process) -> None:
        """Have it no more; it has ended."""
        if process.code not in (0, KILLED, UNUSABLE):
            self.found.append(Finding(laws.ALIVE, f"{process.pid} has ended with {process.code}"))
        self._ended.append(process)
        if process is self.producer:
            self.producer = None
        else:
            self.workers.remove(process)

    def get_ready(self) -> None:
        """Wait until all are, but not for long."""
        until = time.monotonic() + READY
        while time.monotonic() < until and not all(self.is_ready(one) for one in self.moving()):
            pause(0.01)

    def is_ready(self, process: Process) -> bool:
        """Whether it has said so, or has ended."""
        return process.code is not None or (process.pid, "ready") in self.look.read_ledger().said

    def kill(self, process: Process, point: str) -> None:
        """Kill one."""
        process.kill(point)
        self.lose(process)

    def kill_all(self, point: str) -> None:
        """Kill all of them, as near to at once as can be."""
        for process in self.everybody():
            self.kill(process, point)

    def tell_to_stop(self, process: Process) -> None:
        """Tell one to stop, when it can hear that."""
        wait_until(lambda: self.is_ready(process))
        process.tell_to_stop()

    def see_its_end(self, process: Process) -> None:
        """Wait for the end of one that was told to stop."""
        if process.ended() is None:
            self.found.append(Finding(laws.ALIVE, f"{process.pid} did not stop"))
            process.kill(ANYBODY)
        self.lose(process)

    def last_life(self) -> int | None:
        """Have a producer see to it that nothing is scheduled any more; how it has ended."""
        last = processes.producer(self.home, self.seed, -1)
        self._ended.append(last)
        return last.ended()

    def close(self) -> None:
        """Leave nobody behind."""
        for process in [*self.everybody(), *self._ended]:
            process.close()


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait for what processes do; whether they have done it, which they should."""
    until = time.monotonic() + PATIENCE
    while not (found := condition()) and time.monotonic() < until:
        pause(0.01)
    return found


def pause(seconds: float) -> None:
    """Let them go on for a while."""
    time.sleep(seconds)  # noqa: TID251 - nobody else is in this process

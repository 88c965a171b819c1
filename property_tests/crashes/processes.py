"""Processes of a campaign: started, stopped, continued and killed from outside, without a word to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errands import LEDGER
from .ledger import Ledger

ROOT = Path(__file__).parents[2]
LEAVING = 60.0
"""Seconds within which a process ends that was told to."""


class Process:
    """One process; what is done to it is in the ledger before it happens."""

    def __init__(self, home: Path, module: str, *arguments: str) -> None:
        self.is_worker = module == "worker"
        self.is_stopped = False
        self._ledger = Ledger(home / LEDGER)
        with (home / "errors").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"property_tests.crashes.{module}", str(home), *arguments],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self.pid = self._process.pid
        self._ledger.note("starts", process=self.pid, module=module)

    @property
    def code(self) -> int | None:
        """How it has ended; ``None`` if it has not."""
        return self._process.poll()

    def stop(self) -> bool:
        """Have it stand still. When this returns, it does; ``False`` if it has ended."""
        if self.code is not None:
            return False
        os.kill(self.pid, signal.SIGSTOP)
        # What is found is left where it is: somebody else asks for how it has ended.
        found = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        assert found is not None
        self.is_stopped = found.si_code == os.CLD_STOPPED
        return self.is_stopped

    def go_on(self) -> None:
        """Have it go on, if it stands still."""
        if self.is_stopped:
            os.kill(self.pid, signal.SIGCONT)
            self.is_stopped = False

    def kill(self, point: str) -> None:
        """Kill it, at a point that is known or at any."""
        self._ledger.note("kills", process=self.pid, point=point)
        self._process.kill()
        self._process.wait()

    def tell_to_stop(self) -> None:
        """Ask it to come to an end."""
        if self.code is None:
            os.kill(self.pid, signal.SIGTERM)

    def ended(self) -> int | None:
        """Wait for its end; how it has ended, or ``None`` if it does not."""
        try:
            return self._process.wait(LEAVING)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Leave nothing behind."""
        if self.code is None:
            self._process.kill()
            self._process.wait()
        self._ledger.close()


def worker(home: Path, options: Mapping[str, Any]) -> Process:
    """Start a worker."""
    return Process(home, "worker", json.dumps(options))


def producer(home: Path, seed: str, life: int) -> Process:
    """Start a producer."""
    return Process(home, "producer", seed, str(life))

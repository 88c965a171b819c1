"""How a round comes to its end: nothing new begins, all that has begun may end, and is looked at."""

from __future__ import annotations

import subprocess
import sys

from . import laws
from .crew import Crew, pause
from .errands import DATABASE, UNUSABLE
from .laws import Finding

STUCK = 60.0
"""Seconds in which nothing changes, and after which what has not ended is stuck."""

LOOK = 0.05


def end(crew: Crew) -> None:
    """Stop whoever asks for more, wait for everything that was asked for, and stop everybody."""
    if crew.producer is not None:
        producer = crew.producer
        crew.tell_to_stop(producer)
        crew.see_its_end(producer)
    while (code := crew.last_life()) == UNUSABLE:
        pause(0.1)
    if code != 0:
        crew.found.append(Finding(laws.ALIVE, f"the last producer ended with {code}"))
    crew.fill(produces=False)
    _wait(crew)
    workers = [*crew.workers]
    for worker in workers:
        crew.tell_to_stop(worker)
    for worker in workers:
        crew.see_its_end(worker)


def _wait(crew: Crew) -> None:
    """Wait until everything has ended, or nothing changes any more."""
    before: object = None
    looks = 0.0
    while looks < STUCK:
        now = crew.look.ask("SELECT count(*) FILTER (WHERE state < 4), sum(version) FROM job")
        if now and now[0][0] == 0:
            return
        looks = looks + LOOK if now == before else 0.0
        before = now
        pause(LOOK)
        crew.fill(produces=False)
    stuck = crew.look.ask(
        "SELECT id FROM jobs WHERE state IN ('waiting', 'scheduled', 'ready', 'processing') LIMIT 20"
    )
    for (job,) in stuck:
        said = _command("jobs", "explain", str(job), "--db", str(crew.home / DATABASE))
        crew.found.append(Finding(laws.ENDED, said.stdout + said.stderr))


def audit(crew: Crew) -> list[Finding]:
    """What the package's own audit says."""
    said = _command("audit", str(crew.home / DATABASE))
    if said.returncode == 0:
        return []
    return [Finding(laws.AUDIT, line) for line in (said.stdout + said.stderr).splitlines()]


def _command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trio_gusto", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )

"""``trio-gusto jobs show`` says how far a running job is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest
import trio

from trio_gusto.cli.jobs import _guess
from trio_gusto.clock import SystemClock
from trio_gusto.model.estimating import Estimate
from trio_gusto.model.ids import to_uuid, uuid7
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import Completed, Ready, State
from trio_gusto.storage.messages import ClaimDue, Insert
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]

SECOND = 1_000_000


def a_running_job(path: Path, earlier: Sequence[int]) -> UUID:
    """It has run for 40 seconds; ``earlier`` are the seconds that others took."""

    async def fill() -> UUID:
        storage = SqliteStorage(path, synchronous="NORMAL")
        await storage.attach("node")
        now = SystemClock().instant()
        begun = now - 40 * SECOND
        requests = [
            JobRequest(uuid7(now * 1000, number), "work", "[[],{}]", begun, 9)
            for number in range(len(earlier) + 1)
        ]
        states: list[State] = [
            Completed(begun, begun - seconds * SECOND, begun - seconds * SECOND, "node")
            for seconds in earlier
        ]
        await storage.apply([Insert(requests, [*states, Ready(begun)])])
        await storage.apply([ClaimDue("node", begun, now + 3600 * SECOND, 1, 1)])
        await storage.detach("node")
        return to_uuid(requests[-1].id)

    return trio.run(fill)


def test_a_running_job_is_shown_with_an_estimate(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    job = a_running_job(path, [5000] * 9)

    code, said = command("jobs", "show", str(job), "--db", str(path))
    assert code == 0
    assert "\nestimate: about 1 %, estimated from 9 runs; 1:22:" in said
    code, said = command("jobs", "show", str(job), "--json", "--db", str(path))
    shown = json.loads(said)
    assert shown["estimate"]["runs"] == 9
    assert shown["estimate"]["is_estimated"] is True
    assert shown["state"] == "processing"


def test_without_earlier_runs_nothing_is_said(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    job = a_running_job(path, [])

    assert "estimate" not in command("jobs", "show", str(job), "--db", str(path))[1]
    code, said = command("jobs", "show", str(job), "--json", "--db", str(path))
    assert code == 0
    assert json.loads(said)["estimate"] is None


@pytest.mark.parametrize(
    ("percent", "is_estimated", "remaining", "runs", "words"),
    [
        (40.4, True, 90.4, 57, "about 40 %, estimated from 57 runs; 0:01:30 to go"),
        (99.0, True, None, 1, "about 99 %, estimated from 1 run; longer than any of them"),
        (75.0, False, 25.0, 3, "75 % by its own account; about 0:00:25 to go by 3 runs"),
    ],
)
def test_an_estimate_in_words(
    percent: float, is_estimated: bool, remaining: float | None, runs: int, words: str
) -> None:
    estimate = Estimate(
        duration=1.0,
        spread=(1.0, 1.0),
        runs=runs,
        percent=percent,
        is_estimated=is_estimated,
        remaining=remaining,
    )
    assert _guess(estimate) == words

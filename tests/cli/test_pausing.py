"""``trio-gusto queues pause`` and ``resume``: they hold back what they name, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from trio_gusto import Gusto, JobState
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]
Ask = Callable[..., Any]


@pytest.fixture
def app(tmp_path: Path) -> Gusto:
    """An app with one job that is ready, on a file."""
    app = Gusto(SqliteStorage(tmp_path / "jobs.db", synchronous="NORMAL"))

    @app.job(name="bill", queue="billing", tenant="acme")
    async def bill() -> None: ...

    async def fill() -> None:
        async with app.connected() as queue:
            await queue.enqueue(bill, ref_id="order-1")

    trio.run(fill)
    return app


@pytest.fixture
def ask(command: Command, app: Gusto, tmp_path: Path) -> Ask:
    """What a command prints as JSON; it must end with ``code``."""

    def run(*args: str, code: int = 0) -> Any:
        ended, said = command(*args, "--json", "--db", str(tmp_path / "jobs.db"))
        assert ended == code, said
        return json.loads(said)

    return run


@pytest.fixture
def tell(command: Command, app: Gusto, tmp_path: Path) -> Command:
    """What a command says to people."""
    return lambda *args: command(*args, "--db", str(tmp_path / "jobs.db"))


def state_after_work(app: Gusto) -> JobState:
    async def work() -> JobState:
        await app.run_until_idle()
        async with app.connected() as queue:
            job = await queue.get_by_ref("order-1")
            assert job is not None
            return job.state

    return trio.run(work)


@pytest.mark.parametrize(
    "names",
    [(), ("billing",), ("--tenant", "acme"), ("billing", "--tenant", "acme")],
    ids=["everything", "a queue", "a tenant", "both"],
)
def test_what_is_paused_does_not_run_until_it_is_resumed(
    app: Gusto, ask: Ask, names: tuple[str, ...]
) -> None:
    ask("queues", "pause", *names)
    assert state_after_work(app) is JobState.READY

    ask("queues", "resume", *names)
    assert state_after_work(app) is JobState.COMPLETED


def test_other_queues_and_tenants_run_on(app: Gusto, ask: Ask) -> None:
    ask("queues", "pause", "mail")
    ask("queues", "pause", "--tenant", "other")
    ask("queues", "pause", "billing", "--tenant", "other")

    assert state_after_work(app) is JobState.COMPLETED


def test_a_pause_is_told_with_its_reason_and_keeps_the_first(ask: Ask, tell: Command) -> None:
    said = ask("queues", "pause", "mail", "--reason", "the server is ill")
    assert {key: said[key] for key in ("queue", "tenant", "reason")} == {
        "queue": "mail",
        "tenant": None,
        "reason": "the server is ill",
    }

    code, text = tell("queues", "pause", "mail", "--reason", "again")

    assert (code, text) == (0, "queue 'mail' paused: the server is ill\n")
    assert ask("queues", "list")["pauses"] == [said]


def test_pauses_are_listed_with_the_queues(ask: Ask, tell: Command) -> None:
    assert "paused" not in tell("queues", "list")[1]
    ask("queues", "pause", "--tenant", "acme", "--reason", "unpaid\x1b[2J")

    said = tell("queues", "list")[1]

    assert said.startswith("queue\t")
    assert "\npaused queue\ttenant\tsince\treason\n\tacme\t" in said
    assert "\tunpaid\\x1b[2J\n" in said


def test_resuming_names_exactly_what_was_paused(ask: Ask, tell: Command) -> None:
    ask("queues", "pause", "billing", "--tenant", "acme")

    assert tell("queues", "resume", "billing") == (1, "queue 'billing' was not paused\n")
    assert ask("queues", "resume", "--tenant", "acme", code=1)["resumed"] == []
    assert tell("queues", "resume", "billing", "--tenant", "acme") == (
        0,
        "queue 'billing', tenant 'acme' resumed\n",
    )


def test_resuming_without_a_name_lifts_all_pauses(ask: Ask, tell: Command) -> None:
    ask("queues", "pause")
    ask("queues", "pause", "mail")

    code, said = tell("queues", "resume")

    assert (code, said) == (0, "everything resumed\nqueue 'mail' resumed\n")
    assert tell("queues", "resume") == (0, "nothing was paused\n")
    assert ask("queues", "resume") == {"resumed": [], "paused": []}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_name_that_is_none_is_refused_with_2(tell: Command, verb: str) -> None:
    code, said = tell("queues", verb, "x" * 300)

    assert code == 2
    assert "give a text of 1 to 255 characters" in said


def test_the_completion_knows_them(command: Command) -> None:
    code, said = command("completion", "bash")

    assert code == 0
    assert "resume" in said
    assert "--tenant" in said

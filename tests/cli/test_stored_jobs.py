"""Commands on stored jobs: they work on the file alone, without the code that its jobs call."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import trio

from trio_gusto import Gusto, JobState, RateLimit
from trio_gusto.cli.showing import plain, word
from trio_gusto.storage.sqlite import SqliteStorage

Command = Callable[..., tuple[int, str]]
Ask = Callable[..., Any]

BILL = "a.module.that.is.nowhere.bill"


def app_on(path: Path) -> Gusto:
    app = Gusto(SqliteStorage(path, synchronous="NORMAL"))

    @app.job(name=BILL, queue="billing", max_attempts=1)
    async def bill(order: int) -> str:
        if order % 2:
            raise ValueError(f"order {order} is odd\x1b[2J")
        return f"order {order} billed"

    async def fill() -> None:
        async with app.connected() as queue:
            for order in range(4):
                await queue.enqueue(
                    bill,
                    order,
                    ref_id=f"order-{order}",
                    tenant="acme",
                    tags=["nightly", f"n{order}"],
                    metadata={"order": order, "kind": "bill"},
                    created_by="ann",
                )
            await queue.work_until_idle()
            await queue.enqueue(
                bill,
                4,
                execute_after=3600,
                ref_id="order-4",
                concurrency_key="press",
                rate_key="api",
                rate_limit=RateLimit(2, per=60),
            )
            await queue.schedule("hourly", bill, 8, trigger=timedelta(hours=1))

    trio.run(fill)
    return app


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two jobs completed, two failed, one scheduled, and a schedule."""
    path = tmp_path / "jobs.db"
    app_on(path)
    return path


@pytest.fixture
def ask(command: Command, database: Path) -> Ask:
    """What a command prints as JSON; it must end with ``code``."""

    def run(*args: str, code: int = 0) -> Any:
        ended, said = command(*args, "--json", "--db", str(database))
        assert ended == code, said
        assert said.count("\n") == 1
        return json.loads(said)

    return run


@pytest.fixture
def ids(ask: Ask) -> dict[str, str]:
    """The ids by ref_id."""
    return {job["ref_id"]: job["id"] for job in ask("jobs", "list")["jobs"]}


@pytest.mark.parametrize(
    ("options", "orders"),
    [
        ((), [4, 3, 2, 1, 0]),
        (("--state", "failed"), [3, 1]),
        (("--state", "failed", "--state", "scheduled"), [4, 3, 1]),
        (("--name", BILL, "--queue", "billing", "--tenant", "acme"), [3, 2, 1, 0]),
        (("--tag", "nightly", "--tag", "n2"), [2]),
        (("--any-tag", "n1", "--any-tag", "n2"), [2, 1]),
        (("--metadata", "order=3", "--metadata", "kind=bill"), [3]),
        (("--metadata", 'order="3"'), []),
        (("--created-by", "ann", "--since", "1h"), [3, 2, 1, 0]),
        (("--until", "2020-01-01"), []),
        (("--since", "2020-01-01T00:00:00Z", "--limit", "2"), [4, 3]),
        (("--worker", "smtp"), []),
        (("--concurrency-key", "press"), [4]),
        (("--rate-key", "api"), [4]),
        (("--rate-key", "press"), []),
        (("--user", "u1"), []),
        (("--schedule", "hourly"), []),
        (("--batch", str(UUID(int=1)), "--parent", str(UUID(int=2))), []),
    ],
)
def test_jobs_are_listed_by_what_is_asked_for(
    ask: Ask, options: tuple[str, ...], orders: list[int]
) -> None:
    found = ask("jobs", "list", *options)["jobs"]
    assert [job["ref_id"] for job in found] == [f"order-{order}" for order in orders]


def test_pages_go_on_where_the_one_before_ended(ask: Ask) -> None:
    first = ask("jobs", "list", "--limit", "3")
    second = ask("jobs", "list", "--limit", "3", "--after", first["next"])
    assert [len(first["jobs"]), len(second["jobs"]), second["next"]] == [3, 2, None]


def test_a_list_in_a_pipe_has_a_line_for_each_job_and_no_control_characters(
    command: Command, database: Path
) -> None:
    code, said = command("jobs", "list", "--db", str(database), "--limit", "2")
    assert code == 0
    lines = said.splitlines()
    assert lines[0].split("\t")[:3] == ["id", "state", "handler"]
    assert [line.split("\t")[1] for line in lines[1:3]] == ["scheduled", "failed"]
    assert lines[2].endswith("order 3 is odd\\x1b[2J")
    assert lines[3].startswith("more: --after ")


def test_a_job_is_shown_with_its_attempts(
    command: Command, database: Path, ask: Ask, ids: dict[str, str]
) -> None:
    shown = ask("jobs", "show", ids["order-1"])
    assert (shown["state"], shown["args"], shown["ref_id"]) == ("failed", [1], "order-1")
    (attempt,) = shown["attempts"]
    assert (attempt["outcome"], attempt["error"]["type"]) == ("failed", "ValueError")
    code, said = command("jobs", "show", ids["order-2"], "--db", str(database))
    assert code == 0
    assert "result: order 2 billed\n" in said
    assert said.splitlines()[-1].startswith("1\tsucceeded\t")


def test_the_dossier_of_an_attempt_is_shown_below(
    command: Command, ask: Ask, database: Path
) -> None:
    app = Gusto(SqliteStorage(database, synchronous="NORMAL"))

    @app.job(name="hang", timeout=0.02, max_attempts=1)
    async def hang() -> None:
        await trio.sleep_forever()

    async def run() -> UUID:
        async with app.running() as queue:
            ref = await queue.enqueue(hang)
            await ref.wait()
            return ref.id

    job = str(trio.run(run))
    assert ask("jobs", "show", job)["attempts"][0]["dossier"].startswith("timed out after 0.02 s")
    code, said = command("jobs", "show", job, "--db", str(database))
    assert code == 0
    lines = said.splitlines()
    assert (
        lines[lines.index("dossier of attempt 1:") + 1]
        == "  timed out after 0.02 s, and is cancelled now"
    )
    assert "      await trio.sleep_forever()" in lines
    code, said = command("jobs", "explain", job, "--db", str(database))
    assert "has a dossier: timed out after 0.02 s" in said
    assert "in hang" not in said


def test_a_job_is_explained(
    command: Command, database: Path, ask: Ask, ids: dict[str, str]
) -> None:
    explanation = ask("jobs", "explain", ids["order-1"])
    assert explanation["reason"] == "failed"
    assert explanation["details"]["error"]["type"] == "ValueError"
    code, said = command("jobs", "explain", ids["order-4"], "--db", str(database))
    assert code == 0
    assert said.startswith("It is due at ")
    assert "\nreason: not_due\nuntil: " in said
    assert "blocking" not in said, "nothing blocks it, so nothing is said of that"
    code, said = command("jobs", "explain", str(uuid4()), "--db", str(database))
    assert code == 1
    assert said.startswith("trio-gusto: no job has the id ")


def test_jobs_are_retried_and_cancelled_and_what_cannot_be_is_told_with_1(
    command: Command, database: Path, ask: Ask, ids: dict[str, str]
) -> None:
    failed, completed, scheduled = ids["order-1"], ids["order-2"], ids["order-4"]
    unknown = str(uuid4())
    assert ask("jobs", "retry", failed) == {"retried": [failed], "left": [], "unknown": []}
    sorted_out = ask("jobs", "retry", failed, completed, unknown, code=1)
    assert sorted_out == {"retried": [], "left": [failed, completed], "unknown": [unknown]}
    assert ask("jobs", "cancel", failed, scheduled, "--reason", "no need")["cancelled"]
    shown = ask("jobs", "show", scheduled)
    assert (shown["state"], shown["reason"]) == ("cancelled", "no need")
    code, said = command("jobs", "cancel", completed, unknown, "--db", str(database))
    assert code == 1
    assert f"{completed} not cancelled: its state does not allow it" in said
    assert f"{unknown} not cancelled: there is no job with this id" in said


def test_a_job_that_a_command_retried_runs_in_the_app(
    database: Path, ask: Ask, ids: dict[str, str]
) -> None:
    ask("jobs", "retry", ids["order-1"])

    async def run() -> JobState:
        app = Gusto(SqliteStorage(database))

        @app.job(name=BILL)
        async def bill(order: int) -> int:
            return order

        async with app.connected() as queue:
            await queue.work_until_idle()
            return await queue.ref(UUID(ids["order-1"])).status()

    assert trio.run(run) is JobState.COMPLETED


def test_schedules_are_listed_paused_resumed_triggered_and_removed(
    command: Command, database: Path, ask: Ask
) -> None:
    (listed,) = ask("schedules", "list")["schedules"]
    assert (listed["name"], listed["trigger"], listed["paused"]) == (
        "hourly",
        "every 1:00:00",
        False,
    )
    assert ask("schedules", "pause", "hourly")["paused"]
    code, said = command("schedules", "list", "--db", str(database))
    assert (code, said.splitlines()[1].split("\t")[-1]) == (0, "paused")
    resumed = ask("schedules", "resume", "hourly", "--catch-up")
    assert not resumed["paused"]
    assert resumed["next_at"] is not None
    job = ask("schedules", "trigger", "hourly")["job"]
    assert ask("jobs", "show", job)["state"] == "ready"
    assert ask("schedules", "remove", "hourly") == {"removed": "hourly"}
    assert ask("schedules", "list") == {"schedules": []}
    code, said = command("schedules", "pause", "hourly", "--db", str(database))
    assert code == 1
    assert said.startswith("trio-gusto: no schedule")


def test_jobs_are_counted(command: Command, database: Path, ask: Ask) -> None:
    counts = {"completed": 2, "failed": 2, "scheduled": 1}
    assert ask("queues", "list") == {"queues": {"billing": counts}, "pauses": []}
    counted = ask("stats")
    assert counted["by_state"] == counts
    assert counted["by_tenant"] == {"acme": {"completed": 2, "failed": 2}, "": {"scheduled": 1}}
    assert counted["oldest_ready_at"] is None
    code, said = command("stats", "--db", str(database))
    assert code == 0
    assert "failed: 2\n" in said
    assert "\nqueue\t" in said
    assert "\ntenant\t" in said


def test_counting_goes_on_until_ctrl_c(database: Path) -> None:
    line = [sys.executable, "-m", "trio_gusto", "stats", "--watch", "--json", "--every", "0.01"]
    with subprocess.Popen([*line, "--db", str(database)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert json.loads(process.stdout.readline())["by_state"]["failed"] == 2
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(30) == 130


def test_whoever_reads_no_further_ends_a_command_in_peace(database: Path) -> None:
    line = [sys.executable, "-m", "trio_gusto", "stats", "--watch", "--json", "--every", "0.01"]
    with subprocess.Popen(
        [*line, "--db", str(database)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--limit", "0"), "give a limit between 1 and 1000"),
        (("--after", "x"), "is no page mark"),
        (("--metadata", "x"), "give key=value"),
        (("--since", "yesterday"), "'yesterday' is no instant; give ISO 8601"),
        (("--state", "lost"), 'Invalid value "lost"'),
        (("--batch", "x"), "--batch"),
    ],
)
def test_a_wrong_option_is_refused_with_2(
    command: Command, database: Path, options: tuple[str, ...], sentence: str
) -> None:
    code, said = command("jobs", "list", "--db", str(database), *options)
    assert code == 2
    assert sentence in said
    assert "Traceback" not in said


# --- where the jobs are ---------------------------------------------------------------------------


def test_the_database_is_named_by_option_environment_or_settings_in_this_order(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIO_GUSTO_DB", raising=False)
    code, said = command("stats")
    assert code == 2
    assert said == (
        "trio-gusto: no database is named, so there are no jobs to look at; give --db, set "
        "TRIO_GUSTO_DB, or write it into trio-gusto.toml\n"
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "trio-gusto.toml").write_text('[trio-gusto]\ndb = "here.db"\n')
    (tmp_path / "deep" / "other.toml").write_text('[trio-gusto]\ndb = "there.db"\n')
    assert "here.db is no file" in command("stats")[1]
    assert "deep/there.db is no file" in command("stats", "--settings", "deep/other.toml")[1]
    monkeypatch.setenv("TRIO_GUSTO_DB", "env.db")
    assert "env.db is no file" in command("stats")[1]
    assert command("stats", "--db", "option.db") == (
        2,
        "trio-gusto: option.db is no file, so there are no jobs in it; "
        "name the file of an app that has run\n",
    )
    assert not list(tmp_path.glob("**/*.db"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[trio-gusto", "cannot be read"),
        ("[jobs]\n", "names no database"),
        ("[trio-gusto]\ndb = 3\n", "names no database"),
        ("trio-gusto = 3\n", "names no database"),
    ],
)
def test_settings_that_say_nothing_are_refused_with_2(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str
) -> None:
    monkeypatch.delenv("TRIO_GUSTO_DB", raising=False)
    (tmp_path / "s.toml").write_text(text)
    code, said = command("stats", "--settings", str(tmp_path / "s.toml"))
    assert code == 2
    assert sentence in said
    assert command("stats", "--settings", str(tmp_path / "none.toml"))[0] == 2


def test_a_file_of_another_program_is_named_with_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear sqlite, " * 100)
    code, said = command("stats", "--db", str(tmp_path / "letter.txt"))
    assert code == 1
    assert "letter.txt" in said


# --- what is printed ------------------------------------------------------------------------------


def test_values_have_one_form_in_json_and_one_for_people() -> None:
    value = {JobState.READY: {"b", "a"}, "half": timedelta(milliseconds=500), "of": object}
    assert plain(value) == {"ready": ["a", "b"], "half": 0.5, "of": "<class 'object'>"}
    assert (word(None), word(JobState.READY), word((1, "a"))) == ("", "ready", '[1, "a"]')

"""Standard output that takes nothing more ends a command with its exit code, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import trio

from trio_gusto import Gusto
from trio_gusto.cli import main
from trio_gusto.storage.sqlite import SqliteStorage

PROGRAM = f"{sys.executable} -m trio_gusto"
FULL = Path("/dev/full")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file with so many jobs that a list of them fills every buffer."""
    app = Gusto(SqliteStorage(tmp_path / "jobs.db", synchronous="NORMAL"))

    @app.job(name="a.rather.long.name.of.a.handler" * 5)
    async def wait() -> None: ...

    async def fill() -> None:
        async with app.connected() as queue:
            for _ in range(1000):
                await queue.enqueue(wait)

    trio.run(fill)
    return tmp_path / "jobs.db"


def shell(line: str) -> tuple[int, str, str]:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("json", ["", "--json"])
def test_whoever_has_read_enough_ends_it_with_0(database: Path, json: str) -> None:
    line = f"{PROGRAM} jobs list --limit 1000 --db {database} {json} | head -c 100"

    code, out, errors = shell(line)

    assert (code, len(out), errors) == (0, 100, "")


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
@pytest.mark.parametrize("command", ["jobs list --limit 1000", "stats", "stats --json", "--help"])
def test_a_full_disk_ends_it_with_1_and_a_sentence(database: Path, command: str) -> None:
    where = "" if command == "--help" else f"--db {database}"

    code, _, errors = shell(f"{PROGRAM} {command} {where} > {FULL}")

    assert code == 1
    assert errors.startswith("trio-gusto: what there is to say cannot be printed (")
    assert errors.count("\n") == 1


@pytest.mark.skipif(not FULL.exists(), reason="there is no full device here")
def test_if_standard_error_is_full_too_the_code_is_the_same(database: Path) -> None:
    assert shell(f"{PROGRAM} stats --db {database} > {FULL} 2> {FULL}")[0] == 1


def test_a_closed_output_is_refused_before_anything_is_done(database: Path) -> None:
    code, _, errors = shell(f"{PROGRAM} queues pause --db {database} >&-")

    assert code == 1
    assert errors == "trio-gusto: standard output is closed; open it, or send it to /dev/null\n"
    assert '"pauses": []' in shell(f"{PROGRAM} queues list --json --db {database}")[1]


def test_other_faults_of_the_system_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise BrokenPipeError("a pipe of the app's own")

    monkeypatch.setattr(import_module("trio_gusto.cli.main"), "commands", broken)

    with pytest.raises(BrokenPipeError):
        main(["stats"])

"""`trio-gusto init`, `run` and `completion`, as their users meet them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str]]

COMMAND = (sys.executable, "-m", "trio_gusto")


@pytest.fixture
def example(command: Command, tmp_path: Path) -> Path:
    """A folder in which ``init`` has written its example."""
    code, said = command("init", str(tmp_path / "first"))
    assert code == 0, said
    return tmp_path / "first"


def run(*line: str, folder: Path) -> str:
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_runs_as_it_is_written(example: Path) -> None:
    assert run(sys.executable, "jobs.py", folder=example) == "hello world\n"
    listed = json.loads(run(*COMMAND, "jobs", "list", "--json", folder=example))["jobs"]
    assert [(job["name"], job["state"]) for job in listed] == [("greet", "completed")]
    schedules = json.loads(run(*COMMAND, "schedules", "list", "--json", folder=example))
    assert [each["name"] for each in schedules["schedules"]] == ["every-minute"]


def test_nothing_is_overwritten(command: Command, example: Path) -> None:
    (example / "jobs.py").write_text("mine")
    code, said = command("init", str(example))
    assert code == 2
    assert "jobs.py is there already" in said
    assert (example / "jobs.py").read_text() == "mine"
    code, said = command("init", str(example / "jobs.py" / "deeper"))
    assert code == 2
    assert "nothing can be written" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_app_runs_the_jobs_of_others_until_it_is_told_to_stop(
    example: Path, number: signal.Signals
) -> None:
    run(sys.executable, "jobs.py", folder=example)
    with subprocess.Popen(
        [*COMMAND, "run", "jobs:app"], cwd=example, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "trio-gusto: jobs:app runs; Ctrl-C stops it\n"
        triggered = run(*COMMAND, "schedules", "trigger", "every-minute", "--json", folder=example)
        job = json.loads(triggered)["job"]
        state = ""
        while state != "completed":
            shown = run(*COMMAND, "jobs", "show", job, "--json", folder=example)
            state = json.loads(shown)["state"]
            assert state in {"ready", "processing", "completed"}
        process.send_signal(number)
        assert process.wait(30) == 0


STUBBORN = """
import sys, trio
from pathlib import Path
from trio_gusto import Gusto
from trio_gusto.storage.sqlite import SqliteStorage

app = Gusto(SqliteStorage(Path(__file__).with_name("jobs.db")))

@app.job(name="stay")
async def stay():
    print("I stay", flush=True)
    await trio.sleep_forever()

async def fill():
    async with app.connected() as queue:
        await queue.enqueue(stay)

if __name__ == "__main__":
    trio.run(fill)
"""


def test_a_second_signal_does_not_wait_for_running_jobs(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    run(sys.executable, "stubborn.py", folder=tmp_path)
    with subprocess.Popen(
        [*COMMAND, "run", "stubborn:app", "--quiet"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "I stay\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "does not wait for them" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    line = (*COMMAND, "jobs", "list", "--db", "jobs.db", "--json")
    (job,) = json.loads(run(*line, folder=tmp_path))["jobs"]
    assert (job["state"], job["attempt"]) == ("ready", 0), "its attempt was not given back"


@pytest.mark.parametrize(
    ("app", "code", "sentence"),
    [
        ("jobs", 2, "'jobs' names no app; give MODULE:NAME"),
        ("no_such_module:app", 2, "there is no module 'no_such_module' here"),
        ("good.no_such_module:app", 2, "there is no module 'good.no_such_module' here"),
        ("good:nothing", 2, "nothing of the module good is not there"),
        ("good:number", 2, "and no Gusto; name a Gusto object in it"),
        ("bad:app", 1, "the module bad cannot be imported"),
        ("needy:app", 1, "the module needy cannot be imported"),
        ("leaving:app", 1, "the module leaving cannot be imported"),
        ("refusing:app", 1, "SystemExit: there is no licence"),
    ],
)
def test_what_is_no_app_is_told(
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    app: str,
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "good.py").write_text("number = 3\n")
    (tmp_path / "bad.py").write_text("raise RuntimeError('I am bad')\n")
    (tmp_path / "needy.py").write_text("import no_such_module\n")
    (tmp_path / "leaving.py").write_text("raise SystemExit(0)\n")
    (tmp_path / "refusing.py").write_text("raise SystemExit('there is no licence')\n")
    ended, said = command("run", app, "--folder", str(tmp_path))
    assert ended == code
    assert sentence in said


def test_ctrl_c_while_a_module_is_imported_is_no_failed_import(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "slow.py").write_text("raise KeyboardInterrupt\n")
    assert command("run", "slow:app", "--folder", str(tmp_path)) == (130, "")


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = run(*COMMAND, "completion", "bash", folder=tmp_path)

    def completed(*words: str) -> set[str]:
        line = " ".join(f"'{word}'" for word in words)
        ask = (
            f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _trio_gusto; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return set(run(bash, "-c", ask, folder=tmp_path).split())

    assert {"jobs", "schedules", "stats", "run", "init"} <= completed("trio-gusto", "")
    assert {"list", "show", "retry", "cancel", "explain"} <= completed("trio-gusto", "jobs", "")
    assert "--state" in completed("trio-gusto", "jobs", "list", "--st")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_too(command: Command, shell: str) -> None:
    code, said = command("completion", shell)
    assert code == 0
    assert "schedules" in said

"""`trio-gusto demo`: every hash is checked, and whatever is not as it should be has a sentence."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

from trio_gusto import Schedule
from trio_gusto.cli.demo import check_files, files, show
from trio_gusto.cli.demo.conclude import conclude
from trio_gusto.cli.demo.files import Settings, Source
from trio_gusto.cli.demo.jobs import Hashed, Summary, make_app
from trio_gusto.cli.demo.show import demo
from trio_gusto.cli.showing import in_one_line

ALL_IS_WELL = (
    "All 19 files are hashed and summed up once, the schedule went on, and nothing is stuck."
)

pytestmark = pytest.mark.usefixtures("nothing_is_far_away")


def settings(folder: Path, database: Path | None = None, pace: float = 0) -> Settings:
    return Settings(folder, crash=False, database=database, concurrency=4, pace=pace)


def test_all_files_are_hashed_one_job_expires_and_some_are_retried(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(settings(folder)) == 0
    said = capsys.readouterr().out
    assert said.endswith(f"{ALL_IS_WELL}\n")
    lines = said.splitlines()
    assert "needed more than one attempt: 2" in lines
    assert "checking 19 of 19" in lines, "without a terminal progress comes in lines"
    assert "files in the summary: 19" in lines
    assert "MB hashed: 3.0" in lines
    assert "check: the batch is finished: ok: 19 of 19 jobs completed" in lines
    assert "check: the summary ran once: ok: once" in lines
    assert "check: the job that nobody serves expired: ok: expired" in lines
    assert re.search(r"the schedule went on: ok: [1-9]\d* ticks of [1-9]", said)


def test_a_second_run_on_one_database_counts_only_its_own_jobs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "jobs.db"
    assert demo(settings(folder, database)) == 0
    assert demo(settings(folder, database)) == 0
    assert capsys.readouterr().out.count("All 19 files are hashed") == 2


def test_ticks_are_read_page_by_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trio_gusto.cli.demo.check_schedule.PAGE", 1)
    assert demo(settings(folder)) == 0, "a tick left out would be one that nobody knows"


def after_planning(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    find = files.find

    def find_and_change(folder: Path, unread: list[str]) -> list[Source]:
        found = list(find(folder, unread))
        change()
        return found

    monkeypatch.setattr(files, "find", find_and_change)


def before_checking(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    async def change_and_conclude(*args: Any, **options: Any) -> bool:
        change()
        return await conclude(*args, **options)

    monkeypatch.setattr(show, "conclude", change_and_conclude)


def test_a_file_that_vanishes_before_its_turn_has_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    after_planning(monkeypatch, (folder / "05.txt").unlink)
    assert demo(settings(folder)) == 1
    said = capsys.readouterr().out
    assert "05.txt: failed, cannot be read: No such file or directory" in said
    assert "nothing is stuck: ok" in said


def test_a_folder_that_vanishes_before_its_turn_still_has_its_summary(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    after_planning(monkeypatch, lambda: shutil.rmtree(folder))
    assert demo(settings(folder)) == 1
    lines = capsys.readouterr().out.splitlines()
    assert sum("cannot be read: No such file" in line for line in lines) == 19
    assert "files in the summary: 0" in lines
    assert "not hashed: 19" in lines
    assert "check: the batch is finished: ok: 0 of 19 jobs completed" in lines
    assert "check: the summary ran once: ok: once" in lines


def test_a_file_that_cannot_be_read_has_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def replace_by_a_folder() -> None:
        (folder / "05.txt").unlink()
        (folder / "05.txt").mkdir()

    after_planning(monkeypatch, replace_by_a_folder)
    assert demo(settings(folder)) == 1
    assert "05.txt: failed, cannot be read: Is a directory" in capsys.readouterr().out


def test_a_name_that_is_no_text_is_named_and_the_others_are_hashed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    assert demo(settings(folder)) == 1
    said = capsys.readouterr().out
    assert "\\udcff': its name is no UTF-8, so no job can be given it" in said
    assert "check: every file is hashed: WRONG: 19 of 19" in said


def test_names_may_hold_whatever_a_screen_would_obey(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "[red]a\n\x1b[2J").touch()
    assert demo(settings(folder)) == 0
    capsys.readouterr()
    (folder / "[red]a\n\x1b[2J").unlink()
    assert in_one_line("[red]a\n\x1b[2J é") == "[red]a\\n\\x1b[2J é"


def test_a_file_that_vanishes_after_its_turn_has_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before_checking(monkeypatch, (folder / "05.txt").unlink)
    assert demo(settings(folder)) == 1
    assert "05.txt: was hashed and then vanished" in capsys.readouterr().out


def test_a_file_that_changes_meanwhile_has_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before_checking(monkeypatch, lambda: (folder / "05.txt").write_text("another text"))
    assert demo(settings(folder)) == 1
    assert "05.txt: changed while the demo ran" in capsys.readouterr().out


def test_a_wrong_hash_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_files, "hash_here", lambda path: ("0" * 64, 0))
    assert demo(settings(folder)) == 1
    said = capsys.readouterr().out
    assert said.count("the hash is wrong") == 19


def test_a_folder_that_cannot_be_looked_into_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walk(
        top: Path, onerror: Callable[[OSError], None]
    ) -> list[tuple[str, list[str], list[str]]]:
        onerror(PermissionError(13, "Permission denied", str(top / "secret")))
        return [(str(top), [], ["00.txt"])]

    monkeypatch.setattr("os.walk", walk)
    unread: list[str] = []
    assert [source.path.name for source in files.find(folder, unread)] == ["00.txt"]
    assert unread == [f"{folder}/secret: cannot be looked into: Permission denied"]


# --- the summary, the screen, the imports -----------------------------------------------------------


def test_a_summary_does_not_depend_on_the_order() -> None:
    first = Hashed("a", hashlib.sha256(b"one").hexdigest(), 3, 0.1)
    second = Hashed("b", hashlib.sha256(b"four").hexdigest(), 4, 0.2)
    summary = Summary.of([second, first], 5)
    assert summary == Summary.of([first, second], 5)
    assert (summary.files, summary.not_hashed, summary.size) == (2, 5, 7)
    assert summary.slowest == second
    listed = f"{first.sha256}  a\n{second.sha256}  b\n"
    assert summary.digest == hashlib.sha256(listed.encode()).hexdigest()
    assert Summary.of([], 0).slowest is None


def test_on_a_terminal_there_are_bars_a_heartbeat_and_a_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    terminal = partial(Console, file=screen, force_terminal=True, width=100, _environ={})
    monkeypatch.setattr(show, "Console", terminal)
    assert demo(settings(folder)) == 0
    said = screen.getvalue()
    assert re.search(r"heartbeat .*\d+ ticks, \d+ skipped", said)
    assert "19/19" in said
    assert re.search(r"✓ the summary ran once +.*│ once ", said)

    monkeypatch.setattr(check_files, "hash_here", lambda path: ("0" * 64, 0))
    assert demo(settings(folder)) == 1
    assert re.search(r"✗ every file is hashed +.*│ 19 of 19 ", screen.getvalue())


def test_the_demo_uses_nothing_but_what_users_have() -> None:
    assert files.__file__ is not None
    modules = list(Path(files.__file__).parent.glob("*.py"))
    imports = [
        node
        for module in modules
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level > 1
    ]
    of_the_package = {node.module for node in imports if node.level == 3}
    of_the_command_line = {node.module for node in imports if node.level == 2}
    assert of_the_package == {None, "storage.sqlite"}
    assert of_the_command_line == {"exits", "showing"}, (
        "how it ends and prints is no secret of ours"
    )


# --- real processes -------------------------------------------------------------------------------


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "trio_gusto", "demo", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_what_a_killed_worker_held_runs_again(folder: Path) -> None:
    with start(str(folder), "--crash", "--pace=0.2", "--concurrency=3") as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert re.search(r"Worker \d+ was killed with SIGKILL; it held \d+ jobs?\.", said), said
    assert re.search(r"took over; what was held ran again \d\.\d\d s after its app", said), said
    assert re.search(r"lost in the crash: [1-9]", said), said
    assert re.search(r"went on: ok: \d+ ticks \([1-9]\d* after the crash\) of \d+", said), said
    assert "check: each instant fired at most once: ok" in said
    assert "check: the summary ran once: ok: once" in said
    assert ALL_IS_WELL in said
    assert "Traceback" not in said


@pytest.mark.parametrize("mode", [(), ("--crash",)])
def test_an_interrupted_demo_ends_cleanly(
    folder: Path, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    database = tmp_path / "jobs.db"
    options = (f"--database={database}", "--pace=0.5", "--concurrency=1")
    with start(str(folder), *mode, *options) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("hashing"):
                break
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("Interrupted. ")
    assert "Traceback" not in said

    async def schedules() -> tuple[Schedule, ...]:
        async with make_app(database, 1).connected() as queue:
            return await queue.schedules()

    assert trio.run(schedules) == (), "what is stored would tick again in the next run"

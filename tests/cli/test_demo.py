"""`trio-gusto demo`: every hash is checked, and whatever is not as it should be has a sentence."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from trio_gusto.cli.demo import check, files
from trio_gusto.cli.demo.files import Settings, Source
from trio_gusto.cli.demo.show import demo


@pytest.fixture(autouse=True)
def nothing_is_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LATER", files.LATER / 20)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "deep" / "deeper").mkdir(parents=True)
    for number in range(17):
        (folder / f"{number:02}.txt").write_text(f"text {number}")
    (folder / "deep" / "deeper" / "big").write_bytes(bytes(3_000_000))
    (folder / "deep" / "empty").touch()
    (folder / "link").symlink_to(folder / "00.txt")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "left-out").touch()
    return folder


def settings(folder: Path, database: Path | None = None, pace: float = 0) -> Settings:
    return Settings(folder, crash=False, database=database, concurrency=4, pace=pace)


def test_all_files_are_hashed_one_job_expires_and_some_are_retried(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(settings(folder)) == 0
    said = capsys.readouterr().out
    assert "All 19 files are hashed, and nothing is stuck." in said
    assert re.search(r"completed +│ +19 ", said)
    assert re.search(r"expired +│ +1 ", said)
    assert re.search(r"more than one attempt +│ +2 ", said)
    assert "checking 19 of 19" in said, "without a terminal progress comes in lines"


def test_a_second_run_on_one_database_counts_only_its_own_jobs(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = tmp_path / "jobs.db"
    assert demo(settings(folder, database)) == 0
    assert demo(settings(folder, database)) == 0
    assert capsys.readouterr().out.count("All 19 files are hashed") == 2


def after_planning(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    find = files.find

    def find_and_change(folder: Path, unread: list[str]) -> list[Source]:
        found = list(find(folder, unread))
        change()
        return found

    monkeypatch.setattr(files, "find", find_and_change)


def before_checking(monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    conclude = check.conclude

    async def change_and_conclude(*args: object) -> bool:
        change()
        return await conclude(*args)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr("trio_gusto.cli.demo.show.conclude", change_and_conclude)


def test_a_file_that_vanishes_before_its_turn_has_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    after_planning(monkeypatch, (folder / "05.txt").unlink)
    assert demo(settings(folder)) == 1
    said = capsys.readouterr().out
    assert "05.txt: failed, cannot be read: No such file or directory" in said
    assert "stuck" not in said


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
    monkeypatch.setattr(check, "hash_here", lambda path: None)
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
    assert re.search(r"lost in the crash +│ +[1-9]", said), said
    assert "All 19 files are hashed, and nothing is stuck." in said
    assert "Traceback" not in said


@pytest.mark.parametrize("mode", [(), ("--crash",)])
def test_an_interrupted_demo_ends_cleanly(folder: Path, mode: tuple[str, ...]) -> None:
    with start(str(folder), *mode, "--pace=0.5", "--concurrency=1") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("hashing"):
                break
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.splitlines()[-1].startswith("Interrupted. ")
    assert "Traceback" not in said

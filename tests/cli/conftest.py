"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from trio_gusto.cli import main
from trio_gusto.cli.demo import fanout

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line; gives the exit code and what was said."""

    def run(*args: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as exit_:
            main(args)
        captured = capsys.readouterr()
        code = exit_.value.code
        assert isinstance(code, int)
        return code, captured.out + captured.err

    return run


@pytest.fixture
def nothing_is_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process the demo waits on purpose for no more than a moment."""
    monkeypatch.setattr(fanout, "LATER", timedelta(milliseconds=100))
    monkeypatch.setattr(fanout, "UNTIL", timedelta(milliseconds=100))
    monkeypatch.setattr(fanout, "BEAT", timedelta(milliseconds=50))
    monkeypatch.setattr("trio_gusto.cli.demo.check_schedule.BEAT", timedelta(milliseconds=50))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with 19 files to hash."""
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

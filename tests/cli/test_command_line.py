"""`trio-gusto`: help, version, and what it says to a wrong command line."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str]]


def test_the_version_is_the_package_s(command: Command) -> None:
    assert command("--version") == (0, f"{version('trio-gusto')}\n")


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_names_the_commands(command: Command, args: tuple[str, ...]) -> None:
    code, said = command(*args)
    assert code == 0
    assert "demo" in said
    assert "--version" in said


def test_the_help_of_a_command_states_its_exit_codes_and_options(command: Command) -> None:
    code, said = command("demo", "--help")
    assert code == 0
    assert "Exit codes" in said
    assert all(option in said for option in ("--crash", "--database", "--concurrency", "--pace"))
    assert "--worker" not in said


@pytest.mark.parametrize(
    "args",
    [
        ("dmeo",),
        ("demo", "--folders", "."),
        ("demo", "--concurrency", "0"),
        ("demo", "--concurrency", "many"),
        ("demo", "--pace", "-1"),
    ],
)
def test_a_wrong_command_line_is_refused_with_2(command: Command, args: tuple[str, ...]) -> None:
    code, said = command(*args)
    assert code == 2
    assert args[-1].strip("-") in said
    assert "Traceback" not in said


def test_a_folder_that_is_missing_is_none_or_has_no_files_is_refused_with_2(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    (tmp_path / "empty" / ".hidden" / "file").touch()
    for name, sentence in [
        ("missing", "missing does not exist"),
        ("file", "file is no folder"),
        ("empty", "empty has no files to hash; name another folder"),
    ]:
        code, said = command("demo", str(tmp_path / name))
        assert code == 2
        assert said.startswith("trio-gusto: ")
        assert sentence in said


def test_a_database_that_is_none_of_ours_is_named_with_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear sqlite, " * 100)
    code, said = command("demo", str(tmp_path), "--database", str(tmp_path / "letter.txt"))
    assert code == 1
    assert said.startswith("trio-gusto: ")
    assert "letter.txt" in said

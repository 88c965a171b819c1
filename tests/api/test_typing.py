"""The public API as type checkers see it: every wrong call is found, and no right one refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = Path(__file__).with_name("typing_checks.py")
BUDGET = 100
"""Seconds a checker may take; it needs two or three when its cache is warm."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The checks without the comments that keep their planted errors out of the other checks."""
    lines = CHECKS.read_text().splitlines(keepends=True)
    # A name of its own: mypy tells what it remembers of a module with the path that it had then.
    copy = tmp_path / f"checks_{uuid4().hex}.py"
    copy.write_text(
        "".join("\n" if re.match(r"# (mypy|pyright): ", line) else line for line in lines)
    )
    return copy


def run_mypy(source: Path) -> dict[int, str]:
    options = ["--config-file", "pyproject.toml", "--no-error-summary", "--hide-error-context"]
    options += ["--no-pretty", "--no-color-output", "--show-absolute-path"]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(source)],
        cwd=ROOT, capture_output=True, text=True, timeout=BUDGET, check=False,
    )  # fmt: skip
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    found = re.findall(rf"^{re.escape(str(source))}:(\d+): error: (.*)$", run.stdout, re.MULTILINE)
    return {int(line): message for line, message in found}


def run_pyright(source: Path) -> dict[int, str]:
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": [source.name]}
    (source.parent / "pyrightconfig.json").write_text(
        json.dumps({**settings, "extraPaths": [str(ROOT)]})
    )
    run = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=source.parent, capture_output=True, text=True, timeout=BUDGET, check=False,
    )  # fmt: skip
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    errors = [
        each for each in json.loads(run.stdout)["generalDiagnostics"] if each["severity"] == "error"
    ]
    return {each["range"]["start"]["line"] + 1: each["message"] for each in errors}


@pytest.mark.parametrize("run", [run_mypy, run_pyright])
def test_a_type_checker_finds_every_wrong_call_and_refuses_no_right_one(
    run: Callable[[Path], dict[int, str]], source: Path
) -> None:
    lines = dict(enumerate(source.read_text().splitlines(), start=1))
    wrong = {number for number, line in lines.items() if "# WRONG: " in line}
    found = run(source)

    assert {number: lines[number] for number in wrong - found.keys()} == {}, "passed over"
    assert {lines[number]: found[number] for number in found.keys() - wrong} == {}, "false alarms"
    assert len(wrong) > 40

"""Real disks that are full, or may only be read; in a name space of a process, where it may have one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.conftest import ROOT
from tests.processes.on_small_disks import CANNOT, SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_who_asks_is_told_and_it_goes_on_when_it_can(tmp_path: Path, scenario: str) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.processes.on_small_disks", scenario, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if said.returncode == CANNOT:
        pytest.skip("this process may not mount")
    assert said.returncode == 0, said.stderr

"""How the processes that judge mutants ask their tests: the nearest first, and none that hangs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from property_tests.mutation.mutants import Verdict, verdict_of

ROOT = Path(__file__).parents[2]

JUDGE = """
from property_tests.mutation import quickest_first

quickest_first._SECONDS = 0.1


def test_it_ends():
    while {hangs}:
        pass
"""


@pytest.mark.parametrize(
    ("hangs", "mutant", "verdict"),
    [
        (True, "trio_gusto.x_start__mutmut_1", Verdict.TIMEOUT),
        (False, "trio_gusto.x_start__mutmut_1", Verdict.SURVIVED),
        (False, "stats", Verdict.SURVIVED),
    ],
)
def test_a_test_that_hangs_is_not_waited_for(
    hangs: bool, mutant: str, verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "test_judge.py").write_text(JUDGE.format(hangs=hangs), "utf-8")
    judged = judge(["."], mutant, tmp_path)
    assert verdict_of(judged.returncode) is verdict


JUDGES = """
import pytest


@pytest.mark.parametrize("number", range(30))
def test_it_ends(number):
    print("asked:", number)
    assert number != {bad}
"""


@pytest.mark.parametrize(
    ("mutant", "bad", "asked", "verdict"),
    [
        ("trio_gusto.x_start__mutmut_1", 3, [*range(4)], Verdict.KILLED),
        ("trio_gusto.x_start__mutmut_1", 27, [*range(20), *range(20, 28)], Verdict.KILLED),
        ("trio_gusto.x_start__mutmut_1", -1, [*range(30)], Verdict.SURVIVED),
        ("stats", -1, [*range(30)], Verdict.SURVIVED),
    ],
)
def test_who_passes_the_first_tests_meets_each_of_the_others_once(
    mutant: str, bad: int, asked: list[int], verdict: Verdict, tmp_path: Path
) -> None:
    (tmp_path / "test_judge.py").write_text(JUDGES.format(bad=bad), "utf-8")
    judged = judge([f"test_judge.py::test_it_ends[{n}]" for n in range(30)], mutant, tmp_path)
    assert [int(number) for number in re.findall(r"asked: (\d+)", judged.stdout)] == asked
    assert verdict_of(judged.returncode) is verdict


RENAMED = """
def x_start__mutmut_orig(ask):
    return ask("SELECT 1 FROM job"), 1


def x_start__mutmut_1(ask):
    return ask("select 1 from job"), 1


def x_start__mutmut_2(ask):
    return ask("SELECT 1 FROM job"), 2
"""


@pytest.mark.parametrize(("number", "asked"), [(1, 20), (2, 30), (3, 30)])
def test_of_one_that_means_the_same_by_a_rule_only_the_first_are_asked(
    number: int, asked: int, tmp_path: Path
) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text(RENAMED, "utf-8")
    (tmp_path / "test_judge.py").write_text(JUDGES.format(bad=-1), "utf-8")
    tests = [f"test_judge.py::test_it_ends[{n}]" for n in range(30)]
    judged = judge(tests, f"shop.x_start__mutmut_{number}", tmp_path)
    assert judged.stdout.count("asked: ") == asked
    assert verdict_of(judged.returncode) is Verdict.SURVIVED


@pytest.mark.parametrize("missing", [3, 27])
def test_a_judge_who_is_not_found_is_no_verdict(missing: int, tmp_path: Path) -> None:
    """Not even if all others pass, or the mutant would count as noticed."""
    (tmp_path / "test_judge.py").write_text(JUDGES.format(bad=-1), "utf-8")
    tests = [f"test_judge.py::test_it_ends[{'none' if n == missing else n}]" for n in range(30)]
    judged = judge(tests, "trio_gusto.x_start__mutmut_1", tmp_path)
    assert verdict_of(judged.returncode) is Verdict.SUSPICIOUS


def judge(tests: Sequence[str], mutant: str, place: Path) -> subprocess.CompletedProcess[str]:
    plugin = "property_tests.mutation.quickest_first"
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-qxs", "-p", plugin, "-p", "no:cacheprovider", *tests],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MUTANT_UNDER_TEST": mutant},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

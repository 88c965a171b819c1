"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = "pytester"

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "test-your-jobs.md"

IN_TRIO_MODE = ("-o", "trio_mode=true", "-p", "no:cacheprovider")


def python_of(page: Path) -> str:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return "\n\n".join(blocks)


def test_the_tests_of_the_how_to_page_pass(pytester: pytest.Pytester) -> None:
    source = python_of(PAGE)
    pytester.makepyfile(source)
    tests = len(re.findall(r"^(?:async )?def test_", source, re.MULTILINE))
    assert tests > 4
    pytester.runpytest_inprocess(*IN_TRIO_MODE).assert_outcomes(passed=tests)


def test_the_fixtures_fit_together_and_are_fresh_for_each_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("round", [1, 2])
        async def test_them(gusto, job_queue, barriers, virtual_clock, autojump_clock, round):
            @gusto.job
            async def greet(name: str) -> str:
                return f"hello {name}"

            assert virtual_clock.now().isoformat() == "2026-01-01T00:00:00+00:00"
            ref = await job_queue.enqueue(greet, "Ann", execute_after=3600)
            assert await ref.result() == "hello Ann"
            assert (await barriers.batch_completed.wait()).job_ids == (ref.id,)
            assert virtual_clock.now().isoformat().startswith("2026-01-01T01:00:0")
        """
    )
    pytester.runpytest_inprocess(*IN_TRIO_MODE).assert_outcomes(passed=2)


def test_a_test_that_is_not_async_is_told_what_to_do(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(job_queue): ...")
    result = pytester.runpytest_inprocess(*IN_TRIO_MODE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*job_queue lives in a Trio run and this test has none; make it*"])


def test_without_pytest_trio_the_queue_says_what_is_missing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_queue(job_queue): ...

        def test_others(gusto, barriers, virtual_clock): ...
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:trio", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*install pytest-trio, or use*"])

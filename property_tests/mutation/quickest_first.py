"""A pytest plugin for the processes that judge mutants.

Quick tests that come by few functions are first, the others are not collected before these have passed, a test that
hangs is not waited for, there is less to clean up, and nothing is remembered of the code as it was.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

from .mutants import code_of
from .rules import is_the_same

_STATISTICS = Path("mutmut-stats.json")
"""What mutmut knows of the tests, in the folder where it runs them; there after the first run."""

_SECONDS, _TIMES_AS_LONG = 5.0, 4
"""When a test hangs: after so many seconds more than so many times as long as it takes."""

HANGS = 36
"""The exit code by which mutmut knows a mutant that ran into its time."""

UNJUDGED = 35
"""The exit code when a test is not found, so that nobody has judged; mutmut would take pytest's own for a test that has
failed. It comes about where pytest names a test otherwise in the second run of one process: it doubles backslashes."""

_AT_FIRST = 20
"""How many tests are collected and asked before all others. Most mutants are noticed by one of them, in less time than it
takes to collect the rest."""

_OTHERS = "--all-others"

_seconds = pytest.StashKey[float]()


def pytest_sessionstart() -> None:
    """Called by pytest. What a cached function calls would not be called again, and could be anything."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trio_gusto":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _times() -> Mapping[str, float]:
    """How many seconds each test takes."""
    return _statistics()[0] if _STATISTICS.exists() else {}


def _order() -> Callable[[str], float]:
    """Tests are asked in the order of what this says: the more functions one comes by, the less it is about this one."""
    return _statistics()[1].__getitem__ if _STATISTICS.exists() else lambda _: 0.0


@functools.cache
def _statistics() -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Read once for all mutants, before their processes are forked."""
    told = json.loads(_STATISTICS.read_text("utf-8"))
    seconds = told["duration_by_test"]
    functions = Counter(
        test for tests in told["tests_by_mangled_function_name"].values() for test in tests
    )
    return seconds, defaultdict(float, {test: seconds[test] * functions[test] for test in seconds})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called by pytest."""
    parser.addoption(_OTHERS, action="store_true", help="the quickest have passed already")


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Called by pytest. Who passes the first tests meets the others in a run of their own, unless a rule says that none
    of them can tell."""
    if not _judges_a_mutant():
        return (yield)
    if len(config.args) <= _AT_FIRST or config.getoption(_OTHERS):
        return _verdict((yield))
    first = config.args = sorted(config.args, key=_order())[:_AT_FIRST]
    code = yield
    if code or _means_the_same():
        return _verdict(code)
    named = set(first)
    rest = [argument for argument in config.invocation_params.args if argument not in named]
    return pytest.main([*rest, _OTHERS])


def _verdict(code: int) -> int:
    return UNJUDGED if code == pytest.ExitCode.USAGE_ERROR else code


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called by pytest."""
    seconds, order = _times(), _order()
    for item in items:
        item.stash[_seconds] = seconds.get(item.nodeid, 0.0)
    items.sort(key=lambda item: order(item.nodeid))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Called by pytest. The time that mutmut has for all tests of a mutant would be minutes for one that hangs."""
    if _judges_a_mutant():
        limit = _SECONDS + _TIMES_AS_LONG * item.stash.get(_seconds, 0.0)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(HANGS))
        signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _judges_a_mutant() -> bool:
    return "__mutmut_" in _asked_about()


def _asked_about() -> str:
    return os.environ.get("MUTANT_UNDER_TEST", "")


def _means_the_same() -> bool:
    code = code_of(Path(), _asked_about())
    return code is not None and is_the_same(*code)


def pytest_unconfigure() -> None:
    """Called by pytest. mutmut forks a process for each mutant from one in which the tests have run: what that
    one has loaded need not be searched for garbage, thousands of times."""
    gc.freeze()

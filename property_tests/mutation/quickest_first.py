"""A pytest plugin for the processes that judge mutants.

The quickest test comes first, the others are not collected before it has passed, a test that hangs is not waited for,
there is less to clean up, and nothing is remembered of the code as it was.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

_TIMES = Path("mutmut-stats.json")
"""The times that mutmut has taken, in the folder where it runs the tests; there after the first run."""

_SECONDS, _TIMES_AS_LONG = 5.0, 4
"""When a test hangs: after so many seconds more than so many times as long as it takes."""

HANGS = 36
"""The exit code by which mutmut knows a mutant that ran into its time."""

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Called by pytest."""
    parser.addoption(_OTHERS, action="store_true", help="the quickest have passed already")


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Called by pytest. Who passes the first tests, which mutmut names first, meets the others in a run of their own."""
    first = config.args[:_AT_FIRST]
    later = config.args[_AT_FIRST:]
    if not later or not _judges_a_mutant() or config.getoption(_OTHERS):
        return (yield)
    config.args = first
    code = yield
    if code:
        return code
    named = set(first)
    rest = [argument for argument in config.invocation_params.args if argument not in named]
    return pytest.main([*rest, _OTHERS])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called by pytest."""
    if _TIMES.exists():
        seconds = json.loads(_TIMES.read_text("utf-8"))["duration_by_test"]
        for item in items:
            item.stash[_seconds] = seconds.get(item.nodeid, 0.0)
        items.sort(key=lambda item: item.stash[_seconds])


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
    return "__mutmut_" in os.environ.get("MUTANT_UNDER_TEST", "")


def pytest_unconfigure() -> None:
    """Called by pytest. mutmut forks a process for each mutant from one in which the tests have run: what that
    one has loaded need not be searched for garbage, thousands of times."""
    gc.freeze()

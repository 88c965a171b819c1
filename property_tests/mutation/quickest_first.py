"""A pytest plugin for the processes that judge mutants: the quickest test comes first, there is less to clean up, and
nothing is remembered of the code as it was."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import pytest

_TIMES = Path("mutmut-stats.json")
"""The times that mutmut has taken, in the folder where it runs the tests; there after the first run."""


def pytest_sessionstart() -> None:
    """Called by pytest. What a cached function calls would not be called again, and could be anything."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "trio_gusto":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called by pytest."""
    if _TIMES.exists():
        seconds = json.loads(_TIMES.read_text("utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


def pytest_unconfigure() -> None:
    """Called by pytest. mutmut forks a process for each mutant from one in which the tests have run: what that
    one has loaded need not be searched for garbage, thousands of times."""
    gc.freeze()

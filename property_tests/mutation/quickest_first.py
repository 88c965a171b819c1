"""A pytest plugin for the processes that judge mutants: the quickest test comes first, and there is less to clean up."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

_TIMES = Path("mutmut-stats.json")
"""The times that mutmut has taken, in the folder where it runs the tests; there after the first run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called by pytest."""
    if _TIMES.exists():
        seconds = json.loads(_TIMES.read_text("utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


def pytest_unconfigure() -> None:
    """Called by pytest. mutmut forks a process for each mutant from one in which the tests have run: what that
    one has loaded need not be searched for garbage, thousands of times."""
    gc.freeze()

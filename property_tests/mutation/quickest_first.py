"""A pytest plugin: the quickest test judges a mutant first, by the times that mutmut has taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

_TIMES = Path("mutmut-stats.json")
"""In the folder where mutmut runs the tests; it is written after the first run of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Called by pytest."""
    if _TIMES.exists():
        seconds = json.loads(_TIMES.read_text("utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))

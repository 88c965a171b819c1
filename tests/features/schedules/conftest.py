"""What these schedules and their jobs are kept in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.features.schedules.shop import in_a_file, in_memory
from trio_gusto import Storage


@pytest.fixture(params=[in_memory, in_a_file], ids=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    make: Callable[[Path], Storage] = request.param
    return make(tmp_path)

"""What the tests of the archive share."""

from __future__ import annotations

import pytest

from tests.storage.sqlite.moving import Pruning, apart, in_a_group


@pytest.fixture(params=[in_a_group, apart], ids=["in a group", "apart"])
def prune(request: pytest.FixtureRequest) -> Pruning:
    """A storage with an archive does it in both ways."""
    way: Pruning = request.param
    return way

"""The audit of a file that the scheduler itself has written finds nothing, whatever has happened.

The operations are those of the whole scheduler (`happenings`), without a clock that is set: that breaks
the order of recorded instants, and the audit says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from property_tests.aiming import LOOKING, check_is_broken
from property_tests.dealings import dealings
from property_tests.happenings import calm, changes, enqueues, faults, nodes, passing, timed
from property_tests.world import World
from trio_gusto.storage.sqlite import SqliteStorage, claiming
from trio_gusto.storage.sqlite.auditing import Audit

troubled = st.lists(
    enqueues | passing | changes | nodes | faults | dealings, min_size=1, max_size=12
)
"""Anything goes wrong but the clock."""


class AuditedWorld(World):
    """Audits its file after every operation, and at the end."""

    def __init__(self, path: Path, prefetch: int | None) -> None:
        super().__init__(
            SqliteStorage(path, inline=True, synchronous="NORMAL", watch_interval=60),
            prefetch=prefetch,
        )
        self.path = path
        self.is_finishing = False

    async def settle(self) -> None:
        await super().settle()
        if not self.is_finishing:  # that settles hundreds of times
            self.audit()

    async def finish(self) -> None:
        self.is_finishing = True
        await super().finish()
        self.audit()

    def audit(self) -> None:
        sentences = [finding.sentence for finding in Audit(self.path).findings()]
        assert not sentences, "\n".join(sentences)


@pytest.mark.timeout(3600)
@settings(max_examples=max(5, settings().max_examples // 10))
@given(operations=calm | timed | troubled, prefetch=st.sampled_from([0, 3, None]))
def test_what_the_scheduler_writes_is_legal(
    operations: Sequence[Any], prefetch: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder), operations, prefetch)


def play(folder: Path, operations: Sequence[Any], prefetch: int | None) -> None:
    world = AuditedWorld(folder / "jobs.db", prefetch)
    trio.run(world.run, operations, clock=MockClock(autojump_threshold=0))


def test_the_law_catches_claims_that_spend_two_attempts(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    twice = claiming._LEASE.replace("attempt = attempt + 1", "attempt = attempt + 2")
    monkeypatch.setattr(claiming, "_LEASE", twice)

    @settings(LOOKING, max_examples=200)
    @given(operations=calm, prefetch=st.just(0))
    def look(operations: Sequence[Any], prefetch: int | None) -> None:
        play(tmp_path_factory.mktemp("audit"), operations, prefetch)

    check_is_broken("breaks attempts", look)

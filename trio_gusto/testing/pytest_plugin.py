"""The pytest plugin: fixtures for tests of applications that enqueue jobs.

pytest finds it by its entry point. The only module that knows pytest; the async fixture is run by
pytest-trio, without which the others still work.

Rules. Each test has fixtures of its own. Override ``gusto`` with a fixture that returns your app,
and ``job_queue`` runs that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from .. import Gusto, JobQueue, MemoryStorage, Options
from .barriers import Barriers
from .clock import VirtualClock


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Wall time from 2026-01-01 UTC on that follows Trio's clock, such as ``autojump_clock``."""
    return VirtualClock()


@pytest.fixture
def barriers() -> Barriers:
    """The barriers that ``job_queue`` runs with."""
    return Barriers()


@pytest.fixture
def gusto(virtual_clock: VirtualClock) -> Gusto:
    """An app in memory, on ``virtual_clock``, with four executors on every machine."""
    return Gusto(MemoryStorage(), clock=virtual_clock, options=Options(concurrency=4))


@pytest.fixture
def _async_fixtures_run(request: pytest.FixtureRequest) -> None:
    if not request.config.pluginmanager.hasplugin("trio"):
        pytest.fail(
            "the fixture job_queue is async and pytest alone does not run such a fixture; "
            "install pytest-trio, or use `async with gusto.running() as queue` in your own runner",
            pytrace=False,
        )
    if request.node.get_closest_marker("trio") is None:
        pytest.fail(
            "the fixture job_queue lives in a Trio run and this test has none; make it "
            "`async def` and set trio_mode = true, or mark it with @pytest.mark.trio",
            pytrace=False,
        )


@pytest.fixture
async def job_queue(
    _async_fixtures_run: None, gusto: Gusto, barriers: Barriers
) -> AsyncGenerator[JobQueue, None]:
    """The queue of ``gusto``, running in the test's own Trio run with ``barriers``."""
    async with gusto.running(barriers=barriers) as queue:
        yield queue

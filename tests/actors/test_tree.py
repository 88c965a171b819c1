"""The tree comes down in order, whatever hits it on the way."""

from __future__ import annotations

import signal
from typing import Any

import pytest
import trio

from trio_gusto import Gusto, JobState, MemoryStorage, Options
from trio_gusto.actors.poller import Poller
from trio_gusto.actors.supervisor import Supervisor
from trio_gusto.actors.sweeper import Sweeper
from trio_gusto.actors.tree import Workers


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (Workers, "_until_empty"),
        (Supervisor, "stop"),
        (Sweeper, "sweep"),
        (Poller, "_ask"),
        (Poller, "claim"),
        (Poller, "answered"),
        (MemoryStorage, "perform"),
    ],
)
def test_a_ctrl_c_that_hits_an_actor_at_work_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, room: type, name: str
) -> None:
    """The signal comes while that code runs, not while the host waits."""
    app = Gusto(options=Options(concurrency=4, drain_timeout=0.05))
    original = getattr(room, name)
    is_armed = False

    def hit(*args: Any) -> Any:
        nonlocal is_armed
        if is_armed:
            is_armed = False
            signal.raise_signal(signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(room, name, hit)

    @app.job
    async def endless() -> None:
        await trio.sleep_forever()

    async def main() -> None:
        nonlocal is_armed
        with trio.fail_after(10):
            async with app.running() as queue:
                await queue.enqueue(endless)
                await trio.testing.wait_all_tasks_blocked()
                is_armed = True
                if room in (Sweeper, Poller, MemoryStorage):
                    await queue.enqueue(endless, expire_on=60)
                    await trio.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert not is_armed

    async def look() -> None:
        async with app.connected() as queue:
            for job in (await queue.find()).items:
                assert (job.state, job.attempt) == (JobState.READY, 0)
                for attempt in await queue.attempts(job):
                    assert attempt.outcome == "released"

    trio.run(look)

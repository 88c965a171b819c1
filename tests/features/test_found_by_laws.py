"""What the laws of the whole scheduler have found, each as one small example."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trio_gusto import Gusto, JobExpired, Options, call
from trio_gusto.testing import VirtualClock


@pytest.mark.parametrize("many", [False, True])
async def test_a_deadline_is_kept_by_the_sweep_that_its_enqueue_woke(
    autojump_clock: MockClock, many: bool
) -> None:
    app = Gusto(clock=VirtualClock(), options=Options(queues=["served"]))

    @app.job(queue="unserved", expire_on=7)
    async def never() -> None: ...

    async with app.running() as queue:
        start = trio.current_time()
        (ref,) = await queue.enqueue_many([call(never)]) if many else [await queue.enqueue(never)]
        with pytest.raises(JobExpired):
            await ref.result()
        assert trio.current_time() - start == pytest.approx(7, abs=0.1)
